"""Pictures of bounded size: of a file of any size, as many pixels as a reader sees, in as few bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from biggan.data.contract import UnreadableImageError
from biggan.data.preparation.decoding import load_image
from biggan.report.document import Picture

_LONGEST_SIDE = 1600
_MOST_BYTES = 900_000
"""Of one picture; a larger one is shown with fewer pixels."""
_LARGEST_PNG = 300_000
"""Bytes up to which a picture keeps every pixel; a larger one is a JPEG."""
_LEAST = 1 / 2
"""Share of the side that a picture keeps at least; with less it is left out."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What of a picture goes into a report."""

    data: bytes
    ending: str
    """png or jpg."""
    size: tuple[int, int]
    """(width, height) in pixels."""
    shrunk: bool
    """Whether it has fewer pixels than the file."""

    @property
    def kind(self) -> str:
        """Return the media type."""
        return "image/png" if self.ending == "png" else "image/jpeg"


def encode_all(pictures: Sequence[Picture], budget: int) -> dict[Path, Encoded | str]:
    """Return each picture's bytes, in order, until ``budget`` is spent; or a sentence that says why it is left out."""
    found: dict[Path, Encoded | str] = {}
    for picture in pictures:
        if picture.path in found:
            continue
        one = encode(picture.path, budget)
        found[picture.path] = one
        if isinstance(one, Encoded):
            budget -= len(one.data)
    return found


def encode(path: Path, budget: int) -> Encoded | str:
    """Return a picture of at most ``budget`` bytes, or a sentence that says why it is left out."""
    if budget < 1:
        return f"{path} is left out: the report has reached the size that it may have"
    try:
        with path.open("rb") as file:
            image = load_image(file, str(path))
    except (OSError, UnreadableImageError) as error:
        return f"{path} is left out: {error}"
    whole = image.size
    shown = _within(image, _LONGEST_SIDE)
    while True:
        data, ending = _written(shown)
        if len(data) <= min(_MOST_BYTES, budget):
            return Encoded(data=data, ending=ending, size=shown.size, shrunk=shown.size != whole)
        side = max(shown.size) * 3 // 4
        if side < _LEAST * min(max(whole), _LONGEST_SIDE):
            return f"{path} is left out: the report has reached the size that it may have"
        shown = _within(image, side)


def _within(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)


def _written(image: Image.Image) -> tuple[bytes, str]:
    kept = _save(image, "PNG", optimize=image.width * image.height < 2**20)
    if len(kept) <= _LARGEST_PNG:
        return kept, "png"
    small = _save(image, "JPEG", quality=85)
    return (small, "jpg") if len(small) < len(kept) else (kept, "png")


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
