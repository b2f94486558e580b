"""The looks at the health of a run over images seen, as one plot, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.plots import figure
from biggan.foundation.records import parse_plain, read_bounded

STATS = "stats.jsonl"
SHOWN = ("separation", "memory", "label_use", "diversity", "distance", "z_use", "class_use", "leak")
"""Of the numbers those that mean the same for all data."""
_LARGEST = 2**30


def read_looks(run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's stats.jsonl that are looks: images_seen, health (numbers by name), findings.

    Raises:
        UserError: there are none, or the file is damaged.
    """
    path = run_dir / STATS
    if not path.is_file():
        raise UserError(f"{path} does not exist: {run_dir} is no run, or has not trained yet")
    lines = read_bounded(path, _LARGEST).splitlines(keepends=True)
    records = [parse_plain(line, f"{path}, line {i}") for i, line in enumerate(lines, 1) if line.endswith(b"\n")]
    found = [record for record in records if isinstance(record, dict) and "health" in record]
    if not found:
        raise UserError(f"{path} holds no look at the health of the run; they come every --health.every images")
    for record in found:
        numbers, findings = record["health"], record.get("findings")
        whole = isinstance(record.get("images_seen"), int) and isinstance(numbers, dict) and isinstance(findings, dict)
        if not whole or not all(isinstance(value, int | float | None) for value in numbers.values()):
            raise CorruptFileError(f"{path}: a look at {record.get('images_seen')!r:.20} images is damaged")
    return found


def lines(looks: list[dict[str, Any]]) -> list[str]:
    """Return a line for each look at which something was found, and one that counts them."""
    sick = [look for look in looks if look["findings"]]
    told = [
        f"{look['images_seen']:>14,} images: " + "; ".join(f"{kind}: {text}" for kind, text in look["findings"].items())
        for look in sick
    ]
    return [*told, f"{len(looks)} looks, {len(looks) - len(sick)} of them healthy"]


def plot(looks: list[dict[str, Any]], path: Path) -> None:
    """Draw the numbers over images seen, and a line where something was found."""
    with figure(path) as axes:
        for name in SHOWN:
            points = [
                (look["images_seen"], look["health"][name]) for look in looks if look["health"].get(name) is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), marker=".", label=name)
        for look in looks:
            if look["findings"]:
                axes.axvline(look["images_seen"], color="red", alpha=0.3)
        axes.set_xlabel("images seen; red: something was found")
        axes.set_yscale("symlog", linthresh=1.0)
        axes.legend(fontsize="x-small")
