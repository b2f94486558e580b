"""A new snapshot with standing statistics for a range of truncations: a bank."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.foundation.outputs import output_file
from biggan.models.norm_records import MOST_TRUNCATIONS, TruncationBank, TruncationKind, check_batches
from biggan.models.snapshot import write_snapshot
from biggan.sampling.latents import check_truncation
from biggan.sampling.sampler import Sampler
from biggan.sampling.standing import BATCH, estimate


def calibrate(
    sampler: Sampler,
    path: Path,
    truncations: Sequence[float],
    *,
    kind: TruncationKind = "resample",
    batches: int = 100,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> None:
    """Write a new snapshot that holds standing statistics for each of ``truncations``; the sampler is not changed.

    Args:
        sampler: where the weights come from.
        path: of the new snapshot.
        truncations: T of each, positive.
        kind: how latents are truncated.
        batches: how many batches of 64 each is averaged over.
        overwrite: whether a file that lies there may be replaced.
        progress: called with the number of truncations done and of all.

    Raises:
        UserError: no batch norm, a truncation or a number of batches out of range, or a file that exists.
    """
    chosen = check_truncations(truncations, kind)
    check_batches(batches, "--batches")
    output_file(path, overwrite=overwrite)
    bank: dict[str, Tensor] = {}
    for place, truncation in enumerate(chosen):
        generator = copy.deepcopy(sampler.generator)
        standing = estimate(generator, sampler.info.architecture, batches=batches, truncation=truncation, kind=kind)
        for name, total in standing.sums().items():
            bank[f"{place}/{name}"] = (total / batches).cpu()
        progress(place + 1, len(chosen))
    record = TruncationBank(truncations=tuple(chosen), kind=kind, batches=batches, batch=BATCH)
    write_snapshot(path, sampler.generator, dataclasses.replace(sampler.info, truncation_bank=record), bank)


def check_truncations(truncations: Sequence[float], kind: str) -> list[float]:
    """Return the truncations, each once, rising.

    Raises:
        UserError: none, too many, or one out of range.
    """
    chosen = sorted(set(truncations))
    if not 1 <= len(chosen) <= MOST_TRUNCATIONS:
        raise UserError(f"--truncations: {len(chosen):,} of them; give 1 to {MOST_TRUNCATIONS:,}")
    for truncation in chosen:
        check_truncation(truncation, kind, "--truncations")
    return chosen
