"""Numbers by position: the same whoever asks for them, and random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from biggan.foundation.chance import Chance
from biggan.foundation.seeding import derive_seed

N = 4096
CHANCE = Chance(seed=3, clock=640, places=torch.arange(N))
MASK = 2**64 - 1


def splitmix(x: int) -> int:
    """Finalise as Steele, Lea and Flood do, with Python's integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def test_it_is_the_arithmetic_of_whole_numbers() -> None:
    key = derive_seed(3, "shift", 640, bits=64)
    found = CHANCE.uniform("shift", 3)
    for place, column in ((0, 0), (1, 2), (4095, 1)):
        counter = ((place << 32) + column) * 0x9E3779B97F4A7C15 & MASK
        word = splitmix((splitmix((counter + key) & MASK) + key) & MASK)
        assert found[place, column].item() == (word >> 40) / 2**24


@pytest.mark.parametrize("kind", ["uniform", "normal", "integers"])
def test_a_part_of_the_batch_gets_its_own_numbers(kind: str) -> None:
    def of(chance: Chance) -> torch.Tensor:
        rest = {"below": 7} if kind == "integers" else {}
        found: torch.Tensor = getattr(chance, kind)("mask", 5, **rest)
        return found

    whole, places = of(CHANCE), torch.tensor([7, 3, 4000])
    assert torch.equal(of(Chance(3, 640, places)), whole[places])
    assert torch.equal(of(Chance(3, 640, torch.arange(N))), whole)
    for other in (Chance(4, 640, CHANCE.places), Chance(3, 641, CHANCE.places)):
        assert (of(other) != whole).float().mean() > 0.5


def test_columns_do_not_depend_on_how_many_are_asked_for() -> None:
    assert torch.equal(CHANCE.uniform("x", 2), CHANCE.uniform("x", 5)[:, :2])
    assert torch.equal(CHANCE.normal("x", 3), CHANCE.normal("x", 6)[:, :3])
    assert not torch.equal(CHANCE.uniform("x", 2), CHANCE.uniform("y", 2))


def test_uniform_and_independent() -> None:
    table = CHANCE.uniform("table", 8).double().numpy()
    assert table.min() >= 0
    assert table.max() < 1
    for column in table.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(table, rowvar=False) - np.eye(8)).max() < 5 / N**0.5
    assert abs(np.corrcoef(table[1:, 0], table[:-1, 0])[0, 1]) < 5 / N**0.5, "nor neighbours"


def test_normal() -> None:
    table = CHANCE.normal("noise", 3).double().numpy()
    for column in table.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4


def test_integers() -> None:
    table = CHANCE.integers("turn", 2, 4)
    assert table.dtype == torch.int64
    assert stats.chisquare(torch.bincount(table.flatten(), minlength=4).numpy()).pvalue > 1e-4
    assert set(table.flatten().tolist()) == {0, 1, 2, 3}


def test_torchs_generators_are_left_alone() -> None:
    before = torch.get_rng_state()
    CHANCE.normal("noise", 3)
    assert torch.equal(torch.get_rng_state(), before)
