"""Bytes to files: pictures, sheets with class names, animations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from biggan.foundation.captions import draw_caption
from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing

GAP = 2
LARGEST_SIDE = 65_500
"""Pixels of a sheet's side; beyond it few programs open a picture."""
MOST_PIXELS = 400_000_000
"""Pixels of a sheet: 1.2 GB of memory while it is drawn."""
NAME_LETTERS = 24
"""Letters of a class name beside its row."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that are written."""
FASTEST = 240
"""Most frames a second of a film."""


def to_picture(image: Tensor) -> Image.Image:
    """Return one image uint8 [C, H, W] as a picture; of more than 3 channels the first is shown."""
    array = image.numpy()
    if array.shape[0] == 3:
        return Image.fromarray(np.ascontiguousarray(array.transpose(1, 2, 0)))
    return Image.fromarray(np.ascontiguousarray(array[0]))


def sheet(images: Tensor, columns: int, row_names: Sequence[str] = ()) -> Image.Image:
    """Return images uint8 [N, C, H, W] on a white sheet, row by row.

    Pixel values are shown as they are: no rescaling to each sheet's minimum and maximum.

    Args:
        images: at least one.
        columns: images a row.
        row_names: written to the left of the rows.

    Raises:
        UserError: the sheet would be too large, see :func:`check_sheet`.
    """
    count, _, height, width = images.shape
    check_sheet(count, columns, (height, width))
    rows = -(-count // columns)
    margin = min(max((len(name) for name in row_names), default=0), NAME_LETTERS) * 6 + 6 if row_names else 0
    mode = "L" if images.shape[1] != 3 else "RGB"
    canvas = Image.new(mode, (margin + columns * (width + GAP) + GAP, rows * (height + GAP) + GAP), "white")
    for place, image in enumerate(images):
        left = margin + GAP + (place % columns) * (width + GAP)
        canvas.paste(to_picture(image), (left, GAP + (place // columns) * (height + GAP)))
    if row_names:
        draw = ImageDraw.Draw(canvas)
        for row, name in enumerate(row_names):
            top = GAP + row * (height + GAP) + max(height // 2 - 6, 0)
            draw_caption(draw, (3, top), name, NAME_LETTERS)
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


def enlarge(picture: Image.Image, smallest: int = 400) -> Image.Image:
    """Return the picture, repeated pixels making its shorter side at least ``smallest``."""
    factor = max(1, -(-smallest // min(picture.size)))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def write_gif(path: Path, frames: Iterable[Image.Image], milliseconds: int = 80, *, hold_last: bool = False) -> None:
    """Write an endless GIF, atomically; with ``hold_last`` its last frame stays for two seconds.

    Raises:
        UserError: no frames, ``path`` is a link, or the disk is full.
    """
    pictures = [frame.convert("RGB") if frame.mode != "L" else frame for frame in frames]
    if not pictures:
        raise UserError(f"{path}: no frames to show")
    times = [milliseconds] * len(pictures)
    if hold_last:
        times[-1] = 2000
    with replacing(path) as temporary:
        pictures[0].save(
            temporary, "GIF", save_all=True, append_images=pictures[1:], duration=times, loop=0, optimize=False
        )


def write_mp4(path: Path, frames: Iterable[Image.Image], frames_per_second: int = 24) -> None:
    """Write an H.264 film, atomically.

    Raises:
        UserError: the extra ``video`` is not installed, there are no frames, ``path`` is a link, or the disk is full.
    """
    check_video(path)
    import av

    with replacing(path) as temporary, av.open(str(temporary), mode="w", format="mp4") as container:
        stream: Any = None
        for frame in frames:
            # H.264 with 4:2:0 colour needs even sides.
            even = frame.convert("RGB").crop((0, 0, frame.width // 2 * 2, frame.height // 2 * 2))
            if stream is None:
                stream = container.add_stream("libx264", rate=frames_per_second)
                stream.width, stream.height, stream.pix_fmt = even.width, even.height, "yuv420p"
            picture: Any = av.VideoFrame.from_image(even)  # type: ignore[no-untyped-call]
            for packet in stream.encode(picture):
                container.mux(packet)
        if stream is None:
            raise UserError(f"{path}: no frames to show")
        for packet in stream.encode():
            container.mux(packet)


def check_video(path: Path) -> None:
    """Make sure, before any work, that films can be written.

    Raises:
        UserError: the extra ``video`` is not installed.
    """
    try:
        import av  # noqa: F401  only whether it is there
    except ImportError as error:
        raise UserError(f"{path.name} needs PyAV: pip install 'biggan-torch[video]', or write a .gif") from error


def check_picture(path: Path) -> None:
    """Make sure, before any work, that a picture can be written to ``path``.

    Raises:
        UserError: an ending that names no format.
    """
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"--out {path}: end the name of a picture in {', '.join(PICTURES)}")
