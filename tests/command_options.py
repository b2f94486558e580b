"""Which options a command has, read off the dataclass that its words become."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import typing
from typing import Any

from biggan.training.configuration import TrainingConfig

KINDS: dict[str, tuple[str, str]] = {
    "sample": ("biggan.cli.sample", "SampleOptions"),
    "sheet": ("biggan.cli.sheet", "SheetOptions"),
    "interpolate": ("biggan.cli.interpolate", "InterpolateOptions"),
    "evaluate": ("biggan.cli.evaluate", "EvaluateOptions"),
    "evaluate truncation": ("biggan.cli.evaluate", "TruncationOptions"),
    "evaluate reference": ("biggan.cli.reference", "ReferenceOptions"),
    "convert": ("biggan.cli.convert", "ConvertOptions"),
    "grow": ("biggan.cli.grow", "GrowOptions"),
    "calibrate": ("biggan.cli.calibrate", "CalibrateOptions"),
    "export": ("biggan.cli.export", "ExportOptions"),
    "data prepare": ("biggan.cli.data", "PrepareOptions"),
    "data inspect": ("biggan.cli.data", "InspectOptions"),
    "data export": ("biggan.cli.data", "ExportOptions"),
    "pull": ("biggan.cli.pull", "PullOptions"),
    "push": ("biggan.cli.push", "PushOptions"),
}
"""Commands whose words become a dataclass; ``train`` has its presets before it."""


def kind_of(command: str) -> Any:
    """Return the dataclass of a command."""
    if command == "train":
        return TrainingConfig
    module, name = KINDS[command]
    return getattr(importlib.import_module(module), name)


def command_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Return which command the words after ``biggan`` call, and its own words; None if it is not one of these."""
    if words[0] == "train":
        return "train", words[1:]
    for length in (2, 1):
        if " ".join(words[:length]) in KINDS:
            return " ".join(words[:length]), words[length:]
    return None


@functools.cache
def options_of(command: str) -> frozenset[str]:
    """Return the options of a command as they are written, ``--no-`` forms included."""
    return frozenset(_options(kind_of(command), ""))


def _options(kind: Any, prefix: str) -> set[str]:
    found: set[str] = set()
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        annotations = getattr(hints[field.name], "__metadata__", ())
        plain = typing.get_args(hints[field.name])[0] if annotations else hints[field.name]
        if dataclasses.is_dataclass(plain):
            found |= _options(plain, f"{prefix}{field.name.replace('_', '-')}.")
            continue
        name = next((a.name for a in annotations if getattr(a, "name", None)), field.name.replace("_", "-"))
        found |= {f"--{prefix}{name}", f"--{prefix}no-{name}"} if plain is bool else {f"--{prefix}{name}"}
        for annotation in annotations:
            found |= set(getattr(annotation, "aliases", None) or ())
    return found
