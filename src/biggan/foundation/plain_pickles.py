"""Pickles that hold nothing but plain values and NumPy arrays: the only place that reads any.

A pickle is a program. It is run by our own machine, which knows the few names that an array needs and makes the array
itself; a file that asks for any other is refused before anything is made of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.pickle_machine import FREE, TIMES_ITS_SIZE, PickleMachine
from biggan.foundation.pickled_arrays import array_recipe

_DEEPEST = 64


def load_plain(data: bytes, where: str, encoding: str = "bytes") -> Any:
    """Return what a pickle of plain values and arrays holds.

    Args:
        data: the file's bytes.
        where: how to call it in messages.
        encoding: of strings that Python 2 wrote: an encoding's name, or "bytes" to leave them as they are.

    Raises:
        UserError: it asks for anything else.
        CorruptFileError: it is no whole pickle, or one made to cost more than it is worth.
    """
    value = PickleMachine(data, where, array_recipe, encoding=encoding).run()
    check_plain(value, where, len(data))
    return value


def check_plain(value: Any, where: str, size: int, kept: tuple[type, ...] = ()) -> None:
    """Check that a value is plain through and through, and no trap for whoever walks through it.

    Args:
        value: what a pickle made: parts may be shared, or contain themselves.
        where: how to call it in messages.
        size: of the file in bytes; written out in full, its lists may be ten times as large.
        kept: types beside the plain ones that it may hold.

    Raises:
        UserError: it holds anything else, is too deep, contains itself, or multiplies.
    """
    _Scales(where, TIMES_ITS_SIZE * size + FREE, kept).weigh(value, 0)


class _Scales:
    """Weighs values part by part, each shared part once."""

    def __init__(self, where: str, most: int, kept: tuple[type, ...]) -> None:
        self._where, self._most = where, most
        self._ends = (int, float, np.ndarray, np.generic, *kept)
        self._known: dict[int, tuple[int, int]] = {}

    def weigh(self, value: Any, depth: int) -> tuple[int, int]:
        """Return how many bytes of text and entries ``value`` has, written out in full, and how deep it is."""
        if type(value) in (str, bytes):
            return 1 + len(value), 0
        if value is None or isinstance(value, self._ends):
            return 1, 0
        if type(value) not in (list, tuple, dict):
            raise CorruptFileError(f"{self._where}: holds an unfinished {type(value).__name__.strip('_')}")
        if id(value) not in self._known:
            if depth > _DEEPEST:
                raise UserError(f"{self._where}: lists within lists, more than {_DEEPEST} deep or without end")
            weight, height = 1, 0
            for part in [*value, *value.values()] if isinstance(value, dict) else value:
                more, below = self.weigh(part, depth + 1)
                weight, height = weight + more, max(height, below)
            self._known[id(value)] = weight, height + 1
        weight, height = self._known[id(value)]
        if depth + height > _DEEPEST:
            raise UserError(f"{self._where}: lists within lists, more than {_DEEPEST} deep or without end")
        if weight > self._most:
            raise UserError(f"{self._where}: more than {TIMES_ITS_SIZE} times as large, written out in full")
        return weight, height
