"""What words of a command line name, before they are parsed."""

from __future__ import annotations

import dataclasses
import itertools
import typing
from collections.abc import Sequence
from typing import Any

from biggan.foundation.errors import UserError

_ALSO = {"data": "data.path", "init": "init.path"}
"""Options that have two names."""


def value_of(words: Sequence[str], *options: str) -> str | None:
    """Return the value of an option, or None: a run or file that it names decides about defaults."""
    found = None
    for word, following in itertools.pairwise([*words, ""]):
        name, separator, value = word.partition("=")
        if name.replace("_", "-") in options:
            found = value if separator else following
    return found


def without(words: Sequence[str], option: str) -> list[str]:
    """Return the words without an option and its value."""
    kept, skip = [], False
    for word in words:
        name, separator, _ = word.partition("=")
        if skip:
            skip = False
        elif name.replace("_", "-") == option:
            skip = not separator
        else:
            kept.append(word)
    return kept


def given(words: Sequence[str]) -> frozenset[str]:
    """Return the dotted names of the options among ``words``: ``model.latent_size`` for ``--model.latent-size 64``."""
    names = (word[2:].partition("=")[0].replace("-", "_") for word in words if word.startswith("--"))
    return frozenset(_ALSO.get(name, name) for name in map(_affirmed, names))


def _affirmed(name: str) -> str:
    """Return the name of an option that is switched off by another: ``data.flip`` for ``data.no_flip``."""
    room, dot, last = name.rpartition(".")
    return room + dot + last.removeprefix("no_")


def refuse_repeated(words: Sequence[str], kind: Any) -> None:
    """Check that no option of the dataclass ``kind`` that takes several values is there more than once.

    Raises:
        UserError: one is, and the last would silently take the place of the others.
    """
    names = [word.partition("=")[0].replace("_", "-") for word in words if word.startswith("--")]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        if name in _of_several(kind, "--"):
            raise UserError(
                f"{name}: is there {names.count(name)} times, and the last would take the place of the others; give it "
                "once, with all its values behind it"
            )


def _of_several(kind: Any, prefix: str) -> set[str]:
    """Return the options that take any number of values."""
    found: set[str] = set()
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        name, plain = f"{prefix}{field.name.replace('_', '-')}", hints[field.name]
        if dataclasses.is_dataclass(plain):
            found |= _of_several(plain, f"{name}.")
        elif any(typing.get_args(part)[1:] == (...,) for part in (plain, *typing.get_args(plain))):
            found.add(name)
    return found
