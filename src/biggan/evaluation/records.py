"""Numbers as they are kept: a typed record each, a line of metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from biggan.evaluation.protocol import Protocol, comparable
from biggan.foundation.config import to_json
from biggan.foundation.errors import UserError
from biggan.foundation.files import append_text, finite
from biggan.foundation.limits import Ge, MaxLen
from biggan.foundation.records import Count, Name, parse_record, read_bounded
from biggan.metrics.definitions import METRICS, title

METRICS_FILE = "metrics.jsonl"
_LARGEST_FILE, _LARGEST_LINE = 2**28, 2**16


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """One number."""

    metric: Name
    """Its name, such as ``fid`` or ``fd_classifier``."""
    value: float | None
    """None if it could not be computed; ``notes`` say why."""
    protocol: Name
    """On one line; derived from ``conditions``."""
    conditions: Protocol
    """All that decides it, but the model."""
    file: Name | None = None
    """The generator's, or the kind of the images."""
    images_seen: Count | None = None
    """By the generator, in training."""
    iterations: Count | None = None
    reference_from_cache: bool = False
    seconds: Annotated[float, Ge(0)] = 0.0
    """Since the evaluation began."""
    device: Name = "cpu"
    ranks: Annotated[int, Ge(1)] = 1
    """Processes that shared the work; no number depends on it."""
    notes: Annotated[tuple[Name, ...], MaxLen(100)] = ()

    def __post_init__(self) -> None:
        if self.protocol != str(self.conditions) or self.metric != self.conditions.metric:
            raise ValueError(f"the line '{self.protocol}' is not that of its conditions, '{self.conditions}'")


def as_line(record: MetricRecord) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(finite(to_json(record)), allow_nan=False)


def append_records(folder: Path, records: Iterable[MetricRecord]) -> None:
    """Append records to the ``metrics.jsonl`` of a folder; for one process to do.

    Raises:
        UserError: the file is a link, or the disk is full.
    """
    lines = "".join(f"{as_line(record)}\n" for record in records)
    if lines:
        folder.mkdir(parents=True, exist_ok=True)
        append_text(folder / METRICS_FILE, lines)


def read_records(path: Path) -> list[MetricRecord]:
    """Return the records of a ``metrics.jsonl``; a last line that a killed process did not finish is left out.

    Raises:
        CorruptFileError: a line is no such record; names line, field and value.
        UserError: the file cannot be read.
    """
    *lines, _ = read_bounded(path, _LARGEST_FILE).split(b"\n")
    return [
        parse_record(MetricRecord, line, f"{path}, line {number}", limit=_LARGEST_LINE)
        for number, line in enumerate(lines, 1)
        if line.strip()
    ]


def comparable_groups(records: Sequence[MetricRecord]) -> list[list[MetricRecord]]:
    """Return records in groups of which all members may be compared with each other, each group in the order given."""
    groups: list[list[MetricRecord]] = []
    for record in records:
        for group in groups:
            if not comparable(group[0].conditions, record.conditions):
                group.append(record)
                break
        else:
            groups.append([record])
    return groups


def best_value(records: Sequence[MetricRecord], name: str | None) -> tuple[str, float] | None:
    """Return the number that chooses checkpoints, larger is better.

    Args:
        records: of one evaluation.
        name: of the number; None takes the first that has a direction and a value.

    Returns:
        The number's name with the digest of its protocol, so that only comparable ones stand under one name, and the
        value; None if nothing was measured that can choose.

    Raises:
        UserError: no such number was measured, or it has no direction.
    """
    directions = {
        title(value, record.conditions.features.name if record.conditions.features else "images"): better
        for record in records
        for metric in METRICS
        for value, better in METRICS[metric].larger_is_better.items()
    }
    for record in records:
        if record.metric in directions and name in (None, record.metric) and record.value is not None:
            value = record.value if directions[record.metric] else -record.value
            return f"{record.metric} {record.conditions.digest}", value
    if name is not None and name not in {record.metric for record in records if record.metric in directions}:
        names = ", ".join(record.metric for record in records if record.metric in directions)
        raise UserError(f"--evaluation.best-by {name}: not among what was measured: {names or 'nothing'}")
    return None


def summary(records: Iterable[MetricRecord]) -> str:
    """Return names and values on one line."""
    return ", ".join(f"{record.metric} {record.value:.4g}" for record in records if record.value is not None)


def table(records: Sequence[MetricRecord]) -> str:
    """Return records as lines for a person."""
    width = max((len(record.metric) for record in records), default=6)
    lines = []
    for record in records:
        value = record.value
        shown = "not computed" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:.1f}"
        lines.append(f"{record.metric:{width}}  {shown:>12}  {record.protocol}")
    return "\n".join([*lines, *_notes(records)])


def _notes(records: Sequence[MetricRecord]) -> list[str]:
    """Return each note once, with the numbers that it is about unless it is about all."""
    about: dict[str, list[str]] = {}
    for record in records:
        for note in record.notes:
            about.setdefault(note, []).append(record.metric)
    return [
        f"note: {note}" if len(metrics) == len(records) else f"note: {', '.join(metrics)}: {note}"
        for note, metrics in about.items()
    ]
