"""``state.json`` of a checkpoint: what it is, and what became known about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.limits import Ge, Le, MaxLen
from biggan.foundation.records import Count, Name, read_record
from biggan.training.health.records import HealthRecord

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


Network = Literal["discriminator", "generator"]
_Batch = Annotated[int, Ge(1), Le(2**53)]


@dataclass(frozen=True, kw_only=True)
class DoublingRecord:
    """How far a batch has come that follows the noise scale of its network."""

    low: _Batch
    """Images of an update at the start."""
    high: _Batch
    """At most."""
    steps: Annotated[tuple[tuple[Count, _Batch], ...], MaxLen(53)] = ()
    """(clock, batch) of each doubling; the last one may be announced, and lie ahead."""
    since: Count = 0
    """Clock at which the interval began over which the noise scale is being measured."""
    sums: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Over that interval, see :class:`biggan.training.noise_scale.NoiseScale`."""

    def __post_init__(self) -> None:
        clocks = [clock for clock, _ in self.steps]
        if clocks != sorted(set(clocks)) or 0 in clocks:
            raise UserError(f"a batch doubles at clocks that ascend from 0, not at {clocks}")
        if [batch for _, batch in self.steps] != [self.low << i + 1 for i in range(len(self.steps))]:
            raise UserError(f"a batch that doubles from {self.low} on is never {[batch for _, batch in self.steps]}")
        if self.batch > self.high:
            raise UserError(f"a batch of {self.batch} is beyond {self.high}, the largest")

    @property
    def batch(self) -> int:
        """The one in force, or the one that is announced."""
        return self.steps[-1][1] if self.steps else self.low


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
    pretrained: Count = 0
    """Fakes that G had made while it trained alone."""
    warm_up: WarmUpRecord | None = None
    """Of a run that begins with D alone."""
    doubling: dict[Network, DoublingRecord] = field(default_factory=dict)
    """Of networks whose batch follows their noise scale."""
    attempt: Count = 0
    """How often the run had gone back from a collapse."""
    health: tuple[HealthRecord, ...] = ()
    """What was found at each look at the health of the networks."""
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
    if not record.pretrained:
        del plain["pretrained"]
    if not record.doubling:
        del plain["doubling"]
    if not record.attempt:
        del plain["attempt"]
    if not record.health:
        del plain["health"]
    return plain
