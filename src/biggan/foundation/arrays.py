"""NumPy arrays out of files nobody vouches for: type, shape and length are checked before an array is made of them.

NumPy's own restoring functions trust what they are told. Here the type comes from a table of plain numbers and short
text, and an array is made only of a buffer that has exactly the length which type and shape ask for.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from biggan.foundation.archives import open_member, open_zip, read_exactly
from biggan.foundation.errors import CorruptFileError, UserError

AnyArray = npt.NDArray[Any]

MOST_DIMENSIONS = 16
_MOST_OF_AN_EMPTY_ARRAY = 2**20  # entries that the sides of an array without any may multiply to
_LONGEST_TEXT = 4096  # bytes an entry
_LARGEST_HEADER = 2**14
_MOST_MEMBERS = 4096
_NUMBERS = frozenset("b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split())
_DESCRIPTION = re.compile(r"([<>=|]?)([a-zA-Z])([0-9]{1,5})", re.ASCII)
_HEADER = re.compile(
    r"\s*\{\s*'descr'\s*:\s*'([^']{1,12})'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    r"\s*'shape'\s*:\s*\(((?:\s*[0-9]{1,18}L?\s*,?)*)\s*\)\s*,?\s*\}\s*",
    re.ASCII,
)


def plain_dtype(description: str, where: str) -> np.dtype[Any]:
    """Return the type that ``description`` names, such as ``<f8`` or ``|S12``.

    Raises:
        UserError: objects, structures, dates or anything else that is no plain number or short text.
    """
    match = _DESCRIPTION.fullmatch(description)
    if match:
        order, kind, size = match[1] or "=", match[2], int(match[3])
        text = kind in "SU" and 1 <= size * (4 if kind == "U" else 1) <= _LONGEST_TEXT
        if f"{kind}{size}" in _NUMBERS or text:
            return np.dtype(f"{order}{kind}{size}")
    raise UserError(f"{where}: holds an array of type {description[:40]!a}; only plain numbers and short text are read")


def array_of(
    buffer: bytes | bytearray, kind: np.dtype[Any], shape: Sequence[int], fortran: bool, where: str
) -> AnyArray:
    """Return the array that ``buffer`` is, in the machine's byte order; it owns its memory, or that of a bytearray.

    Args:
        buffer: exactly its entries.
        kind: from :func:`plain_dtype`.
        shape: sides.
        fortran: whether the first index runs fastest.
        where: how to call it in messages.

    Raises:
        CorruptFileError: the buffer has another length than type and shape ask for, or holds no such values.
    """
    if _entries(shape, where) * kind.itemsize != len(buffer):
        raise CorruptFileError(f"{where}: {len(buffer):,} bytes are not an array {_sides(shape)} of {kind.str}")
    flat: AnyArray = np.frombuffer(buffer, dtype=kind)
    if kind.kind == "U" and len(flat) and int(flat.view(f"{flat.dtype.byteorder}u4").max()) > 0x10FFFF:
        raise CorruptFileError(f"{where}: an array of text holds no characters")
    if kind.kind == "b":
        flat = flat.view(np.uint8) != 0  # any other byte than 0 and 1 is no truth value
    flat = flat.astype(kind.newbyteorder("="), copy=isinstance(buffer, bytes))
    return flat.reshape(tuple(shape), order="F" if fortran else "C")


def _entries(shape: Sequence[int], where: str) -> int:
    """Return how many entries an array has, without ever multiplying numbers that are too large for one."""
    if len(shape) > MOST_DIMENSIONS:
        raise CorruptFileError(f"{where}: an array of {len(shape)} dimensions; {MOST_DIMENSIONS} at most are read")
    entries = 1
    for side in shape:
        if not 0 <= side < 2**48:
            raise CorruptFileError(f"{where}: an array with a side of {side}")
        entries = entries * max(side, 1)
        if entries >= 2**48:
            raise CorruptFileError(f"{where}: an array {_sides(shape)} is larger than any file")
    if 0 not in shape:
        return entries
    if entries > _MOST_OF_AN_EMPTY_ARRAY:
        raise CorruptFileError(f"{where}: an array {_sides(shape)} without entries")
    return 0


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "of one entry"


@dataclass(frozen=True, kw_only=True)
class ArrayHeader:
    """What stands at the start of an .npy file."""

    kind: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int
    """Where the entries begin, in bytes."""
    length: int
    """Bytes of all entries."""


def read_array_header(file: IO[bytes], where: str) -> ArrayHeader:
    """Read the header of an .npy file from its start; the file then stands where the entries begin.

    Nothing is allocated for what it announces: compare ``offset + length`` with the size of the file first.

    Raises:
        UserError: not such a file, or an array of something else than plain numbers and short text.
    """
    start = file.read(8)
    version = start[6:7]
    if start[:6] != b"\x93NUMPY" or version not in (b"\1", b"\2", b"\3"):
        raise CorruptFileError(f"{where}: not an .npy array")
    width = 2 if version == b"\1" else 4
    length = int.from_bytes(file.read(width), "little")
    if length > _LARGEST_HEADER:
        raise CorruptFileError(
            f"{where}: a header of {length:,} bytes; plain arrays have less than {_LARGEST_HEADER:,}"
        )
    text = file.read(length).decode("latin1")
    match = _HEADER.fullmatch(text)
    if len(text) != length or not match:
        if "'descr'" in text and ("[" in text or "'|O'" in text):
            raise UserError(f"{where}: holds objects or structures; only plain numbers and short text are read")
        raise CorruptFileError(f"{where}: not a whole .npy array")
    shape = tuple(int(side.strip().rstrip("L")) for side in match[3].split(",") if side.strip())
    kind = plain_dtype(match[1], where)
    return ArrayHeader(
        kind=kind,
        shape=shape,
        fortran=match[2] == "True",
        offset=8 + width + length,
        length=_entries(shape, where) * kind.itemsize,
    )


def read_arrays(path: Path, where: str = "", *, most: int = 2**33) -> dict[str, AnyArray]:
    """Return the arrays of an .npz file by name, or the one of an .npy file under ``""``, in memory.

    Args:
        path: the file; what it is, is read off its content.
        where: how to call it in messages; by default its path.
        most: bytes of all arrays together.

    Raises:
        UserError: no such file, too large, or arrays of objects.
        CorruptFileError: damaged, or it announces more than it can hold.
    """
    where = where or str(path)
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                file.seek(0)
                return {"": _read_array(file, size, where, most)}
        with open_zip(path, where, most_members=_MOST_MEMBERS, most=most) as archive:
            return {
                member.filename.removesuffix(".npy"): _read_member(archive, member, where, most)
                for member in archive.infolist()
                if not member.is_dir()
            }
    except OSError as error:
        raise UserError(f"{where}: cannot be read ({error.strerror or error})") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str, most: int) -> AnyArray:
    where = f"{where}, {member.filename!a}"
    if not member.filename.endswith(".npy"):
        raise CorruptFileError(f"{where}: an .npz file holds .npy arrays and nothing else")
    with open_member(archive, member, where) as file:
        array = _read_array(file, member.file_size, where, most)
        if file.read(1):  # also makes the archive compare its checksum
            raise CorruptFileError(f"{where}: more than its array")
        return array


def _read_array(file: IO[bytes], size: int, where: str, most: int) -> AnyArray:
    header = read_array_header(file, where)
    if header.offset + header.length != size:
        raise CorruptFileError(
            f"{where}: {size:,} bytes, but its header announces {header.offset + header.length:,}; get it again"
        )
    if header.length > most:
        raise UserError(f"{where}: {header.length:,} bytes; {most:,} at most are read here")
    return array_of(read_exactly(file, header.length, where), header.kind, header.shape, header.fortran, where)
