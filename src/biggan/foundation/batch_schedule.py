"""Batches that change with the clock: ``0:256,20Mi:512`` is 256 images from the start and 512 from 20 Mi on."""

from __future__ import annotations

import functools
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

    def __str__(self) -> str:
        """Return the text that :func:`parse_batch_schedule` reads."""
        return ",".join(f"{format_images(clock)}:{batch}" for clock, batch in self.steps)


@functools.cache
def parse_batch_schedule(text: str, option: str) -> BatchSchedule:
    """Return the schedule that ``text`` stands for; ``option`` is how errors call it.

    Raises:
        UserError: not pairs of a clock and a batch, or clocks that do not ascend from 0.
    """
    steps = []
    for part in text.split(","):
        clock, colon, batch = part.partition(":")
        if not colon or not batch.strip().isdecimal() or int(batch) < 1:
            raise UserError(f"{option} {text}: '{part}' is not CLOCK:BATCH; write for example 0:256,20Mi:512")
        steps.append((parse_images(clock), int(batch)))
    clocks = [clock for clock, _ in steps]
    if clocks[0] != 0 or clocks != sorted(set(clocks)):
        raise UserError(f"{option} {text}: clocks must ascend from 0, as in 0:256,20Mi:512")
    return BatchSchedule(tuple(steps))
