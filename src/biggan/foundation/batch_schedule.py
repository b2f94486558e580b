"""Batches that change: ``0:256,20Mi:512`` by the clock, ``auto:256..4096`` doubles with the gradient noise scale."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from biggan.foundation.durations import format_images, parse_images
from biggan.foundation.errors import UserError


@dataclass(frozen=True)
class BatchSchedule:
    """Which batch an iteration has, by the clock at which it begins."""

    steps: tuple[tuple[int, int], ...]
    """(clock, batch) of each, clocks ascending from 0."""

    def at(self, clock: int) -> int:
        """Return the batch of the iteration that begins at ``clock``, in images seen."""
        return next(batch for begin, batch in reversed(self.steps) if begin <= clock)

    @property
    def batches(self) -> tuple[int, ...]:
        """All batches, in order."""
        return tuple(batch for _, batch in self.steps)

    def until(self, clock: int) -> tuple[tuple[int, int], ...]:
        """Return what has begun by ``clock``."""
        return tuple(step for step in self.steps if step[0] <= clock)

    def reached(self, begin: int, goal: int, together: int) -> int:
        """Return the first clock from ``goal`` on at which an iteration begins, if one begins at ``begin``.

        Args:
            begin: a clock.
            goal: another one; ``begin`` is returned where it is not later.
            together: batches of an iteration.
        """
        changes = [clock for clock, _ in self.steps if begin < clock < goal]
        for end in (*changes, goal):
            images = self.at(begin) * together
            begin += max(-(-(end - begin) // images), 0) * images
        return begin

    def __str__(self) -> str:
        """Return the text that :func:`parse_batch_schedule` reads."""
        return ",".join(f"{format_images(clock)}:{batch}" for clock, batch in self.steps)


@dataclass(frozen=True)
class DoublingBatch:
    """A batch that begins at ``low`` and doubles up to ``high`` as the noise scale rises above it."""

    low: int
    high: int

    def __str__(self) -> str:
        """Return the text that :func:`parse_doubling_batch` reads."""
        return f"auto:{self.low}..{self.high}"


@functools.cache
def parse_doubling_batch(text: str, option: str) -> DoublingBatch | None:
    """Return the batch that ``text`` stands for, None where it is a schedule by the clock.

    Args:
        text: ``auto:LOW..HIGH``.
        option: how errors call it.

    Raises:
        UserError: not two batches, or HIGH is not LOW times a power of two.
    """
    if not text.strip().lower().startswith("auto"):
        return None
    match = re.fullmatch(r"\s*auto:([0-9]{1,15})\.\.([0-9]{1,15})\s*", text)
    if match is None or int(match[1]) < 1:
        raise UserError(f"{option} {text}: write auto:LOW..HIGH, for example auto:256..4096")
    low, high = int(match[1]), int(match[2])
    if high < low:
        raise UserError(f"{option} {text}: the batch grows, and {high} is less than {low}; write auto:{high}..{low}")
    below = low << ((high // low).bit_length() - 1)
    if below != high:
        raise UserError(
            f"{option} {text}: a batch of {low} doubles, and never is {high}; take auto:{low}..{below} or "
            f"auto:{low}..{2 * below}"
        )
    return DoublingBatch(low, high)


@functools.cache
def parse_batch_schedule(text: str, option: str) -> BatchSchedule:
    """Return the schedule that ``text`` stands for; ``option`` is how errors call it.

    Raises:
        UserError: not pairs of a clock and a batch, or clocks that do not ascend from 0.
    """
    steps = []
    for part in text.split(","):
        clock, colon, batch = part.partition(":")
        if not colon or not re.fullmatch(r"\s*[0-9]{1,15}\s*", batch) or int(batch) < 1:
            raise UserError(f"{option} {text}: '{part}' is not CLOCK:BATCH; write for example 0:256,20Mi:512")
        try:
            steps.append((parse_images(clock), int(batch)))
        except UserError as error:
            raise UserError(f"{option} {text}: {error}") from None
    clocks = [clock for clock, _ in steps]
    if clocks[0] != 0 or clocks != sorted(set(clocks)):
        raise UserError(f"{option} {text}: clocks must ascend from 0, as in 0:256,20Mi:512")
    return BatchSchedule(tuple(steps))
