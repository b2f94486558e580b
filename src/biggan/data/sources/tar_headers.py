"""Where the members of a tar archive lie, read off its headers: each lies behind the one before, or it is an error.

Python's own module follows what headers say (backwards, round in circles, into holes that become gigabytes); data sets
need files by name and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

from biggan.foundation.errors import CorruptFileError
from biggan.foundation.terminal import one_line

_BLOCK = 512
_REGULAR = (b"0", b"\0", b"7")
_WITHOUT_CONTENT = (b"1", b"2", b"3", b"4", b"5", b"6")
"""Links, devices, folders and pipes, whatever size stands there."""
_LONGEST_NAME = 2**16
_LONGEST_RECORDS = 2**20
_ONLY_ZEROS = bytes(_BLOCK)


class Member(NamedTuple):
    """A regular file of an archive."""

    name: str
    offset: int
    """Where its bytes begin."""
    size: int


def members(file: IO[bytes], where: str, length: int) -> Iterator[Member]:
    """Yield the regular files of an archive in order; each time, ``file`` stands at the first byte of the content.

    Args:
        file: at its start; it must be able to seek forward.
        where: how messages call it.
        length: bytes that it has, or may have at most.

    Raises:
        CorruptFileError: a header that is none, a size beyond the end, or a sparse file.
    """
    offset, said = 0, _Said()
    while True:
        file.seek(offset)
        header = file.read(_BLOCK)
        if not header or header == _ONLY_ZEROS:
            return
        if len(header) < _BLOCK or not _sum_is_right(header):
            raise CorruptFileError(f"{where}: no header of a tar file at byte {offset:,}; make or copy it again")
        kind = header[156:157]
        size = _number(header[124:136], where, offset) if said.size is None else said.size
        stored = 0 if kind in _WITHOUT_CONTENT else size
        start = offset + _BLOCK
        if start + stored > length:
            raise CorruptFileError(
                f"{where}: the file at byte {offset:,} is said to have {size:,} bytes, beyond the end; make or copy it "
                "again"
            )
        if kind in (b"L", b"K"):
            said.name = _text(_content(file, size, _LONGEST_NAME, where)) if kind == b"L" else said.name
        elif kind in (b"x", b"X", b"g"):
            said.take(_records(_content(file, size, _LONGEST_RECORDS, where), where), where, lasting=kind == b"g")
        elif kind == b"S":
            raise CorruptFileError(f"{where}: holds a sparse file at byte {offset:,}; store it without holes")
        else:
            name = said.name or _header_name(header)
            if kind in _REGULAR and not name.endswith("/"):
                yield Member(name, start, size)
            said = _Said()
        offset = start + -(-stored // _BLOCK) * _BLOCK


class _Said:
    """What headers of names and records said of the file that follows them."""

    name: str | None = None
    size: int | None = None

    def take(self, records: dict[str, str], where: str, *, lasting: bool) -> None:
        """Believe records; of those that are for all files, none that is for one."""
        if any(name.startswith("GNU.sparse") for name in records):
            raise CorruptFileError(f"{where}: holds a sparse file; store it without holes")
        if lasting:
            return
        self.name = records.get("path", self.name)
        if "size" in records:
            text = records["size"]
            if not (text.isascii() and text.isdecimal() and len(text) <= 18):
                raise CorruptFileError(f"{where}: '{one_line(text, 40)}' is no size of a file")
            self.size = int(text)


def _sum_is_right(header: bytes) -> bool:
    """Compare a header with its sum; some old programs added signed bytes."""
    stored = header[148:156].strip(b"\0 ")
    try:
        expected = int(stored or b"0", 8)
    except ValueError:
        return False
    plain = sum(header[:148]) + 8 * 0x20 + sum(header[156:])
    high = sum(byte > 127 for byte in header[:148] + header[156:])
    return expected in (plain, plain - 256 * high)


def _number(field: bytes, where: str, offset: int) -> int:
    """Return a size: octal digits, or a number of bits where they do not suffice."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    if not all(0x30 <= digit <= 0x37 for digit in digits):
        raise CorruptFileError(f"{where}: the size at byte {offset:,} is {field!r}, no number from 0; make it again")
    return int(digits, 8)


def _header_name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _content(file: IO[bytes], size: int, most: int, where: str) -> bytes:
    if size > most:
        raise CorruptFileError(f"{where}: a name or its records of {size:,} bytes, where {most:,} are allowed")
    return file.read(size)


def _records(data: bytes, where: str) -> dict[str, str]:
    """Return extended records, ``LENGTH NAME=VALUE`` and an end of line each."""
    found: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        digits, space, _ = data[at : at + 20].partition(b" ")
        end = at + (int(digits) if space and digits.isdigit() else 0)
        name, equals, value = data[at + len(digits) + 1 : end - 1].partition(b"=")
        if not at < end <= len(data) or not equals:
            raise CorruptFileError(f"{where}: extended records that cannot be read; make it again")
        found[name.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at = end
    return found
