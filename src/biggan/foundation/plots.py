"""Figures by matplotlib, an optional part (the extra ``plots``)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from biggan.foundation.errors import UserError


@contextlib.contextmanager
def figure(path: Path) -> Iterator[Any]:
    """Yield axes; what is drawn on them is written to ``path`` (.png, .svg, .pdf).

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError(f"{path}: plots need matplotlib; pip install 'biggan-torch[plots]'") from error
    drawing = Figure(figsize=(7, 5), layout="constrained")
    yield drawing.subplots()
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(path, dpi=120)
