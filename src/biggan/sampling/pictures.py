"""Bytes to files: pictures, sheets with class names, animations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from biggan.foundation.captions import draw_caption
from biggan.foundation.errors import UserError

GAP = 2
LARGEST_SIDE = 65_500
"""Pixels of a sheet's side; beyond it few programs open a picture."""
MOST_PIXELS = 400_000_000
"""Pixels of a sheet: 1.2 GB of memory while it is drawn."""
HEAD = 14
"""Pixels above the first row, where columns have names."""
LETTER = 6
"""Pixels that a letter is wide."""
NAME_LETTERS = 24
"""Letters of a class name beside its row."""
SHOWN = 64
"""Pixels of the shorter side that an image on a sheet has at least, where it is for people to look at."""
PAGE_PIXELS = 20_000_000
"""Pixels of a sheet beyond which it is not enlarged, and classes go on to a further page."""
MOST_SHOWN = 4096
"""Pixels of an image's side that may be asked for."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that are written."""


def to_picture(image: Tensor) -> Image.Image:
    """Return one image uint8 [C, H, W] as a picture; of more than 3 channels the first is shown."""
    array = image.numpy()
    if array.shape[0] == 3:
        return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))
    return Image.fromarray(np.ascontiguousarray(array[0]))


def sheet(images: Tensor, columns: int, row_names: Sequence[str] = (), enlarged: int = 1) -> Image.Image:
    """Return images uint8 [N, C, H, W] on a white sheet, row by row.

    Pixel values are shown as they are: no rescaling to each sheet's minimum and maximum.

    Args:
        images: at least one.
        columns: images a row.
        row_names: written to the left of the rows.
        enlarged: each pixel becomes so many a side, see :func:`enlargement`.

    Raises:
        UserError: the sheet would be too large, see :func:`check_sheet`.
    """
    return sheet_of([images], len(images), columns, row_names, enlarged)


def sheet_of(
    parts: Iterable[Tensor],
    count: int,
    columns: int,
    row_names: Sequence[str] = (),
    enlarged: int = 1,
    column_names: Sequence[str] = (),
) -> Image.Image:
    """Return what :func:`sheet` does, of images that come some at a time, so that they never all lie in memory.

    Args:
        parts: images uint8 [B, C, H, W], at least one; those of B images, and so on.
        count: of all images.
        columns: images a row.
        row_names: written to the left of the rows.
        enlarged: each pixel becomes so many a side.
        column_names: written above the columns, if all of them fit.

    Raises:
        UserError: the sheet would be too large, see :func:`check_sheet`.
    """
    canvas: Image.Image | None = None
    place = 0
    top = HEAD if column_names else 0
    margin = min(max((len(name) for name in row_names), default=0), NAME_LETTERS) * LETTER + 6 if row_names else 0
    for images in parts:
        channels, height, width = images.shape[1], images.shape[2] * enlarged, images.shape[3] * enlarged
        if canvas is None:
            check_sheet(count, columns, (height, width))
            size = margin + columns * (width + GAP) + GAP, top + -(-count // columns) * (height + GAP) + GAP
            canvas = Image.new("L" if channels != 3 else "RGB", size, "white")
        for image in images:
            left = margin + GAP + (place % columns) * (width + GAP)
            larger = image.repeat_interleave(enlarged, 1).repeat_interleave(enlarged, 2)
            canvas.paste(to_picture(larger), (left, top + GAP + (place // columns) * (height + GAP)))
            place += 1
    if canvas is None:
        raise ValueError("a sheet of no images")
    draw = ImageDraw.Draw(canvas)
    for row, name in enumerate(row_names):
        draw_caption(draw, (3, top + GAP + row * (height + GAP) + max(height // 2 - 6, 0)), name, NAME_LETTERS)
    if max((len(name) for name in column_names), default=0) * LETTER <= width:  # a number that is cut is another one
        for column, name in enumerate(column_names):
            draw_caption(draw, (margin + GAP + column * (width + GAP), GAP), name, len(name))
    return canvas


def check_sheet(
    images: int, columns: int, size: tuple[int, int], option: str = "--columns", value: int | None = None
) -> None:
    """Check, before anything is drawn, that a sheet of ``images`` of ``size`` (height, width) has a possible size.

    Args:
        images: on the sheet.
        columns: images a row.
        size: of an image.
        option: that decides it, for the message.
        value: of the option; by default the columns.

    Raises:
        UserError: it has not, or there is no column.
    """
    if columns < 1:
        raise UserError(f"{option} {columns}: at least 1")
    height, width = -(-images // columns) * (size[0] + GAP), columns * (size[1] + GAP)
    if max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise UserError(
            f"{option} {columns if value is None else value}: one picture of {images:,} images would have {width:,} x "
            f"{height:,} pixels, where {LARGEST_SIDE:,} a side and {MOST_PIXELS // 10**6} million in all are possible; "
            "show fewer at once"
        )


def enlargement(size: tuple[int, int], images: int, columns: int, smallest: int = SHOWN) -> int:
    """Return how many pixels a side each pixel of a sheet's images becomes, so that people see something.

    A whole number, so that pixels stay what they are; smaller where the sheet would have more than
    :data:`PAGE_PIXELS`.

    Args:
        size: of an image, (height, width).
        images: on the sheet.
        columns: images a row.
        smallest: pixels that the shorter side of an image is to have at least; 1 leaves all as it is.
    """
    rows = -(-images // max(columns, 1))
    factor = max(1, -(-smallest // min(size)))
    while factor > 1:
        height, width = rows * (size[0] * factor + GAP), columns * (size[1] * factor + GAP)
        if height * width <= PAGE_PIXELS and max(height, width) <= LARGEST_SIDE:
            break
        factor -= 1
    return factor


def check_shown(size: int) -> None:
    """Check ``--size``, the pixels that people want to see of an image.

    Raises:
        UserError: nobody could look at that.
    """
    if not 1 <= size <= MOST_SHOWN:
        raise UserError(f"--size {size}: 1 to {MOST_SHOWN:,} pixels")


def enlarge(picture: Image.Image, smallest: int = 400) -> Image.Image:
    """Return the picture, repeated pixels making its shorter side at least ``smallest``."""
    factor = max(1, -(-smallest // min(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def check_picture(path: Path) -> None:
    """Make sure, before any work, that a picture can be written to ``path``.

    Raises:
        UserError: an ending that names no format.
    """
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"--out {path}: end the name of a picture in {', '.join(PICTURES)}")
