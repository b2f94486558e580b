"""Tiny samplers of every family, in float64, on the CPU."""

from __future__ import annotations

from typing import Any

import torch

from biggan.layers.normalization import batch_norms
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo
from biggan.sampling.sampler import Sampler
from tests.conftest import tiny


def sampler(family: str = "biggan", seed: int = 0, **values: Any) -> Sampler:
    a = tiny(family, **values)
    generator = build(a, seed).generator.double().eval().requires_grad_(False)
    with torch.no_grad():
        for norm in batch_norms(generator).values():
            norm.running_mean.normal_(0, 0.1, generator=torch.Generator().manual_seed(seed))
            norm.running_var.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(seed))
        for place, layer in enumerate(spectrally_normalized(generator).values()):
            layer.weight.mul_(
                2.0 + place % 3
            )  # fresh weights have singular values of 1, which hide what divides by them
    names = tuple(f"digit {i}" for i in range(a.classes))
    info = SnapshotInfo(architecture=a, class_names=names, weights="ema", images_seen=640, iterations=10)
    return Sampler(generator, info)
