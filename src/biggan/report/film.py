"""A film of the training: the sheet of fixed latents at every interval, as one GIF."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from biggan.foundation.errors import UserError
from biggan.foundation.names import clock_of
from biggan.sampling.pictures import enlarge, write_gif

FIXED = "fixed.png"
SAMPLES = "samples"
_CAPTION = 16


def training_film(run_dir: Path, path: Path, smallest: int = 200) -> int:
    """Write ``path`` from the sheets that a run has drawn; return the number of frames.

    Raises:
        UserError: the run has drawn none yet.
    """
    folders = {clock_of(folder.name): folder for folder in (run_dir / SAMPLES).glob("*")}
    found = {images: folder / FIXED for images, folder in folders.items() if images is not None}
    frames = [_captioned(found[images], images, smallest) for images in sorted(found) if found[images].is_file()]
    if not frames:
        raise UserError(f"{run_dir / SAMPLES}: no sheets to make a film of yet")
    write_gif(path, frames, 250, hold_last=True)
    return len(frames)


def _captioned(sheet: Path, images: int, smallest: int) -> Image.Image:
    with Image.open(sheet, formats=("PNG",)) as picture:
        shown = enlarge(picture, smallest)
    frame = Image.new(shown.mode, (shown.width, shown.height + _CAPTION), "white")
    frame.paste(shown, (0, _CAPTION))
    ImageDraw.Draw(frame).text((4, 2), f"{images:,} images", fill="black")
    return frame
