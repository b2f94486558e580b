"""How classes and seeds are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biggan.foundation.errors import UserError

if TYPE_CHECKING:
    from biggan.sampling.sampler import Sampler

MOST_SEEDS = 10_000_000


def parse_seeds(words: Sequence[str]) -> list[int]:
    """Return the seeds that words such as ``0-15``, ``3`` or ``1,4,9-11`` mean, in order.

    Raises:
        UserError: not numbers, or a range that runs backwards.
    """
    seeds: list[int] = []
    for part in (part for word in words for part in word.split(",") if part):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if match is None:
            raise UserError(f"--seeds '{part}': write numbers and ranges, for example 0-15 or 1,4,9-11")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first:
            raise UserError(f"--seeds {part}: the range runs backwards; write {last}-{first}")
        if last - first >= MOST_SEEDS:
            raise UserError(f"--seeds {part}: more than {MOST_SEEDS:,} images at once")
        seeds += range(first, last + 1)
    return seeds


def choose_seeds(words: Sequence[str], count: int | None, default: int = 16) -> list[int]:
    """Return the seeds: those written, or 0 .. count - 1.

    Raises:
        UserError: both were given, or the count is not positive.
    """
    if words and count is not None:
        raise UserError("give --seeds or --count, not both (--count N means seeds 0 to N-1)")
    if count is not None and count < 1:
        raise UserError(f"--count {count}: must be at least 1")
    return parse_seeds(words) if words else list(range(default if count is None else count))


def choose_classes(sampler: Sampler, words: Sequence[str]) -> list[int]:
    """Return the class indices that words mean: names, ``id:7``, or several of these joined by commas.

    Raises:
        UserError: an unknown class.
    """
    chosen: list[int] = []
    for word in words:
        parts = [word] if word in sampler.class_names or "," not in word else word.split(",")
        chosen += [sampler.class_index(part.strip()) for part in parts if part.strip()]
    return chosen


def safe_name(name: str) -> str:
    """Return ``name`` as a part of a file name: letters, digits, dots, dashes, underscores."""
    safe = re.sub(r"[^\w.-]+", "_", name).strip("._")
    return safe[:80] or "class"
