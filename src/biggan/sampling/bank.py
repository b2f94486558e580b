"""Standing statistics for many truncations in one snapshot, so that sampling at any of them is calibrated."""

from __future__ import annotations

import bisect
import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.layers.normalization import batch_norms
from biggan.models.contract import Generator
from biggan.models.snapshot import write_snapshot

if TYPE_CHECKING:
    from biggan.sampling.sampler import Sampler


def calibrate(
    sampler: Sampler,
    path: Path,
    truncations: Sequence[float],
    *,
    kind: str = "resample",
    batches: int = 100,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> None:
    """Write a new snapshot that holds standing statistics for each of ``truncations``; the sampler is not changed.

    Args:
        sampler: where the weights come from.
        path: of the new snapshot.
        truncations: T of each, positive.
        kind: how latents are truncated.
        batches: how many batches of 64 each is averaged over.
        progress: called with the number of truncations done and of all.

    Raises:
        UserError: no batch norm, or no truncation.
    """
    from biggan.sampling.standing import estimate

    chosen = sorted(set(truncations))
    if not chosen or chosen[0] <= 0:
        raise UserError(f"--truncations {' '.join(map(str, truncations))}: give positive numbers")
    bank: dict[str, Tensor] = {}
    for place, truncation in enumerate(chosen):
        generator = copy.deepcopy(sampler.generator)
        standing = estimate(generator, sampler.info.architecture, batches=batches, truncation=truncation, kind=kind)
        for name, total in standing.sums().items():
            bank[f"{place}/{name}"] = (total / batches).cpu()
        progress(place + 1, len(chosen))
    record = {"truncations": chosen, "kind": kind, "batches": batches, "batch": 64}
    write_snapshot(path, sampler.generator, dataclasses.replace(sampler.info, truncation_bank=record), bank)


@torch.no_grad()
def with_bank(
    generator: Generator, truncations: Sequence[float], bank: dict[str, Tensor], truncation: float
) -> Generator:
    """Return a copy of ``generator`` whose running statistics are the bank's at ``truncation``."""
    found = copy.deepcopy(generator)
    above = bisect.bisect_left(truncations, truncation)
    low, high = max(above - 1, 0), min(above, len(truncations) - 1)
    span = truncations[high] - truncations[low]
    share = min(max((truncation - truncations[low]) / span, 0.0), 1.0) if span else 0.0
    for name, norm in batch_norms(found).items():
        for kind in ("running_mean", "running_var"):
            one, other = bank[f"{low}/{name}.{kind}"], bank[f"{high}/{name}.{kind}"]
            getattr(norm, kind).copy_(torch.lerp(one, other, share))
    return found
