"""What words of a command line name, before they are parsed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

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
