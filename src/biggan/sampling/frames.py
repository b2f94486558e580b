"""Frames of films that a generator draws: some at a time, in evaluation mode, so that nothing flickers.

Statistics of batch norm are the running ones or calibrated ones, never those of the frames that happen to be drawn
together; a frame depends on its latents, its classes and its truncation alone (to float noise).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from biggan.foundation.captions import draw_caption
from biggan.foundation.errors import UserError
from biggan.models.norm_records import TruncationKind
from biggan.sampling.film_files import Frame
from biggan.sampling.interpolation import Curve, Route, route_images
from biggan.sampling.latents import check_truncation
from biggan.sampling.pictures import check_sheet, enlarge, sheet, to_picture
from biggan.sampling.sampler import Sampler

CAPTION = 16
"""Pixels of a line of text."""
MOST_FRAMES = 100_000
"""Most frames of a film: an hour."""


def to_frame(picture: Image.Image) -> Frame:
    """Return a picture as a frame."""
    pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"), dtype=np.uint8)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def path_frames(
    sampler: Sampler,
    labels: Sequence[int],
    seeds: Sequence[int],
    *,
    frames: int = 24,
    curve: Curve = "spherical",
    loop: bool = True,
    truncation: float | None = None,
    kind: TruncationKind = "resample",
    smallest: int = 256,
    chunk: int | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a path through key points: label 1 with seed 1, and so on; the shorter list repeats.

    Args:
        sampler: what draws.
        labels: class indices.
        seeds: of the latents.
        frames: of each segment.
        curve: of the latents; classes go straight, in embedding space.
        loop: whether to return to the first point; then the last frame leads into the first.
        truncation: T; None for the whole prior.
        kind: how to truncate.
        smallest: pixels that the shorter side has at least; images are enlarged by whole numbers.
        chunk: images drawn at a time.

    Raises:
        UserError: fewer than two points, or more than 100,000 frames.
    """
    route = Route(labels=tuple(labels), seeds=tuple(seeds), frames=frames, curve=curve, loop=loop)
    check_frames(len(route), "--frames")
    for part in route_images(sampler, route, truncation, kind, chunk):
        for image in part:
            yield to_frame(enlarge(to_picture(image), smallest))


def truncation_frames(
    sampler: Sampler,
    truncations: Sequence[float],
    labels: Sequence[int],
    seeds: Sequence[int],
    *,
    kind: TruncationKind = "scale",
    columns: int | None = None,
    caption: bool = True,
    smallest: int = 256,
    chunk: int | None = None,
) -> Iterator[Frame]:
    """Yield a frame for each truncation: the same images, every class x every seed.

    By ``scale``, ``clamp`` and ``tfhub`` latents move evenly with T; by ``resample`` values jump where T passes them.

    Args:
        sampler: what draws; with a bank of that kind, each frame has the statistics that fit its truncation.
        truncations: T of each frame; see :func:`there_and_back`.
        labels: class indices: the rows; one at least.
        seeds: of the latents: the columns.
        kind: how to truncate.
        columns: images a row, where it is another number than the seeds.
        caption: whether T stands above.
        smallest: pixels that the shorter side has at least; images are enlarged by whole numbers.
        chunk: images drawn at a time.

    Raises:
        UserError: a truncation out of range, or a sheet too large.
    """
    check_frames(len(truncations), "--frames")
    for truncation in truncations:
        check_truncation(truncation, kind)
    columns = columns or len(seeds)
    check_sheet(len(labels) * len(seeds), columns, sampler.info.architecture.resolution, "--columns", columns)
    every_label = [label for label in labels for _ in seeds]
    every_seed = list(seeds) * len(labels)
    for truncation in truncations:
        images = sampler.sample(every_label, every_seed, truncation, kind, chunk)
        shown = enlarge(sheet(images, columns), smallest)
        yield to_frame(captioned(shown, f"truncation {truncation:.3f} ({kind})") if caption else shown)


def there_and_back(low: float, high: float, frames: int, *, one_way: bool = False) -> list[float]:
    """Return ``frames`` truncations from ``high`` down to ``low`` and up again, slow at both ends.

    The last one leads into the first. ``one_way`` ends at ``low``.
    """
    turns = np.linspace(0, 0.5, frames) if one_way else np.arange(frames) / frames
    shares = (1 - np.cos(2 * np.pi * turns)) / 2
    return [float(high + (low - high) * share) for share in shares]


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """Return a picture with a line of text above it."""
    from PIL import ImageDraw

    frame = Image.new(picture.mode, (picture.width, picture.height + CAPTION), "white")
    frame.paste(picture, (0, CAPTION))
    draw_caption(ImageDraw.Draw(frame), (4, 2), text, 200)
    return frame


def check_frames(frames: int, option: str) -> None:
    """Check how many frames a film has.

    Raises:
        UserError: none, or more than an hour of them.
    """
    if not 1 <= frames <= MOST_FRAMES:
        raise UserError(f"{option}: the whole film has {frames:,} frames; 1 to {MOST_FRAMES:,} are possible")
