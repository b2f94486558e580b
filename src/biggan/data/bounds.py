"""What a file may cost before it is believed, and how what a library raises at a damaged one becomes our error.

Every reader of files that others wrote goes through here. Imports no torch.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from biggan.foundation.errors import CorruptFileError, UserError

MOST_DECODED = 2**29
"""Bytes of one image once it is decoded: 179 million pixels of 3 x 8 bits."""
MOST_ENCODED = 2**29
"""Bytes of one image as it lies there."""
_ALWAYS_UNPACKED = 2**26
_UNPACKED_RATIO = 100
_MOST_DIGITS = 18
_SHOWN = 200


@contextlib.contextmanager
def foreign(where: str, what: str, kind: type[CorruptFileError] = CorruptFileError) -> Iterator[None]:
    """Run the code of a library on a file that it may not understand.

    Parsers raise whatever their damaged input leads them to (KeyError, struct.error, RecursionError, MemoryError, and
    dozens of their own), so the block should hold their calls only.

    Args:
        where: the file, as messages call it.
        what: what it is not, such as "not a readable zip file".
        kind: the error to raise.

    Raises:
        CorruptFileError: in place of any exception but a UserError, which passes.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise kind(f"{where}: {what} ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """Return in a few words what an exception says, its kind if it says nothing."""
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= _SHOWN else f"{lines[0][:_SHOWN]}..."


def most_unpacked(stored: int) -> int:
    """Return how many bytes ``stored`` compressed ones may become: what people compress never grows a hundredfold."""
    return _ALWAYS_UNPACKED + _UNPACKED_RATIO * stored


def refuse_bomb(where: str, unpacked: int, stored: int, fix: str = "store it without compression") -> None:
    """Check the announced size of something compressed before any of it is unpacked.

    Raises:
        CorruptFileError: more than :func:`most_unpacked`.
    """
    if not 0 <= unpacked <= most_unpacked(stored):
        raise CorruptFileError(
            f"{where}: {stored:,} bytes are said to unpack to {unpacked:,}, more than images compress; {fix}"
        )


def is_file(path: str | Path) -> bool:
    """Tell whether a file is there; a name that no file can have (too long, with a NUL) is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: str | Path) -> bool:
    """Tell whether a directory is there, likewise."""
    try:
        return Path(path).is_dir()
    except (OSError, ValueError):
        return False


def is_there(path: str | Path) -> bool:
    """Tell whether anything is there, likewise."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def open_regular(path: str) -> IO[bytes]:
    """Open a file for reading that is neither a pipe, which would wait for ever, nor a device, which never ends.

    Raises:
        OSError: it is, or cannot be read.
        ValueError: no file can have this name.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor


def is_number(text: str) -> bool:
    """Tell whether ``text`` is a whole number from 0 of at most 18 digits: 007, but no superscript and no sign."""
    return len(text) <= _MOST_DIGITS and text.isascii() and text.isdecimal()
