"""How a picture that was made again differs from the one in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from biggan.foundation.errors import CorruptFileError
from biggan.foundation.terminal import one_line
from biggan.sampling.picture_record import PictureRecord
from biggan.sampling.pictures import GAP


def compare(made: Image.Image, file: Path, record: PictureRecord) -> str:
    """Return a sentence on how the picture in ``file``, which has ``record``, differs from the one that was made.

    Raises:
        CorruptFileError: the file's pixels cannot be read.
    """
    try:
        with Image.open(file, formats=("PNG", "JPEG", "WEBP")) as opened:
            lossy = opened.format != "PNG"
            picture = opened.convert(made.mode) if lossy else opened
            if (picture.size, picture.mode) != (made.size, made.mode):
                return (
                    f"the file has another form ({picture.width:,} x {picture.height:,}, {picture.mode}, in place of "
                    f"{made.width:,} x {made.height:,}, {made.mode}): it was changed after it was drawn"
                )
            there = np.asarray(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise CorruptFileError(f"{one_line(str(file))}: its pixels cannot be read ({one_line(str(error))})") from error
    off = np.abs(there.astype(np.int16) - np.asarray(made).astype(np.int16))
    partly = _leave_out(off, record)
    if not off.any():
        return "bitwise the picture in the file" + (" as far as a generator drew it" if partly else "")
    why = "; files of its kind keep pixels only roughly" if lossy else ""
    count = np.count_nonzero(off)
    return f"differs from the file in {count:,} of {off.size:,} values, by at most {off.max()} of 255{why}"


def _leave_out(off: npt.NDArray[np.int16], record: PictureRecord) -> bool:
    """Set to 0 what no generator drew of the differences of two pictures; return whether there is such."""
    if record.grid is not None and record.grid.beside:  # of which the first column alone was drawn
        off[:, (off.shape[1] - GAP) // record.grid.columns + GAP :] = 0
        return True
    if record.points is None or not record.points.blank:
        return False
    shown = record.points
    rows = -(-(len(shown.condition_of) + len(shown.blank)) // shown.columns)
    height, width = (off.shape[0] - GAP) // rows, (off.shape[1] - GAP) // shown.columns
    for cell in shown.blank:
        top, left = cell // shown.columns * height, cell % shown.columns * width
        off[top : top + height + GAP, left : left + width + GAP] = 0
    return True
