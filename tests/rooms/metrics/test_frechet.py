"""Fréchet distances and their moments against their definitions."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg

from biggan.foundation.errors import UserError
from biggan.metrics.frechet import frechet_distance, frechet_distance_of_rows
from biggan.metrics.moments import Gaussian, Moments
from tests.rooms.metrics.drawn import SEEDS, accumulated, by_eigenvalues, distance, draw, exact, few, gaussian

# -- Fréchet -----------------------------------------------------------------------------------------------------------


@few
@given(SEEDS, st.integers(2, 90), st.integers(1, 40), st.sampled_from([1.0, 1e-3]))
def test_frechet_of_equal_sets_is_zero(seed: int, n: int, d: int, spread: float) -> None:
    rows = draw(seed, n, d, spread, offset=3.0)
    ours = frechet_distance(gaussian(rows), gaussian(rows))
    assert 0.0 <= ours.distance <= 1e-12 * sum(ours.traces)
    assert ours.mean_term == 0.0
    assert distance(rows, rows + 0.5) == pytest.approx(0.25 * d, rel=1e-9)


@few
@given(SEEDS, st.integers(1, 30), st.sampled_from([1.0, 1e-2]))
def test_full_rank_equals_the_matrix_root(seed: int, d: int, spread: float) -> None:
    a, b = draw(seed, 4 * d + 5, d, spread), 1.2 * draw(seed + 1, 3 * d + 9, d, spread, offset=0.1)
    x, y = (np.atleast_2d(np.cov(rows.T.numpy())) for rows in (a, b))
    root = linalg.sqrtm(x @ y)
    formula = float((a.mean(0) - b.mean(0)).square().sum()) + float(np.trace(x + y - 2 * root.real))
    ours = frechet_distance(gaussian(a), gaussian(b))
    assert not ours.rank_deficient
    assert ours.distance == pytest.approx(formula, rel=1e-8)
    assert ours.traces == pytest.approx((np.trace(x), np.trace(y)), rel=1e-12)


@few
@given(SEEDS, st.integers(2, 40), st.integers(2, 90), st.sampled_from([1.0, 1e-2, 1e-4]))
def test_fewer_rows_than_dimensions_is_exact(seed: int, n: int, m: int, spread: float) -> None:
    a, b = draw(seed, n, 41, spread, offset=1.0), 0.8 * draw(seed + 1, m, 41, spread)
    one, other = gaussian(a, batch=7), gaussian(b, batch=16)
    assert one.too_few
    for ours in (frechet_distance(one, other), frechet_distance(other, one), frechet_distance_of_rows(a, b)):
        assert ours.rank_deficient
        assert sorted(ours.ranks) == sorted((n - 1, min(m - 1, 41)))
        assert ours.distance == pytest.approx(exact(a, b), rel=1e-9)


def test_roots_of_eigenvalues_are_what_is_off() -> None:
    a, b = draw(0, 20, 64), draw(1, 30, 64)
    error = abs(by_eigenvalues(a, b) / exact(a, b) - 1)
    assert 1e-9 < error < 1e-6
    assert distance(a, b) == pytest.approx(exact(a, b), rel=1e-13)


def test_subspaces_that_meet_in_part_are_exact() -> None:
    """The product has zero singular values although each factor has full column rank."""
    axes = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).standard_normal((60, 60)))[0])
    a, b = draw(1, 200, 30) @ axes[:30], draw(2, 150, 30) @ axes[20:50]
    ours = frechet_distance(gaussian(a), gaussian(b))
    assert ours.ranks == (30, 30)
    assert ours.distance == pytest.approx(exact(a, b), rel=1e-12)
    apart = frechet_distance(gaussian(draw(1, 200, 20) @ axes[:20]), gaussian(draw(2, 150, 20) @ axes[40:]))
    assert apart.root_trace <= 1e-13 * sum(apart.traces)


def test_a_wide_spectrum_is_exact() -> None:
    """Condition 1e10: its square, that of the product, passes float64."""
    a, b = draw(3, 300, 80, 1e-5), draw(4, 300, 80, 1e-5)
    assert distance(a, b) == pytest.approx(exact(a, b), rel=1e-9)
    assert distance(a, b) != pytest.approx(by_eigenvalues(a, b), rel=1e-9)


def test_columns_of_every_size_count() -> None:
    scale = torch.logspace(0, -9, 10, dtype=torch.float64)
    a, b = draw(5, 50, 10) * scale, draw(6, 50, 10) * scale
    assert frechet_distance(gaussian(a), gaussian(b)).ranks == (10, 10)
    assert distance(a[:, 5:], b[:, 5:]) == pytest.approx(exact(a[:, 5:], b[:, 5:]), rel=1e-9)


def test_constant_and_dependent_columns_lower_the_rank() -> None:
    a, b = draw(7, 80, 12, offset=0.1), draw(8, 90, 12)
    a[:, 3] = 0.1
    a[:, 5] = 2 * a[:, 4] - a[:, 6]
    ours = frechet_distance(gaussian(a, batch=9), gaussian(b))
    assert ours.ranks == (10, 12)
    assert not gaussian(a).too_few
    assert ours.distance == pytest.approx(exact(a, b), rel=1e-11)
    still = torch.full((6, 12), 0.1, dtype=torch.float64)
    assert frechet_distance(gaussian(still), gaussian(b)).root_trace == 0.0


def test_a_foreign_covariance_in_float32() -> None:
    """Slightly indefinite, of unknown count."""
    a, b = gaussian(draw(9, 20, 40)), gaussian(draw(10, 200, 40))
    foreign = Gaussian(a.mean.float().double(), a.covariance.float().double())
    ours = frechet_distance(foreign, b)
    assert not foreign.too_few
    assert ours.distance == pytest.approx(frechet_distance(a, b).distance, rel=1e-3)
    counted = frechet_distance(Gaussian(foreign.mean, foreign.covariance, 20), b)
    assert counted.ranks == (19, 40)
    assert counted.distance == pytest.approx(frechet_distance(a, b).distance, rel=1e-5)


@few
@given(SEEDS, st.integers(2, 50), st.floats(0.01, 100.0))
def test_frechet_follows_scale_and_ignores_shifts(seed: int, n: int, scale: float) -> None:
    a, b = draw(seed, n, 12, offset=0.3), draw(seed + 1, 30, 12)
    assert distance(scale * a + 5, scale * b + 5) == pytest.approx(scale**2 * distance(a, b), rel=1e-9)


# -- moments -----------------------------------------------------------------------------------------------------------


@few
@given(SEEDS, st.lists(st.integers(0, 30), min_size=1, max_size=8), st.sampled_from([0.0, 1e6]), st.randoms())
def test_moments_do_not_depend_on_batches_and_order(
    seed: int, sizes: Sequence[int], offset: float, order: Random
) -> None:
    rows = draw(seed, sum(sizes) + 2, 6, offset=offset)
    parts = [accumulated(part) for part in rows.split([*sizes, 2])]
    order.shuffle(parts)
    merged = Moments(6)
    for part in parts:
        merged.merge(part)
    ours, whole = merged.finish(), gaussian(rows)
    centred = rows.numpy() - rows.numpy().mean(axis=0)
    assert ours.count == whole.count == len(rows)
    # Rows near 1e6 are themselves only known to 1e-10.
    limit = 1e-12 if not offset else 1e-8
    for g in (ours, whole):
        torch.testing.assert_close(g.mean, rows.mean(dim=0), rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(g.covariance, centred.T @ centred / (len(rows) - 1), rtol=0, atol=limit * 10)
    assert torch.equal(ours.covariance, ours.covariance.T)


def test_moments_take_float32_and_arrays_and_leave_the_other_alone() -> None:
    rows = draw(1, 40, 5).float()
    one, other = Moments(5), accumulated(rows[:10])
    one.add(rows[10:].numpy())
    before = other.scatter.clone()
    one.merge(other)
    assert (one.count, other.count) == (40, 10)
    assert torch.equal(other.scatter, before)
    np.testing.assert_allclose(one.finish().covariance, np.cov(rows.double().T.numpy()), rtol=1e-12)


def test_what_moments_refuse() -> None:
    moments = Moments(3)
    with pytest.raises(ValueError, match="4 dimensions among rows of 3"):
        moments.add(torch.zeros(2, 4))
    bad = torch.zeros(5, 3)
    bad[3, 1] = torch.nan
    with pytest.raises(UserError, match="row 3 holds numbers that are not finite"):
        moments.add(bad)
    assert moments.count == 0
    moments.add(torch.zeros(1, 3))
    with pytest.raises(UserError, match="covariance of 1 images"):
        moments.finish()
    with pytest.raises(ValueError, match=r"rows \[n, d\] wanted, got torch.int64"):
        moments.add(torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="of 2 and of 3 dimensions"):
        frechet_distance(gaussian(draw(0, 4, 2)), gaussian(draw(0, 4, 3)))
