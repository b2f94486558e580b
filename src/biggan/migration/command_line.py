"""A command line of BigGAN-PyTorch as it is written, read and never run. Imports no torch."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NoReturn

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.terminal import one_line
from biggan.migration.table import SCRIPTS, options, shell_scripts

LONGEST = 2**16
"""Characters of a command line; its longest launch script has one thousand."""
_ENDS = frozenset({";", "&", "&&", "|", "||", ">", ">>", "<", "2>", "2>&1", "&>"})
"""Words of a shell that end the command, or that are no part of it."""


@dataclass(frozen=True)
class Foreign:
    """What a command line of it says."""

    script: str
    """One of its programs."""
    values: dict[str, Any]
    """Every option by name, defaults included."""
    given: frozenset[str]
    """Those that were written."""
    devices: int | None
    """How many GPUs it was told to see, if it was."""
    remarks: tuple[str, ...]
    """What was not understood, one line each."""


def split(text: str) -> list[str]:
    """Return the words of a command as a shell would, without expanding anything.

    Raises:
        UserError: a quote that is never closed, or more than a command.
    """
    if len(text) > LONGEST:
        raise UserError(f"a command of {len(text):,} characters; at most {LONGEST:,} are read")
    joined = re.sub(r"\\\s*(\r?\n|$)", " ", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    wanted = [line for line in lines if any(script in line for script in (*SCRIPTS, ".sh"))] or lines
    try:
        return shlex.split(wanted[0]) if wanted else []
    except ValueError as error:
        raise UserError(f"this is not a command line ({error}): {one_line(text, 200)}") from error


def read(words: Sequence[str]) -> Foreign:
    """Understand the words of a command: whatever stands before the program, the program, its options.

    Raises:
        UserError: it names none of the programs, or a value is of another type than its option's.
    """
    script, place = _program(words)
    parser = _Parser(add_help=False, prog=script)
    known = options(script)
    for option in known:
        if option.flag:
            parser.add_argument(f"--{option.name}", action="store_true", default=argparse.SUPPRESS)
        else:
            kind = type(option.default)
            parser.add_argument(f"--{option.name}", type=kind, default=argparse.SUPPRESS)
    end = next((i for i, word in enumerate(words) if i > place and word in _ENDS), len(words))
    found, rest = parser.parse_known_args(list(words[place + 1 : end]))
    given = vars(found)
    remarks = [_unknown(word, [option.name for option in known]) for word in rest if word.startswith("-")]
    if end < len(words):
        remarks.append(f"what follows '{words[end]}' is not looked at")
    remarks += [
        f"'{one_line(word, 80)}': variables of a shell are not looked up" for word in words[:end] if "$" in word
    ]
    visible = [word.partition("=")[2] for word in words[:place] if word.startswith("CUDA_VISIBLE_DEVICES=")]
    devices = len([name for name in visible[-1].split(",") if name.strip()]) if visible else None
    values = {option.name: given.get(option.name, option.default) for option in known}
    return Foreign(script, values, frozenset(given), devices or None, tuple(remarks))


def shell_script(words: Sequence[str]) -> tuple[str, str] | None:
    """Return its shell script that the words call, and what does the same here, if they do."""
    for word in words:
        for name, ours in shell_scripts().items():
            if _last(word) == _last(name):
                return name, ours
    return None


def _program(words: Sequence[str]) -> tuple[str, int]:
    for place, word in enumerate(words):
        if _last(word) in SCRIPTS:
            return _last(word), place
    raise UserError(
        f"'{one_line(' '.join(words), 120)}' calls no program of BigGAN-PyTorch that is known here; "
        f"known: {', '.join(SCRIPTS)}, and its launch scripts by name"
    )


def _last(word: str) -> str:
    return PureWindowsPath(PurePosixPath(word).name).name


def _unknown(word: str, known: list[str]) -> str:
    name = one_line(word.partition("=")[0], 80)
    return f"{name} is no option of it; nearest: {', '.join(f'--{n}' for n in nearest(name.lstrip('-'), known, 3))}"


class _Parser(argparse.ArgumentParser):
    """Its parser, which says what is wrong as all commands here do."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog} would not take this: {one_line(message, 300)}")
