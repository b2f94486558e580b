"""How a number changes over a run: constant, or on its way from one value to another. Imports no torch.

A course is a function of images seen alone, so that a run that goes on needs no more than its configuration and its
clock. It is written as one word:

    10                      always 10
    0..10:0..20M            from 0 to 10 while the clock goes from 0 to 20M, and 10 from then on
    0.9..0.5:1M..2M:cosine  along half a cosine
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from biggan.foundation.durations import format_images, parse_images
from biggan.foundation.errors import UserError

_SHAPE = re.compile(r"(?P<first>[^:]+?)\.\.(?P<last>[^:]+):(?P<begin>[^:]+?)\.\.(?P<end>[^:]+)(:(?P<shape>\w+))?")


@dataclass(frozen=True, kw_only=True)
class Course:
    """A number over images seen."""

    first: float
    """Until ``begin``."""
    last: float
    """From ``end`` on."""
    begin: int = 0
    end: int = 0
    shape: Literal["linear", "cosine"] = "linear"

    def at(self, images_seen: int) -> float:
        """Return the number at a clock."""
        if images_seen >= self.end:
            return self.last
        if images_seen <= self.begin:
            return self.first
        way = (images_seen - self.begin) / (self.end - self.begin)
        if self.shape == "cosine":
            way = (1 - math.cos(math.pi * way)) / 2
        return self.first + (self.last - self.first) * way

    @property
    def least(self) -> float:
        """The smallest value."""
        return min(self.first, self.last)

    @property
    def most(self) -> float:
        """The largest value."""
        return max(self.first, self.last)

    @property
    def nothing(self) -> bool:
        """Whether it is 0 for ever."""
        return self.first == self.last == 0

    def __str__(self) -> str:
        """Return the word."""
        if self.first == self.last:
            return f"{self.first:g}"
        shape = "" if self.shape == "linear" else f":{self.shape}"
        return f"{self.first:g}..{self.last:g}:{format_images(self.begin)}..{format_images(self.end)}{shape}"


def constant(value: float) -> Course:
    """Return the course that is always ``value``."""
    return Course(first=value, last=value)


def parse_course(word: str, option: str) -> Course:
    """Return what a word means.

    Args:
        word: as above.
        option: whose value it is, for messages.

    Raises:
        UserError: it means nothing, or ends before it begins.
    """
    try:
        return constant(_number(word))
    except ValueError:
        pass
    match = _SHAPE.fullmatch(word)
    try:
        if match is None:
            raise ValueError
        first, last = _number(match["first"]), _number(match["last"])
        begin, end = parse_images(match["begin"]), parse_images(match["end"])
    except (ValueError, UserError):
        raise UserError(
            f"{option}={word}: write a number, or FROM..TO:BEGIN..END with clocks in images, for example 0..10:0..1M, "
            "and :cosine behind it if it is not to be a line"
        ) from None
    shape = match["shape"] or "linear"
    if shape not in ("linear", "cosine"):
        raise UserError(f"{option}={word}: the way is linear or cosine, not {shape}")
    if begin < 0 or end <= begin:
        raise UserError(f"{option}={word}: it ends at {end:,} images, and begins at {begin:,}; write the earlier first")
    return Course(first=first, last=last, begin=begin, end=end, shape="cosine" if shape == "cosine" else "linear")


def _number(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError
    return value
