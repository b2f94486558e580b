"""Precision, recall, density and coverage against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.metrics.distances import nearest, neighbour_radii
from biggan.metrics.neighbours import prdc, precision_recall
from tests.rooms.metrics.drawn import SEEDS, all_distances, draw, few


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
@given(SEEDS, st.integers(6, 14), st.integers(6, 14), st.integers(1, 5), st.sampled_from([0.0, 1e3]))
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
