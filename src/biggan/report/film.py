"""A film of the training: the sheet of fixed latents at every interval, with the losses up to there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.names import clock_of
from biggan.foundation.terminal import one_line
from biggan.report.health import MOST, STATS
from biggan.report.lines import Damage, json_lines
from biggan.sampling.film_files import Frame, check_film, write_film
from biggan.sampling.frames import captioned, to_frame
from biggan.sampling.pictures import LARGEST_SIDE, MOST_PIXELS, enlarge

FIXED = "fixed.png"
SAMPLES = "samples"
PLOT = 72
"""Pixels of the strip in which losses are drawn."""
_COLOURS = {"D": (200, 60, 40), "G": (40, 90, 200)}
_SCALE = "D_loss_scale"  # of half precision; no part of the loss
_LATER = (225, 225, 225)


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Of D (the sum of its parts) and G over images seen; empty where a run has written none."""

    images: tuple[int, ...] = ()
    D: tuple[float, ...] = ()
    G: tuple[float, ...] = ()


def training_film(
    run_dir: Path, path: Path, smallest: int = 200, frames_per_second: int = 4
) -> tuple[int, tuple[tuple[int, int], tuple[int, int]]]:
    """Write ``path`` (.gif, .mp4 or .webm) from the sheets that a run has drawn; the last one stays for two seconds.

    Returns:
        the number of frames, and what :func:`biggan.sampling.film_files.write_film` does.

    Raises:
        UserError: the run has drawn none yet, or the film cannot be written.
        CorruptFileError: a sheet is damaged.
    """
    sheets = fixed_sheets(run_dir)
    check_film(path, frames_per_second)
    frames = training_frames(sheets, read_losses(run_dir), smallest)
    return len(sheets), write_film(path, frames, frames_per_second, hold_last=2.0)


def fixed_sheets(run_dir: Path) -> list[tuple[int, Path]]:
    """Return images seen and file of every sheet of fixed latents that a run has drawn, in order.

    Raises:
        UserError: no run, or none yet.
    """
    if not run_dir.is_dir():
        raise UserError(f"{one_line(str(run_dir))}: there is no such run")
    numbered = ((clock_of(folder.name), folder / FIXED) for folder in (run_dir / SAMPLES).glob("*"))
    found = sorted((images, file) for images, file in numbered if images is not None and file.is_file())
    if not found:
        raise UserError(
            f"{one_line(str(run_dir / SAMPLES))}: no sheets to make a film of yet; a run draws them every "
            "--log.samples-every images"
        )
    return found


def training_frames(sheets: Sequence[tuple[int, Path]], losses: Losses, smallest: int = 200) -> Iterator[Frame]:
    """Yield a frame for each sheet, one in memory at a time.

    Args:
        sheets: images seen and file, as :func:`fixed_sheets` has them; smaller ones stand in the corner of the largest.
        losses: drawn below, those to come in grey.
        smallest: pixels that the shorter side has at least; sheets are enlarged by whole numbers.

    Raises:
        CorruptFileError: a sheet is damaged, or too large.
    """
    sizes = [_size(file) for _, file in sheets]
    size = max(width for width, _ in sizes), max(height for _, height in sizes)
    for images, file in sheets:
        whole = Image.new("RGB", size, "white")
        whole.paste(_opened(file), (0, 0))
        shown = enlarge(whole, smallest)
        yield to_frame(_with_losses(captioned(shown, _caption(images, losses)), images, losses))


def read_losses(run_dir: Path) -> Losses:
    """Return the losses that a run has written, by images seen; of what a run did twice, the latest.

    Damaged lines are left out, and that is said.

    Raises:
        UserError: the file cannot be read.
    """
    found: dict[int, tuple[float, float]] = {}
    damage = Damage()
    for record in json_lines(run_dir / STATS, damage):
        images = record.get("images_seen")
        if not isinstance(images, int) or not 0 <= images <= MOST or "G_loss" not in record:
            continue
        parts = [value for name, value in record.items() if name.startswith("D_loss") and name != _SCALE]
        if parts and all(isinstance(value, int | float) and abs(value) < MOST for value in (*parts, record["G_loss"])):
            found[images] = float(sum(parts)), float(record["G_loss"])
    damage.tell(run_dir / STATS)
    clocks = sorted(found)
    return Losses(
        images=tuple(clocks), D=tuple(found[clock][0] for clock in clocks), G=tuple(found[clock][1] for clock in clocks)
    )


def _caption(images: int, losses: Losses) -> str:
    """Return images seen, and the losses that were written last by then."""
    upto = int(np.searchsorted(losses.images, images, side="right"))
    told = f"   loss of D {losses.D[upto - 1]:.3f}, of G {losses.G[upto - 1]:.3f}" if upto else ""
    return f"{images:,} images{told}"


def _with_losses(frame: Image.Image, images: int, losses: Losses) -> Image.Image:
    """Return the frame with the losses below it, up to ``images`` in colour."""
    if len(losses.images) < 2:
        return frame
    whole = Image.new("RGB", (frame.width, frame.height + PLOT), "white")
    whole.paste(frame, (0, 0))
    draw = ImageDraw.Draw(whole)
    # Single spikes would flatten all else.
    low, high = np.percentile([*losses.D, *losses.G], [0.5, 99.5])
    left, right, top, bottom = 20, frame.width - 4, frame.height + 6, frame.height + PLOT - 6
    span = max(losses.images[-1] - losses.images[0], 1)

    def place(clock: int, value: float) -> tuple[float, float]:
        x = left + (right - left) * min(max((clock - losses.images[0]) / span, 0), 1)
        share = (value - low) / (high - low) if high > low else 0.5
        return x, bottom - (bottom - top) * min(max(share, 0), 1)

    upto = int(np.searchsorted(losses.images, images, side="right"))
    for name, values in (("D", losses.D), ("G", losses.G)):
        points = [place(clock, value) for clock, value in zip(losses.images, values, strict=True)]
        draw.line(points[max(upto - 1, 0) :], fill=_LATER)
        draw.line(points[:upto], fill=_COLOURS[name])
        draw.text((5, top + (0 if name == "D" else 14)), name, fill=_COLOURS[name])
    now = place(images, low)[0]
    draw.line([(now, top), (now, bottom)], fill=(120, 120, 120))
    return whole


def _size(file: Path) -> tuple[int, int]:
    """Return (width, height) of a sheet, from its header."""
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            width, height = picture.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(file, error) from error
    if max(width, height) > LARGEST_SIDE or width * height > MOST_PIXELS:
        raise CorruptFileError(f"{one_line(str(file))}: {width:,} x {height:,} pixels, more than any sheet has")
    return width, height


def _opened(file: Path) -> Image.Image:
    try:
        with Image.open(file, formats=("PNG",)) as picture:
            return picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: BaseException) -> CorruptFileError:
    return CorruptFileError(f"{one_line(str(file))}: this sheet is damaged ({one_line(str(error), 200)}); remove it")
