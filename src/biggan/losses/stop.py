"""Leaving out the updates of a network whose loss is low enough: the other one is given time.

Both look at the loss of the whole update, over micro-batches and ranks, so that they do not depend on how a batch was
divided. Adam, its step count included, and what terms remember stay as they are; power iterations and running
statistics move with each pass all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from biggan.foundation.courses import Course, constant
from biggan.losses.switches import check_always
from biggan.losses.terms import Phase, Term


@dataclass(frozen=True, kw_only=True)
class DiscriminatorStop(Term):
    """No update of D while its loss is below the weight."""

    weight: Course = constant(0.2)

    paper: ClassVar[str] = "the fork of compare_gan by S. Presser, option d_stop_d_below"

    def stops(self, loss: Tensor, weight: float) -> Tensor | None:
        """Return whether the loss is below the level."""
        return loss < weight

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "a level holds in every update")


@dataclass(frozen=True, kw_only=True)
class GeneratorStop(DiscriminatorStop):
    """No update of G while its loss is below the weight."""

    weight: Course = constant(0.05)

    phases: ClassVar[tuple[Phase, ...]] = ("generator",)
    paper: ClassVar[str] = "the fork of compare_gan by S. Presser, option g_stop_g_below"
