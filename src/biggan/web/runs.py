"""Runs that train while they are looked at: curves, sheets, and what the looks at their health found."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from biggan.foundation.errors import UserError
from biggan.foundation.names import clock_of
from biggan.foundation.records import LIMIT, parse_plain
from biggan.foundation.terminal import one_line
from biggan.report.series import Series
from biggan.web.bounds import MOST_RUNS, Bounds, RequestError
from biggan.web.life import Life
from biggan.web.places import STATS, Entry, Places, check_inside, open_inside

METRICS = "metrics.jsonl"
SAMPLES = "samples"
SHEETS = ("fixed", "classes", "interpolation_zy", "interpolation_z", "interpolation_y")
_MOST_CURVES = 200
_MOST_SHEETS = 2000
_LARGEST_SHEET = 64 * 2**20
_MOST_LISTED = 50
_LOOK = 2.0
"""Seconds after which runs are listed anew."""


@dataclass
class _Log:
    """What was read of one run so far."""

    identity: tuple[int, ...] = ()
    places: dict[str, int] = field(default_factory=dict)
    curves: dict[str, Series] = field(default_factory=dict)
    clock: int = 0
    looks: int = 0
    findings: list[tuple[int, dict[str, str]]] = field(default_factory=list)


class Runs:
    """The runs among what is served, read on as they grow.

    Args:
        places: what there is.
        bounds: of what is read.
    """

    def __init__(self, places: Places, bounds: Bounds) -> None:
        self._places, self._bounds = places, bounds
        self._logs: dict[str, _Log] = {}
        self._life = Life()
        self._lock = threading.Lock()
        self._listed: tuple[list[dict[str, Any]], float] = [], -1e9

    def listed(self) -> list[dict[str, Any]]:
        """Return the runs: name, images seen, whether it trains, names of curves, sheets and findings."""
        listed, then = self._listed
        if time.monotonic() - then > _LOOK:  # many look at the same: folders are gone through once for all
            entries = [entry for entry in self._places.entries().values() if entry.trains]
            listed = []
            for entry in entries[:_MOST_LISTED]:
                with contextlib.suppress(RequestError):  # a log that is a link: the other runs can still be looked at
                    listed.append(self.about(entry.name))
            self._listed = listed, time.monotonic()
        return listed

    def about(self, name: str) -> dict[str, Any]:
        """Return what is known about a run.

        Raises:
            RequestError: no such run.
        """
        entry = self._find(name)
        log = self._read(entry)
        return {
            "run": entry.name,
            "images_seen": log.clock,
            "live": self._life.trains(entry.path),
            "curves": sorted(log.curves),
            "sheets": self.sheets(entry),
            "looks": log.looks,
            "findings": [{"images_seen": clock, "findings": found} for clock, found in log.findings[-20:]],
        }

    def curve(self, names: Sequence[str], curve: str) -> dict[str, Series]:
        """Return one curve of those of several runs that have it.

        Raises:
            RequestError: no such run, none that has the curve, or too many.
        """
        if not 1 <= len(names) <= MOST_RUNS:
            raise RequestError(f"run: {len(names)} runs, where a plot shows 1 to {MOST_RUNS}")
        entries = [self._find(name) for name in dict.fromkeys(names)]
        found = {entry.name: self._read(entry).curves.get(curve) for entry in entries}
        known = {name: copy.deepcopy(series) for name, series in found.items() if series is not None}
        if not known:
            raise RequestError(f"no curve '{one_line(curve, 80)}' in these runs", 404)
        return known

    def sheets(self, entry: Entry) -> dict[str, list[str]]:
        """Return the sheets of a run by their clocks, oldest first."""
        folder = entry.path / SAMPLES
        if folder.is_symlink() or not folder.is_dir():
            return {}
        clocks = sorted(clock for one in folder.iterdir() if (clock := clock_of(one.name)) is not None)
        return {
            str(clock): names
            for clock in clocks[-_MOST_SHEETS:]
            if (names := [name for name in SHEETS if (folder / str(clock) / f"{name}.png").is_file()])
        }

    def sheet(self, name: str, clock: int, sheet: str) -> bytes:
        """Return the PNG file of a sheet.

        Raises:
            RequestError: there is none.
        """
        entry = self._find(name)
        if sheet not in SHEETS:
            raise RequestError(f"sheet: one of {', '.join(SHEETS)}")
        with open_inside(entry.path / SAMPLES / str(clock) / f"{sheet}.png", entry.root, name) as file:
            data = file.read(_LARGEST_SHEET + 1)
        if len(data) > _LARGEST_SHEET or not data.startswith(b"\x89PNG"):
            raise RequestError("this sheet is no picture, or too large to be sent", 413)
        return data

    def _find(self, name: str) -> Entry:
        entry = self._places.find(name)
        if not entry.trains:
            raise RequestError(f"'{one_line(name, 80)}' is no run with a log", 404)
        check_inside(entry.path / STATS, entry.root, name)
        return entry

    def _read(self, entry: Entry) -> _Log:
        """Return the run's log, read on from where it was read to; anew where it is another or shorter file."""
        with self._lock:
            log = self._logs.get(entry.name, _Log())
            for name, note in ((STATS, _note_stats), (METRICS, _note_metrics)):
                if name == METRICS and not (entry.path / METRICS).is_file():
                    continue
                with open_inside(entry.path / name, entry.root, entry.name) as file:
                    found = os.fstat(file.fileno())
                    if name == STATS and (
                        log.identity != (found.st_dev, found.st_ino) or found.st_size < log.places.get(name, 0)
                    ):
                        log = _Log(identity=(found.st_dev, found.st_ino))
                    start = max(log.places.get(name, 0), found.st_size - self._bounds.log)
                    file.seek(start)
                    data = file.read(self._bounds.log)
                whole = data.rfind(b"\n") + 1
                for line in data[:whole].splitlines():
                    _note(line, log, note)
                log.places[name] = start + whole
            self._logs[entry.name] = log
            return log


def _note(line: bytes, log: _Log, note: Any) -> None:
    """Take one line in; what is no line of a run is passed over."""
    if len(line) > LIMIT:
        return
    try:
        record = parse_plain(line, "a line")
    except UserError:
        return
    if isinstance(record, dict) and isinstance(record.get("images_seen"), int):
        note(record, record["images_seen"], log)


def _note_stats(record: dict[str, Any], clock: int, log: _Log) -> None:
    log.clock = max(log.clock, clock)
    health = record.get("health")
    if isinstance(health, dict):
        log.looks += 1
        for name, value in health.items():
            _add(log, f"health {name}", clock, value)
        found = record.get("findings")
        if isinstance(found, dict) and found:
            log.findings.append((clock, {str(kind)[:80]: str(text)[:500] for kind, text in found.items()}))
            del log.findings[:-200]
        return
    for name, value in record.items():
        if name not in ("images_seen", "iterations"):
            _add(log, name, clock, value)


def _note_metrics(record: dict[str, Any], clock: int, log: _Log) -> None:
    _add(log, f"metric {str(record.get('metric'))[:80]}", clock, record.get("value"))


def _add(log: _Log, name: str, clock: int, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        return
    if name not in log.curves and len(log.curves) >= _MOST_CURVES:
        return
    log.curves.setdefault(name[:120], Series()).add(clock, float(value))
