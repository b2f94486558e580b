"""Sections of what was asked for: differences between runs, configuration, data, environment, time."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from biggan.foundation.terminal import typed
from biggan.report.document import Block, Fold, Listing, Missing, Picture, Pictures, Section, Table, Text
from biggan.report.runs import RunFiles, is_own

CARD = "data_card.png"
_LONGEST = 300  # letters of a value
_MOST_ROWS, _MOST_CLASSES = 1000, 200
_LOG_LETTERS = 12_000
_STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", re.ASCII)
_OF_THE_PLACE = ("run-dir", "dry-run")


def at_a_glance(runs: Sequence[RunFiles]) -> Section:
    """Say what the runs are."""
    facts = [_glance(run) for run in runs]
    rows = tuple((name, *(fact[name] for fact in facts)) for name in facts[0])
    caption = "The runs" if len(runs) > 1 else "The run"
    blocks: list[Block] = [Table(caption=caption, head=("", *(run.name for run in runs)), rows=rows)]
    remarks = [remark for run in runs for remark in run.remarks]
    blocks += [Missing(text=remark) for remark in remarks]
    return Section(name="glance", title="At a glance", blocks=tuple(blocks))


def differences(runs: Sequence[RunFiles]) -> Section:
    """Show the options in which runs differ, and no others."""
    tables = [_facts(run) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = [(name, *(table.get(name, "not stored") for table in tables)) for name in names]
    rows = [row for row in rows if len(set(row[1:])) > 1]
    head = ("option", *(run.name for run in runs))
    if not rows:
        block: Block = Text(text="All options are the same, down to data, seed and versions.")
    else:
        block = Table(caption="Options that differ; all others are the same", head=head, rows=tuple(rows[:_MOST_ROWS]))
    return Section(name="differences", title="What differs", blocks=(block,))


def configuration(runs: Sequence[RunFiles]) -> Section:
    """Show every option of every run, folded."""
    blocks: list[Block] = [Text(text="Every option as it was resolved, whether it was given or not.")]
    for run in runs:
        rows = tuple(options(run.at("config", default={})).items())
        table = Table(caption=f"Options of {run.name}", head=("option", "value"), rows=rows[:_MOST_ROWS])
        blocks.append(Fold(title=f"All {len(rows):,} options of {run.name}", blocks=(table,)))
        if len(rows) > _MOST_ROWS:
            blocks.append(Missing(text=f"{len(rows) - _MOST_ROWS:,} more options are left out."))
    return Section(name="configuration", title="Configuration", blocks=tuple(blocks))


def data_card(runs: Sequence[RunFiles]) -> Section:
    """Show what was understood of the data: the card, the sentences, the classes."""
    blocks: list[Block] = []
    for number, run in enumerate(runs):
        if len(runs) > 1:
            blocks.append(Text(text=f"{run.name}:"))
        said = _said_of_data(run.log_head)
        if said:
            blocks.append(Listing(text=said))
        else:
            blocks.append(Missing(text=f"{run.path / 'log.txt'} does not begin with what was understood of the data."))
        if is_own(run.path, run.path / CARD):
            caption = f"Labelled images of {run.name}, as training takes them."
            alt = f"Images of {_count(run.at('data', 'images'))} with the names of their classes"
            picture = Picture(path=run.path / CARD, name=f"data-{number}", alt=alt, caption=caption)
            blocks.append(Pictures(pictures=(picture,)))
        else:
            blocks.append(Missing(text="There is no data card: 'biggan train' draws it when a run starts."))
        names = run.at("data", "class_names", default=[])
        if isinstance(names, list) and names:
            listed = ", ".join(_shown(name) for name in names[:_MOST_CLASSES])
            more = f" and {len(names) - _MOST_CLASSES:,} more" if len(names) > _MOST_CLASSES else ""
            title = f"Names of {len(names):,} classes" if len(names) > 1 else "The name of its one class"
            blocks.append(Fold(title=title, blocks=(Text(text=listed + more),)))
    return Section(name="data", title="Data", blocks=tuple(blocks))


def environment(runs: Sequence[RunFiles]) -> Section:
    """Show versions, ranks and precision as they were when the runs were last started."""
    tables = [_environment(run) for run in runs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    rows = tuple((name, *(table.get(name, "not stored") for table in tables)) for name in names)
    table = Table(caption="When last started", head=("", *(run.name for run in runs)), rows=rows[:_MOST_ROWS])
    return Section(name="environment", title="Environment", blocks=(table,))


def time(runs: Sequence[RunFiles]) -> Section:
    """Show how long it took, and the end of the log."""
    rows: list[tuple[str, ...]] = []
    blocks: list[Block] = []
    for run in runs:
        if not run.seconds:
            blocks.append(Missing(text=f"{run.path / 'stats.jsonl'} holds no speeds: {run.name} has not trained yet."))
            continue
        first, last = (_stamp(lines) for lines in (run.log_head.splitlines(), run.log_tail.splitlines()[::-1]))
        rows.append((
            run.name, first, last, duration(run.seconds), f"{run.clock / run.seconds:,.1f}",
            f"{run.waited / run.seconds:.1%}", f"{run.iterations:,}",
        ))  # fmt: skip
    head = ("run", "first line of the log", "last line", "training, at the measured speeds", "images a second",
            "of it waiting for data", "iterations")  # fmt: skip
    if rows:
        blocks.insert(0, Table(caption="Time", head=head, rows=tuple(rows), numbers=True))
    for run in runs:
        text = run.log_tail[-_LOG_LETTERS:]
        if text:
            text = text.partition("\n")[2] if len(text) < len(run.log_tail) else text
            blocks.append(Fold(title=f"The end of the log of {run.name}", blocks=(Listing(text=text),)))
        else:
            blocks.append(Missing(text=f"{run.name} has no log: 'biggan train' writes log.txt."))
    return Section(name="time", title="Time", blocks=tuple(blocks))


def options(config: Any, before: str = "") -> dict[str, str]:
    """Return the values of a stored configuration by the names of their options."""
    found: dict[str, str] = {}
    for name, value in config.items() if isinstance(config, dict) else ():
        option = f"{before}{name.replace('_', '-')}"
        if isinstance(value, dict) and value:
            found |= options(value, f"{option}.")
        else:
            found[option] = _shown(value)
    return found


def command(*words: object) -> str:
    """Return a command as it is typed."""
    return typed("biggan", *words)


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 48 * 60 else f"{minutes / 1440:.1f} days"


def _facts(run: RunFiles) -> dict[str, str]:
    """Return everything by which runs may differ, the options first."""
    found = {"preset": _shown(run.at("preset"))}
    found |= {
        f"--{name}": value for name, value in options(run.at("config", default={})).items() if name not in _OF_THE_PLACE
    }
    found |= {
        "images of the data": _count(run.at("data", "images")),
        "content of the data": _shown(run.at("data", "key"))[:16],
    }
    return found | _environment(run)


def _environment(run: RunFiles) -> dict[str, str]:
    versions = run.at("versions", default={})
    found = (
        {f"version of {name}": _shown(value) for name, value in versions.items()} if isinstance(versions, dict) else {}
    )
    found["--device"] = _shown(run.at("config", "device"))
    for name, value in options(run.at("used", default={})).items():
        found[name.replace("-", " ").replace(".", ": ")] = value
    return found


def _said_of_data(head: str) -> str:
    lines = [line[20:] for line in head.splitlines()[:200]]  # without the time
    start = next((number for number, line in enumerate(lines) if line.startswith("data: ")), None)
    if start is None:
        return ""
    end = next((n for n in range(start + 1, len(lines)) if not lines[n].startswith("  ")), len(lines))
    return "\n".join(line[: _LONGEST * 4] for line in lines[start:end])


def _stamp(lines: Sequence[str]) -> str:
    """Return the time of the first of ``lines`` that has one."""
    for line in lines[:100]:
        if _STAMP.match(line):
            return line[:19]
    return "not known"


def _glance(run: RunFiles) -> dict[str, str]:
    size = run.at("config", "model", "resolution", default=[])
    return {
        "preset": _shown(run.at("preset")),
        "family": _shown(run.at("config", "model", "family")),
        "size of images": "x".join(map(_shown, size)) if isinstance(size, list) else _shown(size),
        "data": _shown(run.at("data", "source")),
        "real images": _count(run.at("data", "images")),
        "classes": _count(run.at("config", "model", "classes")),
        "images seen": f"{run.clock:,} of {_count(run.at('config', 'duration'))}",
        "trained for": duration(run.seconds) if run.seconds else "not known",
        "health": _health(run),
        "directory": str(run.path),
    }


def _health(run: RunFiles) -> str:
    if not run.looks:
        return "not looked at"
    return f"{run.looks - run.sick_looks:,} of {run.looks:,} looks healthy"


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else f"{value}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
