"""Metrics against their definitions: formulas written out at length, known values, and what must not matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from biggan.foundation.errors import UserError
from biggan.metrics.distances import nearest, neighbour_radii
from biggan.metrics.frechet import frechet_distance, frechet_distance_of_rows
from biggan.metrics.inception_score import inception_score
from biggan.metrics.kernel import PolynomialKernel, kid, kid_full
from biggan.metrics.labels import frechet_by_class, intra_class_diversity
from biggan.metrics.moments import Gaussian, Moments
from biggan.metrics.neighbours import prdc, precision_recall

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def draw(seed: int, n: int, d: int, spread: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    """Return correlated rows; the deviations of their principal axes fall from 1 to ``spread``."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))[0]
    return torch.from_numpy((rng.standard_normal((n, d)) * np.geomspace(1.0, spread, d)) @ axes.T + offset)


def gaussian(rows: torch.Tensor, batch: int = 1000) -> Gaussian:
    moments = Moments(rows.shape[1])
    for part in rows.split(batch):
        moments.add(part)
    return moments.finish()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(gaussian(a), gaussian(b)).distance


def exact(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the distance by singular values of the product of centred rows, or of their triangles, no covariance."""
    means, factors = [], []
    for rows in (a.numpy(), b.numpy()):
        means.append(rows.mean(axis=0))
        centred = (rows - means[-1]) / np.sqrt(len(rows) - 1)
        factors.append(centred if len(rows) <= rows.shape[1] else np.linalg.qr(centred, mode="r"))
    root = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(np.sum((means[0] - means[1]) ** 2) + sum(np.sum(f * f) for f in factors) - 2 * root)


def by_eigenvalues(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the distance as the libraries compute it."""
    x, y = np.cov(a.T.numpy()), np.cov(b.T.numpy())
    root = np.sqrt(np.linalg.eigvals(x @ y).astype(complex)).real.sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + np.trace(x) + np.trace(y) - 2 * root)


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


def accumulated(rows: torch.Tensor) -> Moments:
    moments = Moments(rows.shape[1])
    moments.add(rows)
    return moments


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


# -- Inception Score ---------------------------------------------------------------------------------------------------


@few
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 5))
def test_the_two_ends_of_the_inception_score(classes: int, repeats: int, splits: int) -> None:
    blank = torch.full((classes * repeats * splits, classes), 0.7)
    uniform = inception_score(blank, splits=splits)
    assert (uniform.mean, uniform.std) == pytest.approx((1.0, 0.0), abs=1e-12)
    sure = 1e4 * torch.eye(classes).repeat(repeats * splits, 1)
    balanced = inception_score(sure, splits=splits, seed=None)
    assert (balanced.mean, balanced.std) == pytest.approx((classes, 0.0), abs=1e-12)
    by_class = 1e4 * torch.eye(classes).repeat_interleave(repeats, dim=0)
    assert inception_score(by_class, splits=classes, seed=None).mean == pytest.approx(1.0, abs=1e-12)


@few
@given(SEEDS, st.integers(4, 60), st.integers(1, 4), st.booleans(), st.sampled_from([None, 2020, 7]))
def test_the_inception_score_is_its_definition(
    seed: int, n: int, splits: int, equal: bool, shuffle: int | None
) -> None:
    logits = 3 * draw(seed, n, 6).numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if shuffle is not None:
        p = p[np.random.RandomState(shuffle).permutation(n)]
    edges = [i * (n // splits) if equal else i * n // splits for i in range(splits + 1)]
    scores = []
    for start, end in pairwise(edges):
        part = p[start:end]
        scores.append(math.exp((part * (np.log(part) - np.log(part.mean(axis=0)))).sum(axis=1).mean()))
    ours = inception_score(logits, splits=splits, seed=shuffle, equal_splits=equal)
    assert (ours.mean, ours.std) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-10, abs=1e-12)
    assert ours.count == edges[-1] == (n - n % splits if equal else n)


def test_the_inception_score_needs_an_image_a_split() -> None:
    with pytest.raises(UserError, match="logits: 9 images are too few, use 10 or more"):
        inception_score(torch.zeros(9, 3))


# -- kernel ------------------------------------------------------------------------------------------------------------


def mmd2(x: Array, y: Array, degree: int = 3) -> float:
    """Return the estimate written out."""

    def k(a: Array, b: Array) -> Array:
        kernel: Array = (a @ b.T / a.shape[1] + 1) ** degree
        return kernel

    within = [(k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1)) for a in (x, y)]
    return float(sum(within) - 2 * k(x, y).mean())


@few
@given(SEEDS, st.integers(2, 25), st.integers(2, 25), st.integers(1, 30), st.integers(1, 4))
def test_kid_full_is_its_definition(seed: int, n: int, m: int, block: int, degree: int) -> None:
    x, y = draw(seed, n, 5), draw(seed + 1, m, 5, offset=0.2)
    value = kid_full(x, y, block=block, kernel=PolynomialKernel(degree=degree))
    assert value == pytest.approx(mmd2(x.numpy(), y.numpy(), degree), rel=1e-10, abs=1e-12)
    mixed = kid_full(x[torch.randperm(n)], y[torch.randperm(m)], block=block, kernel=PolynomialKernel(degree=degree))
    assert mixed == pytest.approx(value, rel=1e-10, abs=1e-12)


def test_kid_has_no_bias() -> None:
    pairs = [(draw(2 * i, 12, 4), draw(2 * i + 1, 8, 4)) for i in range(400)]
    values = np.array([kid_full(x, y) for x, y in pairs])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    assert (values < 0).any()
    shifted = np.array([kid_full(x, y + 0.5) for x, y in pairs])
    assert shifted.mean() > 10 * error


def test_kid_draws_real_then_fake() -> None:
    x, y = draw(0, 40, 6).numpy(), draw(1, 30, 6, offset=0.3).numpy()
    rng = np.random.RandomState(2020)
    values = []
    for _ in range(7):
        real = x[rng.choice(40, 11, replace=False)]
        values.append(mmd2(real, y[rng.choice(30, 11, replace=False)]))
    for block in (3, 11, 4096):
        ours = kid(x, y, subsets=7, subset_size=11, block=block)
        assert (ours.mean, ours.std) == pytest.approx((np.mean(values), np.std(values)), rel=1e-12)
    assert kid(x, y, subsets=7, subset_size=11, seed=1).mean != pytest.approx(np.mean(values), rel=1e-6)


def test_kid_says_what_is_missing() -> None:
    with pytest.raises(
        UserError, match="subsets of 1000 images from 40 real and 30 fake ones; use 1000 or more of each"
    ):
        kid(draw(0, 40, 3), draw(1, 30, 3))
    with pytest.raises(ValueError, match="real features have 3 dimensions, fake ones 4"):
        kid_full(draw(0, 40, 3), draw(1, 30, 4))


# -- neighbours --------------------------------------------------------------------------------------------------------


def all_distances(x: torch.Tensor, y: torch.Tensor) -> Array:
    difference: Array = x.double().numpy()[:, None] - y.double().numpy()[None]
    return np.sqrt((difference**2).sum(axis=-1))


def brute(real: torch.Tensor, fake: torch.Tensor, k: int) -> dict[str, float]:
    r, f, cross = all_distances(real, real), all_distances(fake, fake), all_distances(real, fake)
    real_radii, fake_radii = np.sort(r, axis=1)[:, k], np.sort(f, axis=1)[:, k]
    inside = cross < real_radii[:, None]
    return {
        "precision": float(inside.any(axis=0).mean()),
        "recall": float((cross < fake_radii).any(axis=1).mean()),
        "density": float(inside.sum(axis=0).mean() / k),
        "coverage": float(inside.any(axis=1).mean()),
    }


@few
@given(SEEDS, st.integers(6, 24), st.integers(6, 24), st.integers(1, 5), st.sampled_from([0.0, 1e3]))
def test_blocks_of_any_size_equal_brute_force(seed: int, n: int, m: int, k: int, offset: float) -> None:
    real, fake = draw(seed, n, 3, offset=offset), 1.3 * draw(seed + 1, m, 3) + offset
    wanted = brute(real, fake, k)
    radii = np.sort(all_distances(real, real), axis=1)[:, k]
    order = np.argsort(all_distances(fake, real), axis=1)[:, :k]
    for block in range(1, max(n, m) + 1):
        ours = prdc(real, fake, k=k, block=block)
        assert {name: getattr(ours, name) for name in wanted} == pytest.approx(wanted, rel=1e-12)
        np.testing.assert_allclose(ours.radii[0], radii, rtol=1e-9)
        np.testing.assert_allclose(neighbour_radii(real, k, block=block), radii, rtol=1e-9)
        single = precision_recall(real, fake, k=k, block=block)
        assert (single.precision, single.recall) == pytest.approx((wanted["precision"], wanted["recall"]), rel=1e-12)
        distances, indices = nearest(fake, real, k, block=block)
        assert np.array_equal(indices, order)
        np.testing.assert_allclose(distances, np.take_along_axis(all_distances(fake, real), order, 1), rtol=1e-12)


def test_balls_on_a_line() -> None:
    """Counted by hand: real radii 5, 1, 1, 1, 8 and fake radii 2, 2, 27.5."""
    real = torch.tensor([-5.0, 0.0, 1.0, 2.0, 10.0])[:, None]
    fake = torch.tensor([0.5, 2.5, 30.0])[:, None]
    ours = prdc(real, fake, k=1)
    assert ours.radii[0].tolist() == pytest.approx([5, 1, 1, 1, 8])
    assert ours.radii[1].tolist() == pytest.approx([2, 2, 27.5])
    assert ours.precision == pytest.approx(2 / 3)
    assert ours.density == pytest.approx(4 / 3)
    assert ours.recall == ours.coverage == pytest.approx(4 / 5)
    single = precision_recall(real, fake, k=1)
    assert single.f_score == pytest.approx(2 * (2 / 3) * (4 / 5) / (2 / 3 + 4 / 5))


def test_the_rim_belongs_to_one_and_not_to_the_other() -> None:
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [100.0]])
    assert precision_recall(real, fake, k=1).precision == 0.5
    assert prdc(real, fake, k=1).precision == 0.0


@few
@given(SEEDS, st.integers(6, 40), st.integers(1, 5))
def test_identical_sets_and_distant_sets(seed: int, n: int, k: int) -> None:
    rows = draw(seed, n, 4, offset=100.0)
    same = prdc(rows, rows.clone(), k=k)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    assert same.density >= 1.0
    single = precision_recall(rows, rows.clone(), k=k)
    assert (single.precision, single.recall, single.f_score) == (1.0, 1.0, pytest.approx(1.0))
    apart = prdc(rows, rows + 1e3, k=k)
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0.0, 0.0, 0.0, 0.0)
    assert precision_recall(rows, rows + 1e3, k=k).f_score == 0.0


def test_one_fake_over_and_over_is_precise_and_covers_little() -> None:
    real = draw(0, 200, 2)
    fake = real[:1].repeat(50, 1)
    ours = prdc(real, fake, k=5)
    assert ours.precision == 1.0
    assert ours.coverage < 0.1
    assert ours.recall == 0.0  # balls of no extent
    assert precision_recall(real, fake).recall == 1 / 200  # whose rim is their centre


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exact_copy_is_found_at_distance_zero(dtype: torch.dtype) -> None:
    bank = draw(0, 300, 16, offset=1e3).to(dtype)
    queries = torch.cat([bank[[17, 250]], bank[[40]] + 0.25])
    distances, indices = nearest(queries, bank, k=2, block=64)
    assert indices[:, 0].tolist() == [17, 250, 40]
    assert distances[:2, 0].tolist() == [0.0, 0.0]
    assert float(distances[2, 0]) == pytest.approx(1.0)
    assert bool((distances[:, 1] > distances[:, 0]).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_repeated_rows_are_at_distance_zero_and_near_ones_are_not(dtype: torch.dtype) -> None:
    """Products alone would leave the rounding of squared lengths, of which the root is far from zero."""
    rows = draw(0, 40, 65, offset=1.0).to(dtype)
    assert not bool(neighbour_radii(rows.repeat(3, 1), 2, dtype=dtype, block=7).any())
    assert bool((neighbour_radii(rows.repeat(3, 1), 3, dtype=dtype, block=7) > 1.0).all())
    close = rows.double().clone()
    close[:, 0] += 1e-9
    distances, indices = nearest(close, rows)
    assert indices[:, 0].tolist() == list(range(40))
    np.testing.assert_allclose(distances[:, 0], 1e-9, rtol=1e-6)


def test_a_coarse_matmul_setting_changes_nothing_and_is_restored() -> None:
    real, fake = draw(0, 120, 32, offset=5.0).float(), draw(1, 100, 32, offset=5.0).float()
    usual = precision_recall(real, fake)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert precision_recall(real, fake) == usual
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_what_neighbours_need() -> None:
    with pytest.raises(UserError, match="5 images have no neighbour number 5; use 6 or more"):
        prdc(draw(0, 5, 2), draw(1, 9, 2))
    with pytest.raises(ValueError, match="neighbour 0"):
        prdc(draw(0, 5, 2), draw(1, 9, 2), k=0)
    with pytest.raises(UserError, match="2 real images have no 3 nearest ones"):
        nearest(draw(0, 5, 2), draw(1, 2, 2), 3)


# -- classes -----------------------------------------------------------------------------------------------------------


def test_frechet_of_each_class() -> None:
    real, fake = draw(0, 60, 4), draw(1, 50, 4, offset=0.5)
    real_labels, fake_labels = torch.arange(60) % 4, torch.arange(50) % 3
    fake_labels[:2] = 3
    ours = frechet_by_class(real, real_labels, fake, fake_labels.numpy(), classes=5, minimum=3)
    for label in range(3):
        wanted = exact(real[real_labels == label], fake[fake_labels == label])
        assert float(ours.values[label]) == pytest.approx(wanted, rel=1e-9)
    assert ours.values.isnan().tolist() == [False, False, False, True, True]
    assert (ours.too_few, ours.minimum) == (2, 3)
    assert ours.mean == pytest.approx(float(ours.values[:3].mean()))
    assert frechet_by_class(real, real_labels, fake, fake_labels, classes=5, minimum=2).too_few == 1
    with pytest.raises(ValueError, match="real labels: class 3 among 3 classes"):
        frechet_by_class(real, real_labels, fake, fake_labels, classes=3, minimum=2)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 4096])
def test_diversity_is_the_mean_distance_of_pairs(block: int) -> None:
    rows, labels = draw(0, 17, 3, offset=10.0), torch.tensor([0] * 8 + [2] * 7 + [3, 4])
    rows[8:15] = rows[8]
    ours = intra_class_diversity(rows, labels, classes=5, block=block)
    pairs = all_distances(rows[:8], rows[:8])[np.triu_indices(8, 1)]
    assert float(ours.values[0]) == pytest.approx(pairs.mean(), rel=1e-12)
    assert float(ours.values[2]) == 0.0
    assert ours.values.isnan().tolist() == [False, True, False, True, True]
    assert ours.too_few == 3


# -- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
def test_a_gpu_gives_the_same() -> None:
    real, fake, labels = draw(0, 300, 32), draw(1, 200, 32, offset=0.2), torch.arange(200) % 3
    there, fakes = real.cuda(), fake.cuda()
    on_gpu = Moments(32, "cuda")
    on_gpu.add(fake)
    on_gpu.merge(accumulated(real))
    np.testing.assert_allclose(on_gpu.finish().covariance.cpu(), np.cov(torch.cat([fake, real]).T.numpy()), rtol=1e-10)
    assert frechet_distance_of_rows(there, fakes).distance == pytest.approx(distance(real, fake), rel=1e-9)
    assert inception_score(fakes).mean == pytest.approx(inception_score(fake).mean, rel=1e-12)
    assert kid(there, fakes, subsets=3, subset_size=99).mean == pytest.approx(
        kid(real, fake, subsets=3, subset_size=99).mean, rel=1e-9
    )
    assert precision_recall(there, fake, block=64) == precision_recall(real, fake)
    assert prdc(there, fakes, block=64).density == prdc(real, fake).density
    assert torch.equal(nearest(fakes, there)[1].cpu(), nearest(fake, real)[1])
    diversity = intra_class_diversity(fakes, labels, classes=3).values
    torch.testing.assert_close(diversity, intra_class_diversity(fake, labels, classes=3).values)
