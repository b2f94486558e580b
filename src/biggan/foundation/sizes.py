"""Image sizes on the command line. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated

import tyro

from biggan.foundation.errors import UserError


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


def size_option(
    parse: Callable[[str], tuple[int, int]],
) -> tyro.constructors.PrimitiveConstructorSpec[tuple[int, int]]:
    """Return how an option of this kind is read and shown."""
    return tyro.constructors.PrimitiveConstructorSpec[tuple[int, int]](
        nargs=1,
        metavar="R|HxW",
        instance_from_str=lambda words: parse(words[0]),
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [f"{value[0]}x{value[1]}"],
    )


Resolution = Annotated[tuple[int, int], size_option(parse_size)]
"""Any size."""
