"""Figures by matplotlib, an optional part (the extra ``plots``)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing
from biggan.foundation.terminal import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

ENDINGS = (".png", ".svg", ".pdf")
_LONGEST = 200  # characters of a label


def check_figure(path: Path) -> None:
    """Make sure, before any work, that a figure can be written to ``path``.

    Raises:
        UserError: another ending, or matplotlib is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--out {path}: end the name of a plot in {', '.join(ENDINGS)}")
    try:
        import matplotlib.figure  # noqa: F401  only whether it is there
    except ImportError as error:
        raise UserError(f'{path}: plots need matplotlib; pip install "biggan-torch[plots]"') from error


@contextlib.contextmanager
def figure(path: Path) -> Iterator[Any]:
    """Yield axes; what is drawn on them is written to ``path`` (.png, .svg, .pdf), atomically.

    Labels, titles, legends and notes are shown letter by letter: what looks like a formula or commands a terminal is
    text, and a letter that the font lacks is a box.

    Raises:
        UserError: matplotlib is not installed, another ending, a link, or a full disk.
    """
    check_figure(path)
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7, 5), layout="constrained")
    axes = drawing.subplots()
    yield axes
    for text in _written(axes):
        text.set_text(one_line(text.get_text(), _LONGEST))
        text.set_parse_math(False)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawing.savefig(temporary, dpi=120, format=path.suffix.lower()[1:])


def _written(axes: Axes) -> Iterator[Text]:
    """Yield what people wrote; the numbers at the ticks are matplotlib's own, and formulas at times."""
    yield from (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
    legend = axes.get_legend()
    if legend is not None:
        yield from legend.get_texts()
