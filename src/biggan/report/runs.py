"""What the files of a run hold, for a report. Nothing in them is trusted; what is damaged is left out and said."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biggan.evaluation.records import METRICS_FILE, MetricRecord
from biggan.foundation.errors import UserError
from biggan.foundation.names import CHECKPOINTS, clock_of
from biggan.foundation.records import parse_record, read_plain
from biggan.foundation.terminal import one_line
from biggan.report.health import STATS
from biggan.report.lines import LONGEST, Damage, ends, json_lines, whole_lines
from biggan.report.series import Series

CONFIG, LOG = "config.json", "log.txt"
MOST_RUNS = 24
_MOST_NAMES = 2048  # numbers of a run that are followed
_MOST_RECORDS = 20_000
_MOST_FINDINGS = 200
_LARGEST_CLOCK = 2**53
_LARGEST = 1e100
"""Beyond it no number of a run means anything."""


@dataclass(kw_only=True)
class RunFiles:
    """One run."""

    name: str
    path: Path
    stored: dict[str, Any]
    """``config.json``."""
    numbers: dict[str, Series] = field(default_factory=dict)
    singular_values: dict[str, Series] = field(default_factory=dict)
    health: dict[str, Series] = field(default_factory=dict)
    findings: list[tuple[int, str]] = field(default_factory=list)
    """(images seen, what was found), the newest ones."""
    looks: int = 0
    sick_looks: int = 0
    clock: int = 0
    """Images seen, by the last line of numbers."""
    iterations: int = 0
    seconds: float = 0.0
    """Of training, at the speeds that were measured."""
    waited: float = 0.0
    """Of these, waiting for data."""
    records: list[MetricRecord] = field(default_factory=list)
    judged: dict[str, Series] = field(default_factory=dict)
    """Values by which checkpoints are kept, by name."""
    log_head: str = ""
    log_tail: str = ""
    remarks: list[str] = field(default_factory=list)

    def at(self, *names: str, default: Any = None) -> Any:
        """Return what ``config.json`` holds under names within names."""
        value: Any = self.stored
        for name in names:
            if not isinstance(value, dict) or name not in value:
                return default
            value = value[name]
        return value


def check_runs(paths: Sequence[str], names: Sequence[str]) -> list[tuple[str, Path]]:
    """Return (name, folder) of each run; nothing is read but whether it is one.

    Raises:
        UserError: a folder that is no run, one that is named twice, two of one name, or too many.
    """
    if not paths:
        raise UserError("report of which run? Name a run directory, or several")
    if len(paths) > MOST_RUNS:
        raise UserError(f"{len(paths)} runs: a report shows {MOST_RUNS} at most; name fewer")
    if names and len(names) != len(paths):
        raise UserError(f"--names: {len(names)} names for {len(paths)} runs; give one for each")
    found: list[tuple[str, Path]] = []
    for place, text in enumerate(paths):
        path, shown = Path(text), one_line(text, 200)
        if not path.is_dir():
            raise UserError(
                f"{shown}: {'this is a file' if path.exists() else 'there is no such run'}; name a run directory"
            )
        if not is_own(path, path / CONFIG):
            raise UserError(f"{shown}: no run directory (it holds no {CONFIG}, or one that lies elsewhere)")
        name = names[place] if names else path.resolve().name or str(path)
        for other, there in found:
            if path.samefile(there):
                raise UserError(f"{shown}: this run is named twice; name it once")
            if name == other:
                raise UserError(
                    f"two runs are called '{one_line(name, 80)}' ({one_line(str(there), 200)} and {shown}); give "
                    "each a name: --names A B"
                )
        found.append((name, path))
    return found


def is_own(run: Path, path: Path) -> bool:
    """Tell whether a file is there and lies in the directory of the run.

    What a link leads to is not the run's: a report is passed on, and must not carry what its reader never had.
    """
    return path.is_file() and path.resolve().is_relative_to(run.resolve())


def read_run(name: str, path: Path) -> RunFiles:
    """Return what a run's files hold.

    Raises:
        UserError: its configuration is damaged or a file cannot be read.
    """
    stored = read_plain(path / CONFIG)
    if not isinstance(stored, dict):
        raise UserError(f"{path / CONFIG}: no configuration of a run")
    run = RunFiles(name=name, path=path, stored=stored)
    for file, read in ((STATS, _read_statistics), (METRICS_FILE, _read_metrics)):
        if is_own(path, path / file):
            read(run)
    _read_judged(run)
    if is_own(path, path / LOG):
        run.log_head, run.log_tail = ends(path / LOG)
    return run


def _read_statistics(run: RunFiles) -> None:
    damage = Damage()
    left_out: set[str] = set()

    def add(kept: dict[str, Series], name: str, clock: int, value: object) -> None:
        number = number_of(value)
        if number is None and value is not None:
            return
        if name not in kept:
            if len(run.numbers) + len(run.singular_values) + len(run.health) >= _MOST_NAMES:
                if len(left_out) < 10_000:
                    left_out.add(name[:100])
                return
            kept[name] = Series()
        kept[name].add(clock, number)

    for record in json_lines(run.path / STATS, damage):
        clock = record.pop("images_seen", None)
        if not isinstance(clock, int) or isinstance(clock, bool) or not 0 <= clock <= _LARGEST_CLOCK:
            damage.note("a line without a clock")
            continue
        iterations = record.pop("iterations", 0)
        if "health" in record:
            _note_look(run, clock, record, add)
            continue
        _note_time(run, clock, record)
        run.iterations = iterations if isinstance(iterations, int) else run.iterations
        values = record.pop("singular_values", None)
        for name, value in record.items():
            add(run.numbers, name, clock, value)
        for name, several in values.items() if isinstance(values, dict) else ():
            first = several[0] if isinstance(several, list) and several else several
            add(run.singular_values, name, clock, first)
    run.remarks += damage.sentences(run.path / STATS)
    if left_out:
        run.remarks.append(
            f"{run.path / STATS}: {len(left_out):,} numbers beyond the first {_MOST_NAMES:,} are left out"
        )


def _note_look(run: RunFiles, clock: int, record: dict[str, Any], add: Any) -> None:
    numbers, found = record["health"], record.get("findings")
    run.looks += 1
    for name, value in numbers.items() if isinstance(numbers, dict) else ():
        add(run.health, name, clock, value)
    if isinstance(found, dict) and found:
        run.sick_looks += 1
        run.findings.append((clock, "; ".join(f"{kind}: {text}" for kind, text in itertools.islice(found.items(), 20))))
        del run.findings[:-_MOST_FINDINGS]


def _note_time(run: RunFiles, clock: int, record: dict[str, Any]) -> None:
    speed, wait = number_of(record.get("images_per_second")), number_of(record.get("data_wait"))
    if speed is not None and speed > 0 and clock > run.clock:
        seconds = (clock - run.clock) / speed
        run.seconds += seconds
        run.waited += seconds * min(max(wait or 0.0, 0.0), 1.0)
    run.clock = clock


def _read_metrics(run: RunFiles) -> None:
    path, damage, skipped = run.path / METRICS_FILE, Damage(), 0
    for number, line in whole_lines(path, damage):
        if len(run.records) >= _MOST_RECORDS:
            skipped += 1
            continue
        try:
            run.records.append(parse_record(MetricRecord, line, f"line {number}", limit=LONGEST))
        except UserError as error:
            damage.note(error)
    run.remarks += damage.sentences(path)
    if skipped:
        run.remarks.append(f"{path}: {skipped:,} numbers beyond the first {_MOST_RECORDS:,} are left out")


def _read_judged(run: RunFiles) -> None:
    """Read by which values checkpoints are kept, out of the newest checkpoint, if there is one."""
    folder = run.path / CHECKPOINTS
    clocks = [clock_of(entry.name) for entry in folder.iterdir()] if folder.is_dir() else []
    state = folder / str(max((clock for clock in clocks if clock is not None), default=0)) / "state.json"
    if not is_own(run.path, state):
        return
    try:
        record = read_plain(state)
    except UserError as error:
        run.remarks.append(str(error))
        return
    best = record.get("best") if isinstance(record, dict) else None
    found: list[tuple[int, str, float]] = []
    for entry in best if isinstance(best, list) else ():
        if isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str) and isinstance(entry[2], int):
            value = number_of(entry[1])
            if value is not None and 0 <= entry[2] <= _LARGEST_CLOCK:
                found.append((entry[2], entry[0], value))
    for clock, name, value in sorted(found):
        if name in run.judged or len(run.judged) < 20:
            run.judged.setdefault(name, Series()).add(clock, value)


def number_of(value: object) -> float | None:
    """Return a number that can be drawn, None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if abs(number) <= _LARGEST else None
