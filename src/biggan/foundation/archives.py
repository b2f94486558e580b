"""Zip archives nobody vouches for: their index and the sizes in it are checked before anything is unpacked."""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from biggan.foundation.errors import CorruptFileError, UserError

_BLOCK = 2**20
_END = struct.Struct("<4s4H2LH")  # signature, disks, entries here and in all, size and place of the index, comment
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_USUAL_ENTRY, _LONGEST_ENTRY = 2**10, 2**18  # bytes that an entry of the index takes, and can take
_FREE = 2**26  # bytes that may come out of any archive, however small
_RATIO = 200  # how often larger than itself an archive may be inside: zeros shrink a thousandfold, data never so
_ENCRYPTED = 1


def read_exactly(file: IO[bytes], length: int, where: str) -> bytearray:
    """Read ``length`` bytes, allocated as they come, so that an announcement alone costs nothing.

    Raises:
        CorruptFileError: there are fewer.
    """
    found = bytearray()
    while len(found) < length:
        block = file.read(min(_BLOCK, length - len(found)))
        if not block:
            raise CorruptFileError(f"{where}: ends after {len(found):,} of {length:,} bytes; get it again")
        found += block
    return found


@contextlib.contextmanager
def open_zip(place: Path | IO[bytes], where: str, *, most_members: int, most: int) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive whose index is of reasonable size and whose members fit into it.

    Args:
        place: the file, or its content, which is left open.
        where: how to call it in messages.
        most_members: how many members it may have.
        most: bytes of all members together, unpacked.

    Raises:
        CorruptFileError: no whole zip archive; members overlap, or are larger than anything they can be packed from.
        UserError: more members or bytes than may be.
    """
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(place.open("rb")) if isinstance(place, Path) else place
        size = file.seek(0, os.SEEK_END)
        entries, index = _index_of(file, size, where)
        if entries > most_members or index > most_members * _USUAL_ENTRY + _LONGEST_ENTRY:
            raise UserError(f"{where}: an archive of {entries:,} members; {most_members:,} at most are read")
        try:
            archive = stack.enter_context(zipfile.ZipFile(file))
            members = archive.infolist()
        except (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OverflowError, OSError) as error:
            raise CorruptFileError(f"{where}: not a whole zip archive ({error}); get it again") from error
        _check_members(members, size, where, most)
        yield archive


@contextlib.contextmanager
def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> Iterator[IO[bytes]]:
    """Open a member for reading; whatever is wrong with it while it is read is said as a damaged file.

    Raises:
        CorruptFileError: it is no such member, or cannot be unpacked.
    """
    try:
        with archive.open(member) as file:
            yield file
    except UserError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        struct.error,
        OSError,
        ValueError,
        RuntimeError,
        OverflowError,
    ) as error:
        raise CorruptFileError(f"{where}: damaged ({error}); get it again") from error


def _check_members(members: list[zipfile.ZipInfo], size: int, where: str, most: int) -> None:
    packed = sum(member.compress_size for member in members)
    unpacked = sum(member.file_size for member in members)
    if packed > size:
        raise CorruptFileError(f"{where}: members of {packed:,} bytes in an archive of {size:,}")
    for member in members:
        if not 0 <= member.header_offset < size:
            raise CorruptFileError(f"{where}: {member.filename!a} lies outside the archive")
        stored = member.compress_type == zipfile.ZIP_STORED
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & _ENCRYPTED:
            raise UserError(f"{where}: {member.filename!a} is packed in another way than stored or deflated")
        if stored and member.file_size != member.compress_size:
            raise CorruptFileError(f"{where}: {member.filename!a} announces another size than it has")
    names = {member.filename for member in members}
    if len(names) != len(members) or "" in names:
        raise CorruptFileError(f"{where}: two members have the same name, or one has none")
    if unpacked > most or unpacked > max(_FREE, _RATIO * size):
        raise UserError(
            f"{where}: would unpack to {unpacked:,} bytes from {size:,}; at most {most:,} and {_RATIO} times its size "
            "are unpacked"
        )


def _index_of(file: IO[bytes], size: int, where: str) -> tuple[int, int]:
    """Return how many entries the index of a zip archive announces and how many bytes it has."""
    file.seek(max(size - _END.size - 65535, 0))
    tail = file.read()
    place = tail.rfind(b"PK\5\6")
    if place < 0 or len(tail) - place < _END.size:
        raise CorruptFileError(f"{where}: not a whole zip archive; get it again")
    _, _, _, _, entries, index, _, _ = _END.unpack_from(tail, place)
    locator = tail[max(place - _LOCATOR.size, 0) : place]
    if locator[:4] == b"PK\6\7" and len(locator) == _LOCATOR.size:
        file.seek(max(size - len(tail) + place - _LOCATOR.size - _END_64.size, 0))
        record = file.read(_END_64.size)
        if len(record) == _END_64.size and record[:4] == b"PK\6\6":
            _, _, _, _, _, _, _, entries, index, _ = _END_64.unpack(record)
    file.seek(0)
    return entries, index
