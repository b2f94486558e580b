"""Numbers and text as pickles of all protocols write them, taken from bytes that may say anything about themselves."""

from __future__ import annotations

import codecs
import struct
from typing import Any

from biggan.foundation.errors import CorruptFileError

OBJECT = 64
"""Bytes of memory that a small object takes."""
_LONGEST_NUMBER = 64  # bytes, or three times as many digits

_NUMBERS = {ord("J"): struct.Struct("<i"), ord("K"): struct.Struct("<B"), ord("M"): struct.Struct("<H"),
            ord("G"): struct.Struct(">d")}  # fmt: skip
_COUNTED = {
    # Instructions that are followed by a length in so many bytes, and by that many bytes of what.
    ord("U"): (1, "old text"), ord("T"): (4, "old text"),
    0x8C: (1, "text"), ord("X"): (4, "text"), 0x8D: (8, "text"),
    ord("C"): (1, "bytes"), ord("B"): (4, "bytes"), 0x8E: (8, "bytes"), 0x96: (8, "bytes"),
    0x8A: (1, "number"), 0x8B: (4, "number"),
}  # fmt: skip
_LINES = frozenset(b"ILFSV")
VALUES = frozenset([*_NUMBERS, *_COUNTED, *_LINES])
"""The instructions that :meth:`PickleBytes.value` knows."""


class PickleBytes:
    """The bytes of a pickle, read forward.

    Args:
        data: all of them.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def byte(self) -> int:
        """Return the next byte."""
        position = self._position
        if position >= len(self._data):
            raise CorruptFileError("ends too early; get it again")
        self._position = position + 1
        return self._data[position]

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self.must_have(count)
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def must_have(self, count: int) -> None:
        """Check that ``count`` more bytes follow.

        Raises:
            CorruptFileError: they do not.
        """
        if self._position + count > len(self._data):
            raise CorruptFileError("ends too early; get it again")

    def line(self, longest: int) -> bytes:
        """Return what stands before the next end of a line."""
        start, end = self._position, self._data.find(b"\n", self._position, self._position + longest + 1)
        if end < 0:
            raise CorruptFileError("a line without an end; get it again")
        self._position = end + 1
        return self._data[start:end]

    def value(self, code: int, encoding: str) -> tuple[Any, int]:
        """Return the value that instruction ``code`` reads, and the bytes of memory that it takes.

        Args:
            code: one of :data:`VALUES`.
            encoding: of text that Python 2 wrote; "bytes" leaves it as it is.
        """
        if code in _NUMBERS:
            form = _NUMBERS[code]
            return form.unpack(self.take(form.size))[0], OBJECT // 2
        if code in _LINES:
            return self._written(chr(code), encoding)
        width, kind = _COUNTED[code]
        length = int.from_bytes(self.take(width), "little")
        if kind == "number":
            if length > _LONGEST_NUMBER:
                raise CorruptFileError(f"a number of {length:,} bytes")
            return int.from_bytes(self.take(length), "little", signed=True), OBJECT
        raw = self.take(length)
        if kind == "text":
            return _measured(str(raw, "utf-8"))
        return _old_text(raw, encoding) if kind == "old text" else (raw, length + OBJECT)

    def _written(self, kind: str, encoding: str) -> tuple[Any, int]:
        """Read a value that is written as a line of text, as the oldest protocol does."""
        line = self.line(3 * _LONGEST_NUMBER if kind in "ILF" else len(self._data))
        if kind == "V":
            return _measured(line.decode("raw-unicode-escape").encode().decode())  # the detour refuses half characters
        if kind == "S":
            quoted = line.rstrip()
            if len(quoted) < 2 or quoted[:1] not in (b"'", b'"') or quoted[-1:] != quoted[:1]:
                raise CorruptFileError("a string without quotes")
            return _old_text(codecs.escape_decode(quoted[1:-1])[0], encoding)
        if kind == "I" and line in (b"00", b"01"):
            return line == b"01", 0
        return float(line) if kind == "F" else int(line.rstrip(b"L")), OBJECT


def _old_text(raw: bytes, encoding: str) -> tuple[Any, int]:
    return (raw, len(raw) + OBJECT) if encoding == "bytes" else _measured(str(raw, encoding))


def _measured(text: str) -> tuple[str, int]:
    return text, OBJECT + (len(text) if text.isascii() else 4 * len(text))
