"""What a picture says in its file. Text in PNG files, chunk by chunk: what a file claims costs no memory.

A text chunk is tEXt: keyword, NUL, Latin-1 text (PNG specification, third edition, section 11.3.3). The keyword is
:data:`KEY`, the text JSON in ASCII. Compressed chunks (zTXt, iTXt) are never written, and not read either, since a few
bytes of them could mean gigabytes.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import LIMIT
from biggan.foundation.terminal import one_line
from biggan.sampling.exif_text import ENDINGS, exif_options, find_exif, is_known
from biggan.sampling.picture_record import NoRecordError, PictureRecord, from_text, to_text
from biggan.sampling.pictures import to_picture

KEY = "biggan"
"""Keyword of the chunk that says how a picture was drawn."""
ABOUT = "biggan-about"
"""Keyword of the chunk of a picture that no one record can draw again, such as one of several truncations."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1_000_000
_SEVERAL = (
    "{} says what it shows, but not all that it needs to be drawn again: statistics that were estimated for it alone, "
    "or augmented images of a training; the command that made it makes it again, this one does not"
)


def png_text(record: PictureRecord | None) -> PngInfo | None:
    """Return what Pillow's ``save`` takes as ``pnginfo``; None without a record.

    Raises:
        UserError: the record is too large.
    """
    if record is None:
        return None
    info = PngInfo()
    info.add_text(KEY, to_text(record))
    return info


def about_text(facts: Mapping[str, object]) -> PngInfo:
    """Return what Pillow's ``save`` takes for a picture that says what it shows, though nothing draws it again."""
    info = PngInfo()
    info.add_text(ABOUT, json.dumps(facts))
    return info


def record_options(path: Path, record: PictureRecord | None) -> dict[str, Any]:
    """Return what Pillow's ``save`` takes to write a record into a picture of the kind that ``path`` ends in.

    Raises:
        UserError: the record is too large.
    """
    if record is None:
        return {}
    return exif_options(path, record) if path.suffix.lower() in ENDINGS else {"pnginfo": png_text(record)}


def png_bytes(image: Image.Image | Tensor, record: PictureRecord | None) -> bytes:
    """Return a PNG file with its record inside.

    Args:
        image: a picture, or uint8 [C, H, W].
        record: how it was drawn; None to leave that out.

    Raises:
        UserError: the record is too large.
    """
    file = io.BytesIO()
    picture = to_picture(image) if isinstance(image, Tensor) else image
    picture.save(file, "PNG", pnginfo=png_text(record))
    return file.getvalue()


def read_record(png: bytes | str | Path) -> PictureRecord:
    """Return how a picture was drawn.

    Args:
        png: the bytes of a PNG, JPEG or WebP file, or its path.

    Raises:
        NoRecordError: it does not say.
        CorruptFileError: no such file, or what it says is damaged, impossible, or of a newer version.
        UserError: it cannot be read.
    """
    if isinstance(png, bytes):
        return _read(io.BytesIO(png), len(png), "the picture")
    path = Path(png)
    where = one_line(str(path))
    try:
        if not path.is_file():  # a pipe could go on for ever
            raise UserError(f"{where}: {'this is not a file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            return _read(file, path.stat().st_size, where)
    except UserError:
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{where}: cannot be read ({error})") from error


def _read(file: BinaryIO, size: int, where: str) -> PictureRecord:
    """Go from chunk to chunk, and read no other than the one."""
    start = file.read(12)
    if is_known(start):
        text = find_exif(file, size, start, where)
        if text is None:
            raise NoRecordError(_silent(where))
        return from_text(text, f"{where}: metadata")
    if not start.startswith(_SIGNATURE):
        raise CorruptFileError(
            f"{where}: this is no PNG, JPEG or WebP file, and files of no other kind say how they were drawn"
        )
    file.seek(len(_SIGNATURE))
    keyword, about = KEY.encode("ascii") + b"\x00", False
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        if not head:
            break
        if len(head) < 8:
            raise CorruptFileError(f"{where}: this PNG file is cut off")
        count, kind = struct.unpack(">I4s", head)
        after = file.tell() + count + 4
        if after > size:
            raise CorruptFileError(f"{where}: this PNG file is cut off, or damaged")
        if kind == b"IEND":
            break
        if kind == b"tEXt" and count >= len(keyword):
            if count > LIMIT + len(keyword):
                began = file.read(len(keyword))
                if began == keyword:
                    raise CorruptFileError(f"{where}: {count:,} bytes of metadata, where {LIMIT:,} are allowed")
            else:
                data, check = file.read(count), file.read(4)
                if data.startswith(keyword):
                    if struct.pack(">I", zlib.crc32(kind + data)) != check:
                        raise CorruptFileError(f"{where}: its metadata is damaged (the checksum is another)")
                    return from_text(data[len(keyword) :], f"{where}: metadata")
                about = about or data.startswith(ABOUT.encode("ascii") + b"\x00")
        file.seek(after)
    raise NoRecordError(_SEVERAL.format(where) if about else _silent(where))


def _silent(where: str) -> str:
    return (
        f"{where} does not say how it was drawn: it has no metadata of biggan (plots and data cards have none, as no "
        "generator drew them; programs that save pictures may drop it)"
    )
