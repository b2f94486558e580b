"""What each option and script of BigGAN-PyTorch is here. Imports no torch.

``biggan_pytorch.json`` holds the facts: the names and defaults of its option parsers, beside ours.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

SCRIPTS = ("train.py", "sample.py", "make_hdf5.py", "calculate_inception_moments.py")
"""Its programs whose command lines are understood."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of one of its programs."""

    name: str
    """Without the dashes."""
    script: str
    """Which program's; what ``train.py`` has, ``sample.py`` has too."""
    default: str | int | float | bool
    ours: str
    """Our options, or a command of ours; empty if there is no counterpart."""
    note: str = ""
    """What is different, or why there is none."""
    flag: bool = False
    """Given without a value."""


@functools.cache
def options(script: str) -> tuple[Option, ...]:
    """Return the options of one of :data:`SCRIPTS`, in its order."""
    whose = ("train.py", "sample.py") if script == "sample.py" else (script,)
    return tuple(option for option in _all() if option.script in whose)


@functools.cache
def _all() -> tuple[Option, ...]:
    return tuple(Option(**entry) for entry in _file()["options"])


def shell_scripts() -> dict[str, str]:
    """Return its shell scripts, each with what does the same here."""
    return dict(_file()["scripts"])


@functools.cache
def _file() -> dict[str, Any]:
    return json.loads(files("biggan.migration").joinpath("biggan_pytorch.json").read_text("utf-8"))
