"""Bytes of pictures and films, and the words that a picture carries about how it was made."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from PIL import Image, PngImagePlugin
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.sampling.pictures import check_video, enlarge, to_picture, write_gif, write_mp4
from biggan.web.bounds import MOST_QUERY, RequestError
from biggan.web.requests import IMAGE_WORDS, FilmRequest, words_of

KEY = "biggan-serve"
"""Keyword of the text chunk that holds the query."""
SMALLEST_SIDE = 256
"""Pixels of the shorter side of a film."""
_LARGEST = 16_384


def png(image: Tensor, query: str) -> bytes:
    """Return an image uint8 [C, H, W] as a PNG file that holds the query which draws it again."""
    text = PngImagePlugin.PngInfo()
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
            if max(picture.size) > _LARGEST:
                raise RequestError(f"a picture of {picture.width} x {picture.height} pixels is none of ours", 413)
            text = picture.info.get(KEY)
    except RequestError:
        raise
    except Exception as error:  # of whatever kind: Pillow raises many at damaged files
        raise RequestError("this PNG file is damaged", 422) from error
    if not isinstance(text, str) or len(text) > MOST_QUERY:
        raise RequestError("this picture does not say how it was made; drop one that was saved from here", 422)
    try:
        words_of(parse_qsl(text, max_num_fields=len(IMAGE_WORDS)), IMAGE_WORDS)
    except ValueError as error:
        raise RequestError("this picture's words about itself are damaged", 422) from error
    return text


def film(images: Sequence[Tensor], request: FilmRequest) -> bytes:
    """Return images uint8 [C, H, W] as a film.

    Raises:
        RequestError: the extra ``video`` is not installed (501).
    """
    frames = (enlarge(to_picture(image), SMALLEST_SIDE) for image in images)
    with tempfile.TemporaryDirectory(prefix="biggan-film-") as folder:
        path = Path(folder) / f"film.{request.form}"
        if request.form == "gif":
            write_gif(path, frames, round(1000 / request.rate))
        else:
            check_format(request)
            write_mp4(path, frames, request.rate)
        return path.read_bytes()


def check_format(request: FilmRequest) -> None:
    """Check, before anything is drawn, that such a film can be written.

    Raises:
        RequestError: the extra ``video`` is not installed (501).
    """
    if request.form == "mp4":
        try:
            check_video(Path("film.mp4"))
        except UserError as error:
            raise RequestError(str(error), 501) from error
