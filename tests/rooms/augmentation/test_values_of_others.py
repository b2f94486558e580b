"""ADA's pipeline, by value, against that of its authors, whose draws were given to be ours.

Theirs filters what is moved by whole pixels alone, too: shifts come out as they were, but mirror images and quarter
turns a little changed, since the filter is not symmetric. So these two are compared where a fraction of a pixel is
added.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from biggan.augmentation.ada import PARTS, AdaPipeline
from biggan.augmentation.noise import InstanceNoise
from biggan.foundation.chance import Chance
from tests.rooms.losses.closed_form import CHANNELS, HEIGHT, WIDTH, N, reals, waves

STORED = json.loads((Path(__file__).parents[2] / "data" / "terms_by_others.json").read_text())
P, COUNT, SIDE = 0.7, 8, 16


def value(name: str) -> Any:
    return STORED[name]["value"]


def sums(images: Tensor) -> list[float]:
    found: list[float] = (
        (images * waves(CHANNELS, *images.shape[2:], pace=0.37)[: images.shape[1]]).sum((1, 2, 3)).tolist()
    )
    return found


def seen(only: tuple[str, ...], *, channels: int = CHANNELS, cutout: bool = False) -> list[float]:
    images = waves(COUNT, CHANNELS, SIDE, SIDE, pace=0.11, size=0.9)[:, :channels]
    pipeline = AdaPipeline(P, without=tuple(part for part in PARTS if part not in only), cutout=cutout)
    return sums(pipeline.view(images, Chance(7, 0, torch.arange(COUNT))))


@pytest.mark.parametrize("part", sorted(set(PARTS) - {"xflip", "rotate90"}))
def test_each_part(part: str) -> None:
    found, plain = seen((part,)), seen(())
    assert found == pytest.approx(value(f"ada/{part}"), rel=1e-6, abs=1e-6)
    assert found != pytest.approx(plain, abs=1e-3), "it happened to some"


@pytest.mark.parametrize("part", ["xflip", "rotate90"])
def test_what_mirrors_and_turns(part: str) -> None:
    happens = Chance(7, 0, torch.arange(COUNT)).uniform("ada fractional_translation happens", 1)[:, 0] < P
    found, theirs = seen((part, "fractional_translation")), value(f"ada/{part} and fractional_translation")
    unturned = seen(("fractional_translation",))
    compared = [n for n in range(COUNT) if happens[n]]
    assert [found[n] for n in compared] == pytest.approx([theirs[n] for n in compared], rel=1e-6, abs=1e-6)
    assert sum(abs(found[n] - unturned[n]) > 1e-3 for n in compared) > 1


def test_all_together() -> None:
    assert seen(PARTS) == pytest.approx(value("ada/all"), rel=1e-6, abs=1e-6)


def test_one_channel() -> None:
    assert seen(("brightness", "contrast"), channels=1) == pytest.approx(value("ada/gray"), rel=1e-6, abs=1e-6)


def test_cutout() -> None:
    assert seen((), cutout=True) == pytest.approx(value("ada/cutout"), rel=1e-6, abs=1e-6)


def test_noise() -> None:
    found = InstanceNoise(0.1).view(reals(), Chance(7, 0, torch.arange(N)))
    assert found.shape == (N, CHANNELS, HEIGHT, WIDTH)
    assert sums(found) == pytest.approx(value("noise"), rel=1e-6)
