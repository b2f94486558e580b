"""What lies in .npy and .npz files: headers are compared with the bytes that are there before anything is allocated."""

from __future__ import annotations

import math
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from biggan.data.bounds import foreign, refuse_bomb
from biggan.foundation.errors import CorruptFileError

_KINDS = "biufSU"  # plain numbers and strings: no objects, no structures
_LARGEST_ITEM = 2**16  # bytes of a string
_LONGEST_HEADER = 10_000
_MOST_MEMBERS = 10_000
_LOCAL_HEADER = struct.Struct("<26xHH")  # of a zip member; it ends with the lengths of name and extra field


class Layout(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    kind: np.dtype[Any]
    fortran: bool
    start: int
    """Bytes of the header."""

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.kind.itemsize


def read_layout(file: IO[bytes], where: str, length: int) -> Layout:
    """Read the header of an array, and leave ``file`` at its first value.

    Args:
        file: at the start of the header.
        where: how messages call it.
        length: bytes of header and values that are there.

    Raises:
        CorruptFileError: no such header, objects that would be unpickled, or more values than bytes.
    """
    with foreign(where, "not a readable NumPy file"):
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise CorruptFileError(f"{where}: an array of format {version}; save it again with a NumPy of today")
        head = struct.unpack("<H" if version == (1, 0) else "<I", file.read(2 if version == (1, 0) else 4))[0]
        if head > _LONGEST_HEADER:
            raise CorruptFileError(f"{where}: not a readable NumPy file (a header of {head:,} bytes)")
        start = (10 if version == (1, 0) else 12) + head
        shape, fortran, kind = _parse_header(file.read(head))
    if kind.hasobject or kind.fields is not None or kind.kind not in _KINDS or kind.itemsize > _LARGEST_ITEM:
        raise CorruptFileError(f"{where}: not a readable NumPy file (it holds {kind}; numbers or strings are read)")
    found = Layout(shape, kind, fortran, start)
    if min(shape, default=0) < 0 or found.start + found.size > length:
        raise CorruptFileError(
            f"{where}: not a readable NumPy file ({shape} of {kind} are {found.size:,} bytes, where "
            f"{max(length - start, 0):,} are there)"
        )
    return found


def _parse_header(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether the first axis runs fastest, and type."""
    import ast

    value = ast.literal_eval(text.decode("latin1").strip())
    shape, fortran, kind = value["shape"], value["fortran_order"], value["descr"]
    plain = isinstance(shape, tuple) and all(type(side) is int for side in shape) and len(shape) <= 32
    if not plain or not isinstance(fortran, bool) or not isinstance(kind, str) or len(value) != 3:
        raise ValueError("a header without shape, order and plain type")
    return shape, fortran, np.dtype(kind)


def mapped_array(path: Path, where: str) -> npt.NDArray[Any]:
    """Return the array of a .npy file, mapped into memory, or read if its first axis runs fastest.

    Raises:
        CorruptFileError: see :func:`read_layout`.
    """
    with foreign(where, "not a readable NumPy file"):
        with path.open("rb") as file:
            layout = read_layout(file, where, path.stat().st_size)
        return whole_array(path, where) if layout.fortran else _mapped(path, layout, layout.start)


def whole_array(path: Path, where: str) -> npt.NDArray[Any]:
    """Return the array of a .npy file, read into memory.

    Raises:
        CorruptFileError: see :func:`read_layout`.
    """
    with foreign(where, "not a readable NumPy file"), path.open("rb") as file:
        return _read_values(file, where, path.stat().st_size)


class Archive:
    """The arrays of a .npz file."""

    def __init__(self, path: Path, where: str) -> None:
        """Read the table of contents.

        Raises:
            CorruptFileError: no zip file, or one in which a name stands twice.
        """
        self.path, self.where = path, where
        with foreign(where, "not a readable NumPy file"):
            self._zip = zipfile.ZipFile(path)
        members = self._zip.namelist()
        if len(set(members)) < len(members) or len(members) > _MOST_MEMBERS:
            raise CorruptFileError(f"{where}: not a readable NumPy file (a name stands in it twice, or too many do)")
        self.names = [name.removesuffix(".npy") for name in members if name.endswith(".npy")]

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return an array, read into memory.

        Raises:
            CorruptFileError: damaged, or of another size than it says.
        """
        where = f"{self.where}, {name}"
        info = self._member(name)
        with foreign(where, "not a readable NumPy file"), self._zip.open(info) as file:
            return _read_values(file, where, info.file_size)

    def mapped(self, name: str) -> npt.NDArray[Any] | None:
        """Return an array mapped into memory, None if it is compressed or its first axis runs fastest.

        Raises:
            CorruptFileError: damaged, or of another size than it says.
        """
        where = f"{self.where}, {name}"
        info = self._member(name)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            return None
        with foreign(where, "not a readable NumPy file"), self.path.open("rb") as file:
            file.seek(info.header_offset)
            begin = info.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size)))
            file.seek(begin)
            there = min(info.file_size, self.path.stat().st_size - begin)
            layout = read_layout(file, where, there)
            return None if layout.fortran else _mapped(self.path, layout, begin + layout.start)

    def _member(self, name: str) -> zipfile.ZipInfo:
        info = self._zip.getinfo(f"{name}.npy")
        stored = min(info.compress_size, self.path.stat().st_size)
        refuse_bomb(f"{self.where}, {name}", info.file_size, stored, "save it with np.savez, without compression")
        return info


def _mapped(path: Path, layout: Layout, offset: int) -> npt.NDArray[Any]:
    if not layout.size:
        return np.empty(layout.shape, dtype=layout.kind)
    return np.memmap(path, dtype=layout.kind, mode="r", offset=offset, shape=layout.shape)


def _read_values(file: IO[bytes], where: str, length: int) -> npt.NDArray[Any]:
    layout = read_layout(file, where, length)
    found = np.empty(layout.size, dtype=np.uint8)
    at = 0
    while at < layout.size:
        block = file.read(min(2**20, layout.size - at))
        if not block:
            raise CorruptFileError(f"{where}: not a readable NumPy file (it ends inside its values)")
        found[at : at + len(block)] = np.frombuffer(block, dtype=np.uint8)
        at += len(block)
    if layout.kind.itemsize == 0:
        return np.zeros(layout.shape, dtype=layout.kind)
    order: Any = "F" if layout.fortran else "C"
    return found.view(layout.kind).reshape(layout.shape, order=order)
