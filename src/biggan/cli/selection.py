"""How classes and seeds are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line

if TYPE_CHECKING:
    from biggan.sampling.sampler import Sampler

MOST_IMAGES = 10_000_000
"""Most images of one command."""


def parse_seeds(words: Sequence[str], option: str = "--seeds") -> list[int]:
    """Return the seeds that words such as ``0-15``, ``3`` or ``1,4,9-11`` mean, in order.

    Args:
        words: as they were given.
        option: behind which.

    Raises:
        UserError: not numbers, a range that runs backwards, or too many.
    """
    seeds: list[int] = []
    for part in (part for word in words for part in word.split(",") if part):
        match = re.fullmatch(r"\s*([0-9]{1,19})(?:\s*-\s*([0-9]{1,19}))?\s*", part)
        if match is None:
            raise UserError(
                f"{option} '{one_line(part, 80)}': write numbers and ranges, for example 0-15 or 1,4,9-11 (up to 2^63)"
            )
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last >= 2**63:
            raise UserError(f"{option} {part}: at most 2^63 - 1")
        if last < first:
            raise UserError(f"{option} {part}: the range runs backwards; write {last}-{first}")
        check_amount(len(seeds) + last - first + 1, f"{option} {one_line(part, 80)}")
        seeds += range(first, last + 1)
    if not seeds:
        raise UserError(f"{option} '{one_line(' '.join(words), 80)}': name at least one seed, for example 0-15")
    return seeds


def choose_seeds(words: Sequence[str], count: int | None, default: int = 16, option: str = "--count") -> list[int]:
    """Return the seeds: those written, or 0 .. count - 1.

    Raises:
        UserError: both were given, or the count is not positive, or too large.
    """
    if words and count is not None:
        raise UserError(f"give --seeds or {option}, not both ({option} N means seeds 0 to N-1)")
    if count is not None and count < 1:
        raise UserError(f"{option} {count}: must be at least 1")
    check_amount(count or 0, f"{option} {count}")
    return parse_seeds(words) if words else list(range(default if count is None else count))


def check_amount(images: int, what: str) -> None:
    """Check that no more images are asked for than a command makes.

    Raises:
        UserError: more.
    """
    if images > MOST_IMAGES:
        raise UserError(f"{what}: {images:,} images; at most {MOST_IMAGES:,} are made by one command")


def class_named(sampler: Sampler, name: str, option: str) -> int:
    """Return the index of a class that an option names.

    Raises:
        UserError: there is none; names the option.
    """
    try:
        return sampler.class_index(name)
    except UserError as error:
        raise UserError(f"{option}: {error}") from None


def choose_classes(sampler: Sampler, words: Sequence[str]) -> list[int]:
    """Return the class indices that words mean: names, ``id:7``, or several of these joined by commas.

    Raises:
        UserError: an unknown class.
    """
    chosen: list[int] = []
    for word in words:
        parts = [word] if "," not in word or sampler.named(word) is not None else word.split(",")
        chosen += [class_named(sampler, part.strip(), "--classes") for part in parts if part.strip()]
    if words and not chosen:
        raise UserError("--classes: name at least one class, or leave the option out")
    return chosen
