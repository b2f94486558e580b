"""How a rate changes with the clock: warm-up, then constant, linear or cosine. Imports no torch.

These are two courses (:mod:`biggan.foundation.courses`), one after the other, in words for rates: a function of images
seen alone, so that a run that goes on needs no more than its configuration and its clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from biggan.foundation.courses import Course
from biggan.foundation.durations import OR_NONE, Images, format_images
from biggan.foundation.errors import UserError
from biggan.foundation.limits import Ge, Le, Lt

_MOST = 2**53
Clock = Annotated[Images, Ge(0), Le(_MOST)]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A factor over images seen: from 0 to 1 over the warm-up, then constant, or down to ``final``."""

    warmup: Clock = 0
    """Images over which the rate rises in a line from 0; the iteration at clock 0 has rate 0."""
    decay: Literal["none", "linear", "cosine"] = "none"
    """How it falls after that."""
    until: Annotated[Clock | None, OR_NONE] = None
    """Clock at which it has fallen; the duration with which the run was begun, by default."""
    final: Annotated[float, Ge(0), Lt(1)] = 0.0
    """What it falls to, relative to the full rate; it stays there."""

    @property
    def constant(self) -> bool:
        """Whether the factor is 1 for ever."""
        return not self.warmup and self.decay == "none"

    def factor(self, images_seen: int) -> float:
        """Return by what the rate is multiplied in the iteration that begins at this clock, 0 to 1."""
        if images_seen < self.warmup:
            return Course(first=0.0, last=1.0, end=self.warmup).at(images_seen)
        if self.decay == "none" or self.until is None:
            return 1.0
        fall = Course(first=1.0, last=self.final, begin=self.warmup, end=self.until, shape=self.decay)
        return fall.at(images_seen)

    def check(self, option: str, duration: int) -> None:
        """Check that every part of it has an effect.

        Args:
            option: the option that it is the value of, for messages.
            duration: of the run, in images seen.

        Raises:
            UserError: a value out of range, or one that cannot take effect.
        """
        for name, value in (("warmup", self.warmup), ("until", self.until or 0)):
            if not 0 <= value <= _MOST:
                raise UserError(f"{option}.{name} {value}: must be a number of images, 0 or more")
        if not 0 <= self.final < 1:
            raise UserError(f"{option}.final {self.final}: the share that is left at the end, from 0 to below 1")
        if self.decay == "none":
            given = [("until", f"{self.until}", "None")] if self.until is not None else []
            given += [("final", f"{self.final}", "0")] if self.final else []
            for name, shown, nothing in given:
                raise UserError(
                    f"{option}.{name} {shown}: nothing decays; add {option}.decay linear or cosine, or leave it out "
                    f"({nothing}, where a run that goes on has it)"
                )
            return
        end = duration if self.until is None else self.until
        if self.warmup >= end:
            raise UserError(
                f"{option}.warmup {self.warmup}: the {self.decay} decay has ended at {end} images, before there is a "
                f"full rate to decay from; choose a shorter warm-up or a later {option}.until"
            )

    def __str__(self) -> str:
        """Return for example ``rises over 100k images, cosine to 0.1 at 10M``."""
        parts = [f"rises over {format_images(self.warmup)} images"] if self.warmup else []
        if self.decay != "none":
            end = "the end" if self.until is None else format_images(self.until)
            parts.append(f"{self.decay} to {self.final:g} at {end}")
        return ", ".join(parts) or "constant"


def batch_factor(batch: int, reference: int) -> float:
    """Return sqrt(batch / reference): how the rate of Adam follows the batch (Malladi et al. 2022)."""
    return math.sqrt(batch / reference)
