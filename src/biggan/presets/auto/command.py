"""A configuration as the command that gives it, by the preset that is nearest. Imports no torch."""

from __future__ import annotations

from typing import Any

from biggan.foundation.config import differences, option_name
from biggan.foundation.courses import Course
from biggan.presets.registry import get_preset
from biggan.training.configuration import TrainingConfig

BASES = ("digits", "biggan-pytorch-cifar10", "biggan-pytorch-ch64")
"""Presets that a run is told by."""
_BY_DATA = ("run_dir", "dry_run", "model.resolution", "model.classes", "model.channels")


def command(config: TrainingConfig) -> list[str]:
    """Return the words after ``biggan train`` that train as ``config`` says, whatever ``auto`` would choose."""
    return min((_by(name, config) for name in BASES), key=len)


def _by(name: str, config: TrainingConfig) -> list[str]:
    words = [name]
    if config.data.path is not None:
        words += ["--data", config.data.path]
    for option, (_, value) in differences(get_preset(name).build(), config).items():
        if option not in _BY_DATA and option != "data.path":
            words += _option(option, value)
    return words


def _option(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        room, _, last = name.rpartition(".")
        return [option_name(name if value else f"{room}.no-{last}" if room else f"no-{last}")]
    return [option_name(name), *_words(name, value)]


def _words(name: str, value: Any) -> list[str]:
    if name == "resolution":
        return ["x".join(map(str, value))]
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return [str(value) if value is None or isinstance(value, Course | str | int) else repr(value)]
