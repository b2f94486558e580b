"""The record of a picture in JPEG and WebP files, as the image description of their Exif data.

Read piece by piece, like the text of PNG files (:mod:`biggan.sampling.png_text`): what a file claims costs no memory.
Exif data are a TIFF file of one directory (Exif 2.32, section 4.6): byte order, 42, place of the directory, then
entries of tag, type, count and value or place. JPEG has them in a segment APP1 of at most 64 KiB, WebP in a chunk
``EXIF``.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import LIMIT
from biggan.sampling.picture_record import PictureRecord, to_text

ENDINGS = (".jpg", ".jpeg", ".webp")
START = b"biggan "
"""Of a description that is a record; JSON follows."""
_DESCRIPTION, _ASCII = 0x010E, 2
_MOST_IN_JPEG = 65_000
_MOST_PIECES = 100_000


def exif_options(path: Path, record: PictureRecord) -> dict[str, Any]:
    """Return what Pillow's ``save`` takes to write a record into a JPEG or WebP file.

    Raises:
        UserError: it has no room there.
    """
    exif = Image.Exif()
    exif[_DESCRIPTION] = START.decode() + to_text(record)
    data = exif.tobytes()
    if path.suffix.lower() != ".webp" and len(data) > _MOST_IN_JPEG:
        raise UserError(
            f"{path}: what this picture shows is too much to be written into a JPEG file; use .png, "
            ".webp, or --no-metadata"
        )
    return {"exif": data}


def find_exif(file: BinaryIO, size: int, start: bytes, where: str) -> bytes | None:
    """Return the JSON of the record in a file that begins with ``start``, 12 bytes; None if it carries none.

    Raises:
        CorruptFileError: it is cut off or damaged.
    """
    try:
        found = _in_jpeg(file) if start.startswith(b"\xff\xd8\xff") else _in_webp(file, size)
        return None if found is None else _description(found)
    except (struct.error, IndexError, ValueError) as error:
        raise CorruptFileError(f"{where}: this picture is cut off, or damaged") from error


def is_known(start: bytes) -> bool:
    """Tell whether a file's first 12 bytes are those of a JPEG or WebP file."""
    return start.startswith(b"\xff\xd8\xff") or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


def _in_jpeg(file: BinaryIO) -> bytes | None:
    file.seek(2)
    for _ in range(_MOST_PIECES):
        marker, kind = struct.unpack(">BB", file.read(2))
        if marker != 0xFF:
            raise ValueError("no marker")
        if kind == 0xFF:  # one of any number that may stand before a marker
            file.seek(-1, 1)
            continue
        if kind in (0xD9, 0xDA):  # the end, or pixels
            return None
        (count,) = struct.unpack(">H", file.read(2))
        if count < 2:
            raise ValueError("a length that does not hold itself")
        if kind == 0xE1:
            data = file.read(count - 2)
            if data.startswith(b"Exif\0\0"):
                return data[6:]
        else:
            file.seek(count - 2, 1)
    return None


def _in_webp(file: BinaryIO, size: int) -> bytes | None:
    file.seek(12)
    for _ in range(_MOST_PIECES):
        head = file.read(8)
        if not head:
            return None
        kind, count = struct.unpack("<4sI", head)
        if file.tell() + count > size:
            raise ValueError("cut off")
        if kind == b"EXIF" and count <= LIMIT + 1000:
            data = file.read(count)
            return data[6:] if data.startswith(b"Exif\0\0") else data
        file.seek(count + count % 2, 1)
    return None


def _description(tiff: bytes) -> bytes | None:
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        raise ValueError("no byte order")
    (place,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, place)
    for number in range(entries):
        tag, kind, count, value = struct.unpack_from(order + "HHII", tiff, place + 2 + 12 * number)
        if tag == _DESCRIPTION and kind == _ASCII and count > len(START):
            if value + count > len(tiff):
                raise ValueError("cut off")
            text = tiff[value : value + count].rstrip(b"\0")
            return text[len(START) :] if text.startswith(START) else None
    return None
