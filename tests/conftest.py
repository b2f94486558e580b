"""What tests share: tiny real data, tiny real models."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.data.configuration import DataConfig
from biggan.losses.terms import TERMS
from biggan.models.architecture import Architecture, architecture
from biggan.training.configuration import (
    AdamConfig,
    CheckpointConfig,
    LogConfig,
    MovingAverageConfig,
    TrainingConfig,
)

FAMILIES = ("biggan", "biggan-deep", "sagan", "sngan", "r3gan")
DATA = Path(__file__).parent / "data"
HANGS = 120.0
"""Seconds after which a test says that something hangs: far above what it takes on the slowest machine."""


def pytest_configure() -> None:
    """Compute with one thread, here and in what tests start, however pytest was called.

    Ranks compute with one too, and decompositions with several round differently: initial weights would not be equal.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    if torch.cuda.is_available():
        return
    for item in items:
        if "cuda" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(autouse=True)
def terms_as_they_were() -> Iterator[None]:
    """What a file of one's own registers in a test, by --step, is registered in no other of the same process."""
    before = set(TERMS)
    yield
    for name in set(TERMS) - before:
        del TERMS._loaded[name]


def tiny(family: str = "biggan", **values: Any) -> Architecture:
    """Return a width-4 architecture of any family, 16 px, gray, ten classes."""
    small: dict[str, Any] = {
        "resolution": (16, 16),
        "channels": 1,
        "classes": 10,
        "latent_size": 12,
        "generator_width": 4,
        "discriminator_width": 4,
        "generator_attention": (),
        "discriminator_attention": (),
    }
    if family.startswith("biggan") or family == "r3gan":
        small["shared_embedding"] = 4
    if family == "r3gan":  # whose widths are multiples up to 8
        small |= {"generator_width": 1, "discriminator_width": 1}
    return architecture(family, **{**small, **values})


def tiny_config(run_dir: Path | None = None, family: str = "biggan", **values: Any) -> TrainingConfig:
    """Return a run on digits that takes milliseconds an iteration."""
    model = values.pop("model", {})
    config = TrainingConfig(
        data=DataConfig(path="digits"),
        run_dir=None if run_dir is None else str(run_dir),
        device="cpu",
        batch=8,
        duration=160,
        model=tiny(family, **model) if isinstance(model, dict) else model,
        generator_adam=AdamConfig(learning_rate=1e-3),
        discriminator_adam=AdamConfig(learning_rate=4e-3),
        ema=MovingAverageConfig(decay=0.9),
        checkpoint=CheckpointConfig(every=10**9),
        log=LogConfig(every=80, samples_every=10**9, sheet_columns=2, interpolation_rows=2, tensorboard=False),
    )
    return dataclasses.replace(config, **values)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes class folders of small random PNGs."""

    def make(classes: dict[str, int], size: tuple[int, int] = (20, 24), name: str = "images", seed: int = 0) -> Path:
        root = tmp_path / name
        draw = np.random.default_rng(seed)
        for title, count in classes.items():
            folder = root / title
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i:04}.png")
        return root

    return make


def assert_same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    """Compare two sets of tensors bitwise."""
    assert one.keys() == other.keys()
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert not different, f"{len(different)} tensors differ, first {different[0]}"
