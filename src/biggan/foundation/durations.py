"""Durations, intervals and half-lives are counted in images: ``96``, ``10k``, ``20Mi``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from biggan.foundation.errors import UserError
from biggan.foundation.options import written

DIGITS = 20
"""Digits of a whole number that is stored: all that are ever needed fit into 64 bits."""
_FACTORS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
}


def parse_images(text: str) -> int:
    """Return the number of images that ``text`` stands for.

    ``k``, ``M``, ``G`` are powers of 1000; ``Ki``, ``Mi``, ``Gi`` powers of 1024; a fraction is allowed
    where the result is whole (``1.5k``).

    Raises:
        UserError: not a number of images.
    """
    match = re.fullmatch(r"\s*(\d+(?:_\d+)*)(\.\d+)?\s*([kKmMgG]i?)?\s*", text)
    if match is None:
        raise UserError(f"'{text}' is not a number of images; write for example 96, 10k, 1.5M or 20Mi")
    whole, fraction, suffix = match[1].replace("_", ""), match[2] or "", match[3] or ""
    normal = {"K": "k", "m": "M", "g": "G", "ki": "Ki", "mi": "Mi", "gi": "Gi"}.get(suffix, suffix)
    factor = _FACTORS[normal]
    scale = 10 ** max(len(fraction) - 1, 0)
    if len(whole + fraction) > DIGITS:
        raise UserError(f"'{text}' is a number of {len(whole + fraction)} digits; write a smaller number of images")
    images, rest = divmod(int(whole + fraction[1:]) * factor, scale)
    if rest:
        raise UserError(f"'{text}' is not a whole number of images")
    return images


def format_images(images: int) -> str:
    """Return the shortest text that :func:`parse_images` reads back as ``images``."""
    for suffix in ("Gi", "Mi", "Ki", "G", "M", "k"):
        factor = _FACTORS[suffix]
        if images >= factor and images % factor == 0:
            return f"{images // factor}{suffix}"
    return str(images)


Images = Annotated[int, written(int, "IMAGES", parse_images, format_images)]
"""A number of images as an option."""


def _or_none(word: str) -> int | None:
    return None if word == "None" else parse_images(word)


def _shown_or_none(images: int | None) -> str:
    return "None" if images is None else format_images(images)


_EITHER: Any = int | None
OR_NONE = written(_EITHER, "None|IMAGES", _or_none, _shown_or_none)
"""How a number of images that may be None is written as an option."""
MaybeImages = Annotated[int | None, OR_NONE]
"""A number of images as an option, or None."""


def spoken(seconds: float) -> str:
    """Return a time, not negative, in the unit that people would take: ``25 s``, ``3.6 min``, ``47 min``, ``2.5 h``."""
    if round(seconds) < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.2g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
