"""Keeping D from being too sure: its loss is not to fall below a level.

Both look at the loss of the whole update, over micro-batches and ranks, so that they do not depend on how a batch was
divided. Orthogonal regularisation is no part of that loss: what it adds to gradients is never turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from biggan.foundation.courses import Course, constant
from biggan.losses.switches import check_always
from biggan.losses.terms import Phase, Term


@dataclass(frozen=True, kw_only=True)
class DiscriminatorFlood(Term):
    """D minimises |L - weight| + weight: below that level its gradient points the other way."""

    weight: Course = constant(0.2)

    turns_gradients: ClassVar[bool] = True
    paper: ClassVar[str] = "Ishida et al. 2020, arXiv 2002.08709"

    def gradients(self, network: nn.Module, loss: Tensor, weight: float) -> bool:
        """Turn the gradients where the loss is below the level."""
        sign = torch.where(loss < weight, -torch.ones_like(loss), torch.ones_like(loss))
        found = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        torch._foreach_mul_(found, sign)
        return False

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "a level holds in every update")


@dataclass(frozen=True, kw_only=True)
class GeneratorFlood(DiscriminatorFlood):
    """G minimises |L - weight| + weight."""

    weight: Course = constant(0.05)

    phases: ClassVar[tuple[Phase, ...]] = ("generator",)
