"""Names of folders that several rooms know, and the numbers in names. Imports nothing heavy."""

from __future__ import annotations

CHECKPOINTS = "checkpoints"
SNAPSHOTS = "snapshots"
_LONGEST = 18
"""Digits of a clock: more than any run counts, and fewer than make a number slow to read."""


def clock_of(name: str) -> int | None:
    """Return the number of images that a name stands for, or None.

    Only the digits 0 to 9, as a number is written: ``²`` is a digit and no number, and ``007`` is not how 7 is written.
    """
    if not (name.isascii() and name.isdecimal() and len(name) <= _LONGEST):
        return None
    number = int(name)
    return number if str(number) == name else None
