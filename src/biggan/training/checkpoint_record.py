"""``state.json`` of a checkpoint: what it is, and what became known about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.records import Count, Name, read_record

FORMAT = 2


@dataclass(frozen=True, kw_only=True)
class WarmUpRecord:
    """How far D has come that trains alone before G does."""

    counts: tuple[Count, Count, Count] = (0, 0, 0)
    """In this interval: fakes that D was right about, reals that it was right about, and images of each."""
    latest: tuple[float, float] = (0.0, 0.0)
    """Shares of fakes and reals that it was right about in the interval before."""
    passed: Count = 0
    """Intervals running in which that was enough."""
    ended_at: Count | None = None
    """Clock from which G learns, too."""


@dataclass(frozen=True, kw_only=True)
class CheckpointRecord:
    """Everything about a checkpoint but its tensors."""

    images_seen: Count
    iterations: Count
    best: tuple[tuple[Name, float, Count], ...]
    """(name, value, images seen) of the values by which checkpoints are kept; larger is better."""
    weights: Literal["ema", "generator"]
    """What the snapshot inside holds."""
    configuration: dict[str, Any]
    """Of the run when this was saved, for the record; an export takes from it how the optimizers were set."""
    pending: tuple[Name, ...]
    """What was due at this clock and has not been done: samples, snapshot, judge, evaluation."""
    digests: dict[str, str]
    """SHA-256 of the files beside."""
    warm_up: WarmUpRecord | None = None
    """Of a run that begins with D alone."""
    format: Count = FORMAT
    digest: Name = ""
    """SHA-256 of all that stands above."""


def write_checkpoint_record(path: Path, record: CheckpointRecord) -> None:
    """Write ``state.json``, atomically, with its own digest."""
    write_json(path, _plain(dataclasses.replace(record, digest=_own_digest(record))))


def read_checkpoint_record(path: Path) -> CheckpointRecord:
    """Read ``state.json`` and verify its digest.

    Raises:
        UserError: missing, of another format, changed or damaged.
    """
    if not path.is_file():
        raise CorruptFileError(f"{path} is missing")
    record = read_record(CheckpointRecord, path)
    if record.digest != _own_digest(record):
        raise CorruptFileError(f"{path} was changed or damaged")
    if record.format != FORMAT:
        raise UserError(f"{path} is of checkpoint format {record.format}, this version reads {FORMAT}")
    return record


def _own_digest(record: CheckpointRecord) -> str:
    content = json.dumps(_plain(dataclasses.replace(record, digest="")), sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _plain(record: CheckpointRecord) -> dict[str, Any]:
    plain: dict[str, Any] = to_json(record)
    if record.warm_up is None:  # as records were written before there was such a thing, so that their digests hold
        del plain["warm_up"]
    return plain
