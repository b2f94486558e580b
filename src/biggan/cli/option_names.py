"""Which options each command has, read off the dataclass that its words become: for completion, and for tests."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from typing import Any

from biggan.cli.commands import COMMANDS

PARTS: dict[str, tuple[str, str]] = {
    "evaluate": ("biggan.cli.evaluate", "EvaluateOptions"),
    "evaluate truncation": ("biggan.cli.evaluate", "TruncationOptions"),
    "evaluate reference": ("biggan.cli.reference", "ReferenceOptions"),
    "explore directions": ("biggan.cli.explore_directions", "DirectionsOptions"),
    "explore list": ("biggan.cli.explore_directions", "ListOptions"),
    "explore name": ("biggan.cli.explore_directions", "NameOptions"),
    "explore sheet": ("biggan.cli.explore_directions", "DirectionSheetOptions"),
    "explore breed": ("biggan.cli.explore_points", "BreedOptions"),
    "explore mix": ("biggan.cli.explore_points", "MixOptions"),
    "explore project": ("biggan.cli.explore_points", "ProjectOptions"),
    "film truncation": ("biggan.cli.film", "TruncationFilmOptions"),
    "report": ("biggan.cli.report", "ReportOptions"),
    "report compare": ("biggan.cli.report", "CompareOptions"),
    "report health": ("biggan.cli.report", "HealthOptions"),
    "data prepare": ("biggan.cli.data", "PrepareOptions"),
    "data inspect": ("biggan.cli.data", "InspectOptions"),
    "data export": ("biggan.cli.data", "ExportOptions"),
    "train": ("biggan.training.configuration", "TrainingConfig"),
}
"""Commands whose module has more than one dataclass of options, or none of its own."""
BEFORE = {"train": ("--hours", "--help-all")}
"""Options that are taken before the others are read."""
FREE = ("migrate", "completion")
"""Commands whose words are taken as they are."""


@functools.cache
def kinds() -> dict[str, tuple[str, str]]:
    """Return the module and the dataclass of each command whose words become one; ``train`` has a preset before."""
    found = dict(PARTS)
    for command, (place, _) in COMMANDS.items():
        module = importlib.import_module(place.partition(":")[0])
        own = [n for n, v in vars(module).items() if n.endswith("Options") and v.__module__ == module.__name__]
        if len(own) == 1 and command not in found and f"{command} truncation" not in found:
            found[command] = (module.__name__, own[0])
    return found


def kind_of(command: str) -> Any:
    """Return the dataclass of a command."""
    module, name = kinds()[command]
    return getattr(importlib.import_module(module), name)


def command_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Return which command the words after ``biggan`` call, and its own words; None if it takes words as they are."""
    for length in (2, 1):
        if " ".join(words[:length]) in kinds():
            return " ".join(words[:length]), words[length:]
    return None


@functools.cache
def options_of(command: str) -> frozenset[str]:
    """Return the options of a command as they are written, ``--no-`` forms included."""
    return frozenset(_options(kind_of(command), "")).union(BEFORE.get(command, ()))


def _options(kind: Any, prefix: str) -> set[str]:
    found: set[str] = set()
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotations = getattr(hints[field.name], "__metadata__", ())
        plain = typing.get_args(hints[field.name])[0] if annotations else hints[field.name]
        if dataclasses.is_dataclass(plain):
            found |= _options(plain, f"{prefix}{field.name.replace('_', '-')}.")
            continue
        if any("Positional" in repr(annotation) or "POSITIONAL" in repr(annotation) for annotation in annotations):
            continue
        name = next((a.name for a in annotations if getattr(a, "name", None)), field.name.replace("_", "-"))
        found |= {f"--{prefix}{name}", f"--{prefix}no-{name}"} if plain is bool else {f"--{prefix}{name}"}
        for annotation in annotations:
            found |= set(getattr(annotation, "aliases", None) or ())
    return found
