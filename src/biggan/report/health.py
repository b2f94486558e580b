"""The looks at the health of a run over images seen, as one plot, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biggan.foundation.errors import UserError
from biggan.foundation.plots import figure
from biggan.report.lines import Damage, json_lines

STATS = "stats.jsonl"
SHOWN = ("separation", "memory", "label_use", "diversity", "distance", "z_use", "class_use", "leak")
"""Of the numbers those that mean the same for all data."""
MOST = 2**53
"""Images seen, and the size of numbers that are drawn."""


def read_looks(run_dir: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's stats.jsonl that are looks: images_seen, health (numbers by name), findings.

    Damaged lines are left out, and that is said.

    Raises:
        UserError: there are none, or the file cannot be read.
    """
    path = run_dir / STATS
    if not path.is_file():
        raise UserError(f"{path} does not exist: {run_dir} is no run, or has not trained yet")
    damage, found = Damage(), []
    for record in json_lines(path, damage):
        if "health" not in record:
            continue
        if _whole(record):
            found.append(record)
        else:
            damage.note(f"the look at {record.get('images_seen')!r:.20} images")
    damage.tell(path)
    if not found:
        raise UserError(f"{path} holds no look at the health of the run; they come every --health.every images")
    return found


def _whole(look: dict[str, Any]) -> bool:
    clock, numbers, findings = look.get("images_seen"), look["health"], look.get("findings")
    if not isinstance(clock, int) or not 0 <= clock <= MOST or not isinstance(numbers, dict):
        return False
    drawn = (value for value in numbers.values() if value is not None)
    return isinstance(findings, dict) and all(isinstance(value, int | float) and abs(value) < MOST for value in drawn)


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
