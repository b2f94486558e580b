"""How a number changes over a run: constant, or on its way from one value to another. Imports no torch.

A course is a function of images seen alone, so that a run that goes on needs no more than its configuration and its
clock. It is written as one word:

    10                      always 10
    0..10:0..20M            from 0 to 10 while the clock goes from 0 to 20M, and 10 from then on
    0.9..0.5:1M..2M:cosine  along half a cosine
    0..5M:0..20M            numbers of images may be written as durations are

A warm-up is a course from 0. A configuration holds a number, or a course where it changes (:func:`as_course` reads
both), and stores a course as its word.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from biggan.foundation.durations import format_images, parse_images
from biggan.foundation.errors import UserError
from biggan.foundation.options import written

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
            return _shown(self.first)
        shape = "" if self.shape == "linear" else f":{self.shape}"
        begin, end = format_images(self.begin), format_images(self.end)
        return f"{_shown(self.first)}..{_shown(self.last)}:{begin}..{end}{shape}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Tell the reader of stored records what a course is there: its word."""
        from pydantic_core.core_schema import no_info_plain_validator_function

        return no_info_plain_validator_function(_stored)


def constant(value: float) -> Course:
    """Return the course that is always ``value``."""
    return Course(first=value, last=value)


def as_course(value: float | Course) -> Course:
    """Return the course of a value that may be a number."""
    return value if isinstance(value, Course) else constant(value)


def parse_course(word: str, option: str) -> Course:
    """Return what a word means.

    Args:
        word: as above.
        option: whose value it is, for messages; empty where who asks says that.

    Raises:
        UserError: it means nothing, or ends before it begins.
    """
    given = f"{option}={word}" if option else word
    try:
        return constant(_number(word))
    except (ValueError, UserError):
        pass
    match = _SHAPE.fullmatch(word)
    try:
        if match is None:
            raise ValueError
        first, last = _number(match["first"]), _number(match["last"])
        begin, end = parse_images(match["begin"]), parse_images(match["end"])
    except (ValueError, UserError):
        raise UserError(
            f"{given}: write a number, or FROM..TO:BEGIN..END with clocks in images, for example 0..10:0..1M, "
            "and :cosine behind it if it is not to be a line"
        ) from None
    shape = match["shape"] or "linear"
    if shape not in ("linear", "cosine"):
        raise UserError(f"{given}: the way is linear or cosine, not {shape}")
    if begin < 0 or end <= begin:
        raise UserError(f"{given}: it ends at {end:,} images, and begins at {begin:,}; write the earlier first")
    return Course(first=first, last=last, begin=begin, end=end, shape="cosine" if shape == "cosine" else "linear")


def _number(word: str) -> float:
    """Return a number, or one of images as durations are written: 5M."""
    try:
        value = float(word)
    except ValueError:
        value = float(parse_images(word))
    if not math.isfinite(value):
        raise ValueError
    return value


def _shown(number: float) -> str:
    """Return the shortest text that is read back as this number."""
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def _stored(value: Any) -> Course:
    if isinstance(value, Course):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a number, or FROM..TO:BEGIN..END")
    try:
        return parse_course(value, "")
    except UserError as error:
        raise ValueError(str(error)) from None


def _option(of_number: Callable[[float], Any], show: Callable[[Any], str], none: type | None = None) -> object:
    """Return how a number that may be a course is written as an option; with a type for ``none``, it may be None."""

    def read(word: str) -> Any:
        if none is not None and word == "None":
            return None
        course = parse_course(word, "")
        return of_number(course.first) if course.first == course.last else course

    def shown(value: Any) -> str:
        return str(value) if value is None or isinstance(value, Course) else show(value)

    kind: Any = int | float | Course if none is None else int | float | Course | none
    return written(kind, "None|" * (none is not None) + "NUMBER|FROM..TO:BEGIN..END", read, shown)


def _whole(number: float) -> int:
    if number != int(number):
        raise UserError(f"{number:g} is not a whole number of images")
    return int(number)


Changing = Annotated[float | Course, _option(float, _shown)]
"""A number as an option, constant or on a course."""
ChangingImages = Annotated[int | Course | None, _option(_whole, format_images, type(None))]
"""A number of images as an option, constant or on a course, or None."""
