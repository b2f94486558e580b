"""What a snapshot can hold beside the generator that is sampled: all that training goes on from. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from biggan.foundation.courses import Course, as_course
from biggan.foundation.limits import Ge, Gt, Le, Lt
from biggan.foundation.schedules import Schedule, batch_factor

_Batch = Annotated[int, Ge(1), Le(2**53)]
_Beta = Annotated[float, Ge(0), Lt(1)]


@dataclass(frozen=True, kw_only=True)
class AdamRecord:
    """How Adam was set that the moments of one network belong to."""

    learning_rate: Annotated[float, Ge(0), Le(1e6)] | Course
    beta1: _Beta
    beta2: _Beta | Course
    eps: Annotated[float, Gt(0), Le(1e6)]
    reference_batch: _Batch | None = None
    """The batch for which the learning rate is meant, where it follows the batch."""
    batch: _Batch | None = None
    """Images of an update, where there is a reference."""
    schedule: Schedule = field(default_factory=Schedule)
    """How the learning rate changes with the clock."""

    def __post_init__(self) -> None:
        rate, beta2 = as_course(self.learning_rate), as_course(self.beta2)
        if rate.least < 0 or beta2.least < 0 or beta2.most >= 1:
            raise ValueError("Adam's rate must not be negative, and its betas stay in [0, 1)")

    def rate(self, images_seen: int) -> float:
        """Return the learning rate of the iteration that begins at a clock."""
        scale = batch_factor(self.batch, self.reference_batch) if self.batch and self.reference_batch else 1.0
        return as_course(self.learning_rate).at(images_seen) * (scale * self.schedule.factor(images_seen))


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """Which further tensors a file holds."""

    generator: bool = False
    """G itself, where the file's own weights are its moving average."""
    discriminator: bool = False
    """D."""
    generator_adam: AdamRecord | None = None
    """Of the moments of G; None if the file holds none."""
    discriminator_adam: AdamRecord | None = None
    """Of the moments of D; None if the file holds none."""

    def __post_init__(self) -> None:
        if self.discriminator_adam is not None and not self.discriminator:
            raise ValueError("moments of a discriminator that is not in the file")

    @property
    def parts(self) -> tuple[str, ...]:
        """What there is, in words."""
        there = {
            "G itself": self.generator,
            "D": self.discriminator,
            "Adam's moments of G": self.generator_adam is not None,
            "Adam's moments of D": self.discriminator_adam is not None,
        }
        return tuple(name for name, is_there in there.items() if is_there)
