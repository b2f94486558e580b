"""Small snapshots that tests write and read."""

from __future__ import annotations

from pathlib import Path

import torch

from biggan.layers.normalization import batch_norms
from biggan.models.architecture import Architecture
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo, write_snapshot
from tests.conftest import tiny

NAMES = ("tench", "golden retriever", "7", "great white", "id:2", "n/a", "cat", "dog", "cab", "cap")


def write(path: Path, a: Architecture | None = None, names: tuple[str, ...] = NAMES, seed: int = 0) -> Path:
    a = a or tiny("biggan", channels=3)
    generator = build(a, seed).generator
    with torch.no_grad():  # running statistics that are not the initial ones
        for norm in batch_norms(generator).values():
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    info = SnapshotInfo(
        architecture=a, class_names=names if a.classes else (), weights="ema", images_seen=640, iterations=10
    )
    write_snapshot(path, generator, info)
    return path
