"""A new snapshot with standing statistics for a range of truncations: a bank."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.models.norm_records import TruncationBank, TruncationKind
from biggan.models.snapshot import write_snapshot
from biggan.sampling.sampler import Sampler
from biggan.sampling.standing import BATCH, estimate


def calibrate(
    sampler: Sampler,
    path: Path,
    truncations: Sequence[float],
    *,
    kind: TruncationKind = "resample",
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
    record = TruncationBank(truncations=tuple(chosen), kind=kind, batches=batches, batch=BATCH)
    write_snapshot(path, sampler.generator, dataclasses.replace(sampler.info, truncation_bank=record), bank)
