"""Sections of numbers with their protocol: metrics beside each other and beside the published log, truncation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biggan.evaluation.protocol import Protocol
from biggan.evaluation.records import MetricRecord, comparable_groups
from biggan.report.charts import Chart, Line
from biggan.report.compare import CURVES, compare, refusal
from biggan.report.document import Block, Charts, Fold, Missing, Picture, Pictures, Section, Table, Text
from biggan.report.runs import RunFiles, is_own
from biggan.report.series import of_pairs
from biggan.report.settings import command

SHEET = Path("truncation") / "truncation_sheet.png"
_MOST_ROWS = 400
_MOST_CHARTS = 24
_OF_MEMORISATION = ("nearest_real", "copies")
Log = dict[str, "np.ndarray[tuple[int], np.dtype[np.float64]]"]


def metrics(runs: Sequence[RunFiles], log: Log, log_title: str) -> Section:
    """Show the newest number of each protocol, run beside run, the curves, and where the published log lies."""
    plain = {run.name: [record for record in run.records if _asked(record) is None] for run in runs}
    blocks: list[Block] = []
    groups = comparable_groups([record for records in plain.values() for record in records])
    owner = {id(record): name for name, records in plain.items() for record in records}
    if groups:
        newest = [_newest(group, owner, runs) for group in groups[:_MOST_ROWS]]
        heads, bare = _heads(newest, runs)
        rows = tuple(
            (group[0].metric, *_cells(found, bare), group[0].protocol)
            for group, found in zip(groups[:_MOST_ROWS], newest, strict=True)
        )
        caption = "The newest numbers; only what was measured by one protocol stands in one row"
        blocks.append(Table(caption=caption, head=("number", *heads, "protocol"), rows=rows))
        if len(groups) > _MOST_ROWS:
            blocks.append(Missing(text=f"{len(groups) - _MOST_ROWS:,} more protocols are left out."))
        charts = [
            chart for number, group in enumerate(groups) if (chart := _over_time(number, group, owner, runs, log))
        ]
        if charts:
            blocks.append(Charts(charts=tuple(charts[:_MOST_CHARTS])))
        blocks += _beside_the_log(plain, log, log_title)
        blocks += _notes(plain)
    for run in runs:
        if not plain[run.name]:
            blocks.append(
                Missing(text=f"{run.name} was not evaluated; this does it", command=command("evaluate", run.path))
            )
    return Section(name="metrics", title="Metrics", blocks=tuple(blocks))


def truncation(runs: Sequence[RunFiles]) -> Section:
    """Show numbers over the truncation, of the newest weights that were measured so."""
    blocks: list[Block] = []
    charts: list[Chart] = []
    for number, run in enumerate(runs):
        groups = _sweeps([record for record in run.records if _asked(record) is not None])
        if not groups:
            words = command("evaluate", "truncation", run.path)
            blocks.append(Missing(text=f"{run.name} has no truncation curve; this makes it", command=words))
            continue
        for place, group in enumerate(groups[:_MOST_CHARTS]):
            values = [(_asked(record) or 0.0, record.value) for record in group]
            title = group[0].metric if len(runs) == 1 else f"{group[0].metric}, {run.name}"
            line = Line(name=group[0].metric, series=of_pairs(values), dots=True, look=number)
            charts.append(Chart(
                name=f"truncation-{number}-{place}", title=title, lines=(line,), across="truncation", legend=False
            ))  # fmt: skip
        blocks.append(_table_of_sweep(run, groups))
        path = run.path / SHEET
        if is_own(run.path, path):
            alt = f"Images of {run.name} at rising truncation"
            caption = f"{run.name}: the same seeds and classes in each column, a truncation a row, as in the table"
            shown = Picture(path=path, name=f"truncation-sheet-{number}", alt=alt, caption=caption)
            blocks.append(Pictures(pictures=(shown,)))
    if charts:
        blocks.insert(0, Charts(charts=tuple(charts)))
    return Section(name="truncation", title="Truncation", blocks=tuple(blocks))


def has_metrics(run: RunFiles) -> bool:
    """Tell whether the run was evaluated without truncation, beyond a look at its nearest neighbours."""
    return any(_asked(record) is None and not record.metric.startswith(_OF_MEMORISATION) for record in run.records)


def has_truncation(run: RunFiles) -> bool:
    """Tell whether the run was evaluated over a range of truncations."""
    return bool(_sweeps([record for record in run.records if _asked(record) is not None]))


def _asked(record: MetricRecord) -> float | None:
    statistics = record.conditions.judged.statistics
    return None if statistics is None else statistics.asked


def _clock(record: MetricRecord) -> int:
    return record.images_seen or 0


def _newest(
    group: Sequence[MetricRecord], owner: dict[int, str], runs: Sequence[RunFiles]
) -> list[MetricRecord | None]:
    """Return the newest record of each run in a group."""
    own = ([record for record in group if owner[id(record)] == run.name] for run in runs)
    return [max(records, key=_clock, default=None) for records in own]


def _heads(newest: Sequence[Sequence[MetricRecord | None]], runs: Sequence[RunFiles]) -> tuple[list[str], list[bool]]:
    """Return a heading for each run, and whether it tells the one clock of all numbers below it."""
    heads, bare = [], []
    for column, run in enumerate(runs):
        clocks = {record.images_seen for row in newest if (record := row[column]) is not None}
        clock = clocks.pop() if len(clocks) == 1 else None
        heads.append(run.name if clock is None else f"{run.name}, at {clock:,} images")
        bare.append(clock is not None)
    return heads, bare


def _cells(newest: Sequence[MetricRecord | None], bare: Sequence[bool]) -> list[str]:
    cells = []
    for record, told in zip(newest, bare, strict=True):
        at = "" if told or record is None or record.images_seen is None else f" at {record.images_seen:,} images"
        cells.append("" if record is None else f"{value_of(record)}{at}")
    return cells


def value_of(record: MetricRecord) -> str:
    """Return the value as tables show it."""
    value = record.value
    return "not computed" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:.5g}"


def _over_time(
    number: int, group: Sequence[MetricRecord], owner: dict[int, str], runs: Sequence[RunFiles], log: Log
) -> Chart | None:
    """Return the curve of one protocol over images seen, the log beside it where they may be compared."""
    lines = []
    for look, run in enumerate(runs):
        own = {_clock(record): record.value for record in group
               if owner[id(record)] == run.name and record.images_seen is not None}  # fmt: skip
        if any(value is not None for value in own.values()):
            lines.append((len(own), Line(name=run.name, series=of_pairs(sorted(own.items())), dots=True, look=look)))
    comparable_with_log = bool(lines) and refusal(group[0]) == []
    if not lines or (max(count for count, _ in lines) < 2 and not comparable_with_log):
        return None
    drawn = [line for _, line in lines]
    if comparable_with_log:
        column = log[CURVES[group[0].metric].column]
        pairs = list(zip(log["images"].tolist(), column.tolist(), strict=True))
        drawn.append(Line(name="published log", series=of_pairs(pairs), reference=True))
    return Chart(name=f"metric-{number}", title=group[0].metric, lines=tuple(drawn), legend=len(drawn) > 1)


def _beside_the_log(plain: dict[str, list[MetricRecord]], log: Log, title: str) -> list[Block]:
    """Return where the numbers lie in the published log, and why others may not be put beside it."""
    told: list[tuple[str, str]] = []
    refused: dict[str, None] = {}
    for name, records in plain.items():
        known = [record for record in records if record.value is not None and record.images_seen is not None]
        found, reasons = compare(known, log)
        told += [(name, str(comparison)) for comparison in found]
        refused |= dict.fromkeys(reasons)
    blocks: list[Block] = []
    if told:
        caption = f"Beside the published log ({title})"
        blocks.append(Table(caption=caption, head=("run", "at"), rows=tuple(told[:_MOST_ROWS])))
    if refused:
        rows = tuple((reason,) for reason in list(refused)[:_MOST_ROWS])
        table = Table(caption=f"Not put beside the published log ({title})", head=("number, and why",), rows=rows)
        blocks.append(
            Fold(title=f"Numbers that may not be put beside the published log: {len(refused):,}", blocks=(table,))
        )
    return blocks


def _notes(plain: dict[str, list[MetricRecord]]) -> list[Block]:
    """Return what evaluations remarked, each remark once."""
    notes = dict.fromkeys(note for records in plain.values() for record in records for note in record.notes)
    return [Text(text=f"Note: {note}") for note in list(notes)[:20]]


def _sweeps(records: Sequence[MetricRecord]) -> list[list[MetricRecord]]:
    """Return, for each number, its records at two or more truncations of one file, by truncation; the newest file's."""
    found: dict[tuple[object, ...], dict[float, MetricRecord]] = {}
    for record in records:
        key = (record.metric, record.file, record.images_seen, _without_truncation(record.conditions))
        found.setdefault(key, {})[_asked(record) or 0.0] = record
    newest: dict[tuple[object, ...], list[MetricRecord]] = {}
    for (metric, _, _, protocol), group in found.items():
        if len(group) < 2:
            continue
        name = (metric, protocol)
        rows = [group[at] for at in sorted(group)]
        if name not in newest or _clock(rows[0]) >= _clock(newest[name][0]):
            newest[name] = rows
    return list(newest.values())


def _without_truncation(protocol: Protocol) -> str:
    """Return what protocols share that differ in the truncation alone."""
    statistics = protocol.judged.statistics
    if statistics is not None:
        statistics = dataclasses.replace(statistics, asked=None, truncation=None, truncation_kind=None, between=())
    return dataclasses.replace(protocol, judged=dataclasses.replace(protocol.judged, statistics=statistics)).digest


def _table_of_sweep(run: RunFiles, groups: Sequence[Sequence[MetricRecord]]) -> Table:
    """Return a row a truncation, a column a number."""
    shown = groups[:8]
    at = sorted({_asked(record) or 0.0 for group in shown for record in group})
    values = [{_asked(record) or 0.0: value_of(record) for record in group} for group in shown]
    rows = tuple((f"{truncation:g}", *(column.get(truncation, "") for column in values)) for truncation in at)
    newest = shown[0][0]
    where = "" if newest.images_seen is None else f" at {newest.images_seen:,} images"
    return Table(
        caption=f"{run.name}{where}, each truncation by itself: {newest.protocol} and so on",
        head=("truncation", *(group[0].metric for group in shown)),
        rows=rows[:_MOST_ROWS],
        numbers=True,
    )
