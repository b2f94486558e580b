"""Image sizes on the command line. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

from biggan.foundation.errors import UserError
from biggan.foundation.options import written


def parse_size(text: str) -> tuple[int, int]:
    """Return (height, width) for ``"128"`` or ``"256x64"``.

    Raises:
        UserError: neither form, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+)(?:\s*[x,]\s*(\d+))?\s*", text)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not height or not width:
        raise UserError(f"--resolution '{text}': write 128 for a square or 256x64 for height x width")
    return height, width


def size_option(parse: Callable[[str], tuple[int, int]]) -> object:
    """Return how an option of this kind is read and shown."""
    return written(tuple, "R|HxW", parse, lambda size: f"{size[0]}x{size[1]}")


Resolution = Annotated[tuple[int, int], size_option(parse_size)]
"""Any size."""
