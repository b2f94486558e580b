"""Bytes of pictures and films, and the words that a picture carries about how it was made."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from PIL import Image, PngImagePlugin
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.sampling.film_files import check_film, write_film
from biggan.sampling.frames import to_frame
from biggan.sampling.picture_record import NoRecordError, PictureRecord
from biggan.sampling.pictures import enlarge, to_picture
from biggan.sampling.png_text import png_text, read_record
from biggan.web.bounds import MOST_QUERY, RequestError
from biggan.web.requests import IMAGE_WORDS, FilmRequest, words_of

KEY = "biggan-serve"
"""Keyword of the text chunk that holds the query."""
SMALLEST_SIDE = 256
"""Pixels of the shorter side of a film."""
_LARGEST = 16_384


def png(image: Tensor, query: str, record: PictureRecord | None = None) -> bytes:
    """Return an image uint8 [C, H, W] as a PNG file that holds the query which draws it again, and its record."""
    text = png_text(record) or PngImagePlugin.PngInfo()
    text.add_text(KEY, query)
    file = io.BytesIO()
    to_picture(image).save(file, "PNG", pnginfo=text, compress_level=1)
    return file.getvalue()


def query_of(data: bytes) -> str:
    """Return the query that a PNG file of ours holds.

    Raises:
        RequestError: it is no PNG file, or does not say how it was made (415, 422).
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        raise RequestError("this is no PNG file; drop a picture that was saved from here", 415)
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            size, text = picture.size, picture.info.get(KEY)
    except Exception as error:  # of whatever kind: Pillow raises many at damaged files
        raise RequestError("this PNG file is damaged", 422) from error
    if max(size) > _LARGEST:
        raise RequestError(f"a picture of {size[0]} x {size[1]} pixels is none of ours", 413)
    if text is None:
        return _sampled(data)
    if not isinstance(text, str) or len(text) > MOST_QUERY:
        raise RequestError("this picture's words about itself are damaged", 422)
    try:
        words_of(parse_qsl(text, max_num_fields=len(IMAGE_WORDS)), IMAGE_WORDS)
    except ValueError as error:
        raise RequestError("this picture's words about itself are damaged", 422) from error
    return text


def record_of(data: bytes) -> PictureRecord | None:
    """Return the record that a PNG file carries; None where it has none that can be read."""
    try:
        return read_record(data)
    except UserError:
        return None


def _sampled(data: bytes) -> str:
    """Return the query for a picture that ``biggan sample`` wrote, by the record that it carries.

    Raises:
        RequestError: it carries none, or is no single image (422).
    """
    try:
        record = read_record(data)
    except NoRecordError as error:
        raise RequestError("this picture does not say how it was made; drop one that biggan saved", 422) from error
    except UserError as error:  # damaged, or of a newer version
        raise RequestError(str(error), 422) from error
    if record.points is not None:
        raise RequestError("no seed names this picture; 'biggan recreate' draws it again, this page only seeds", 422)
    if record.image is None or record.refinement is not None:
        raise RequestError("this picture is a sheet or was refined by D; drop a single image", 422)
    words = {"mix": str(record.image.label), "seed": str(record.image.seed)}
    if record.truncation is not None:
        words |= {"truncation": f"{record.truncation:g}", "kind": record.kind}
    return urlencode(words)


def film(images: Sequence[Tensor], request: FilmRequest) -> bytes:
    """Return images uint8 [C, H, W] as a film.

    Raises:
        RequestError: the extra ``video`` is not installed (501).
    """
    check_format(request)
    frames = (to_frame(enlarge(to_picture(image), SMALLEST_SIDE)) for image in images)
    with tempfile.TemporaryDirectory(prefix="biggan-film-") as folder:
        path = Path(folder) / f"film.{request.form}"
        write_film(path, frames, request.rate)
        return path.read_bytes()


def check_format(request: FilmRequest) -> None:
    """Check, before anything is drawn, that such a film can be written.

    Raises:
        RequestError: the extra ``video`` is not installed (501).
    """
    try:
        check_film(Path(f"film.{request.form}"), request.rate, option="format")
    except UserError as error:
        raise RequestError(str(error), 501) from error
