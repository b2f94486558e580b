"""Strings of any length in HDF5 files, read past the HDF5 library, which follows a damaged heap of them in circles.

A data set of such strings holds length, address of a heap, and number in it; a heap holds objects one after the other.
"""

from __future__ import annotations

import struct
from typing import IO

from biggan.foundation.errors import CorruptFileError

LONGEST = 4096
"""Bytes of a string."""
_REFERENCE = struct.Struct("<IQI")
_HEAP = struct.Struct("<4sB3xQ")
_OBJECT = struct.Struct("<HH4xQ")


def variable_strings(file: IO[bytes], offset: int, count: int, length: int, base: int, where: str) -> list[str]:
    """Return ``count`` strings.

    Args:
        file: the HDF5 file, open for reading.
        offset: where the references to them begin.
        count: how many there are.
        length: bytes of the file.
        base: byte from which addresses count.
        where: how messages call the file.

    Raises:
        CorruptFileError: references or heaps that reach beyond the file, or are none.
    """
    if offset + count * _REFERENCE.size > length:
        raise CorruptFileError(f"{where}: {count:,} class_names are more than the file can hold")
    file.seek(offset)
    heaps: dict[int, dict[int, bytes]] = {}
    left = length
    names: list[str] = []
    for size, address, number in _REFERENCE.iter_unpack(file.read(count * _REFERENCE.size)):
        if size > LONGEST:
            raise CorruptFileError(f"{where}: a class name of {size:,} bytes")
        if size and address not in heaps:
            heaps[address], used = _heap(file, base + address, length, where)
            left -= used
            if left < 0:
                raise CorruptFileError(f"{where}: its class_names lie in heaps that overlap")
        found = heaps[address].get(number, b"")[:size] if size else b""
        if len(found) != size:
            raise CorruptFileError(f"{where}: a class name is not where it should be; make or copy the file again")
        names.append(found.decode())
    return names


def _heap(file: IO[bytes], address: int, length: int, where: str) -> tuple[dict[int, bytes], int]:
    """Return the objects of a heap by number, and its size."""
    if address + _HEAP.size > length:
        raise CorruptFileError(f"{where}: its class_names lie beyond the end of the file")
    file.seek(address)
    signature, version, size = _HEAP.unpack(file.read(_HEAP.size))
    if signature != b"GCOL" or version != 1 or not _HEAP.size <= size <= length - address:
        raise CorruptFileError(f"{where}: the heap of its class_names is damaged; make or copy the file again")
    body = file.read(size - _HEAP.size)
    objects: dict[int, bytes] = {}
    at = 0
    while at + _OBJECT.size <= len(body):
        number, _, stored = _OBJECT.unpack_from(body, at)
        if number == 0:  # what follows is free
            break
        start = at + _OBJECT.size
        if number in objects or stored > len(body) - start:
            raise CorruptFileError(f"{where}: the heap of its class_names is damaged; make or copy the file again")
        objects[number] = body[start : start + stored]
        at = start + -(-stored // 8) * 8
    return objects, size
