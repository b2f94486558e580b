"""Twice the size and back by the low-pass filter of a wavelet, so that moving what lies between does not alias.

The filter is sym6, the least asymmetric one of Daubechies with six vanishing moments (Daubechies 1992, "Ten lectures on
wavelets", table 6.3). It is orthogonal to its own even shifts, so that an image that is doubled and halved again is
itself, to rounding. Sums are written out, term by term, so that an image's does not depend on those beside it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
"""Of length 1 as a vector; their sum is the root of 2."""
_FILTER = tuple(value * 0.5**0.5 for value in SYM6)
"""Their sum is 1."""
MARGIN = len(SYM6) // 4
"""Pixels that doubling looks at beyond an image."""
BEYOND = len(SYM6) // 2 - 1
"""Pixels of the doubled image that halving looks at beyond it, on each side."""


def doubled(x: Tensor) -> Tensor:
    """Return images [N, C, H, W], mirrored at their outermost pixels, at twice the size, [N, C, 2H, 2W].

    A pixel i of a side becomes those at 2i and 2i + 1. Sides must have more than :data:`MARGIN` pixels.
    """
    for dim in (2, 3):
        side = x.shape[dim]
        before = x.narrow(dim, 1, MARGIN).flip(dim)
        after = x.narrow(dim, side - 1 - MARGIN, MARGIN).flip(dim)
        spread: Tensor = _Spread.apply(torch.cat([before, x, after], dim=dim), dim)
        x = 2 * spread.narrow(dim, 2 * MARGIN + BEYOND, 2 * side)
    return x


def halved(x: Tensor) -> Tensor:
    """Return images at half the size, [N, C, H, W].

    Args:
        x: [N, C, 2H + 2 :data:`BEYOND`, 2W + 2 :data:`BEYOND`], with that much beyond each edge.
    """
    for dim in (2, 3):
        x = _Gather.apply(x, dim)
    return x


class _Spread(torch.autograd.Function):
    """Zeros between values, then the filter: L values become 2L + 10."""

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        zeros = x.new_zeros(*x.shape[:dim], BEYOND, *x.shape[dim + 1 :])
        wide = torch.cat([zeros, x, zeros], dim=dim)
        length = x.shape[dim] + BEYOND
        phases = []
        for phase in (0, 1):
            total = _FILTER[phase] * wide.narrow(dim, BEYOND, length)
            for tap in range(1, BEYOND + 1):
                total.add_(wide.narrow(dim, BEYOND - tap, length), alpha=_FILTER[2 * tap + phase])
            phases.append(total)
        return torch.stack(phases, dim=dim + 1).flatten(dim, dim + 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember the side."""
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Gather.apply(gradient, ctx.dim), None


class _Gather(torch.autograd.Function):
    """The filter the other way round, then every second value: 2L + 10 values become L."""

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        length = (x.shape[dim] - 2 * BEYOND) // 2
        every = torch.unflatten(x, dim, (-1, 2))
        total = None
        for tap, value in enumerate(_FILTER):
            part = every.narrow(dim, tap // 2, length).select(dim + 1, tap % 2)
            total = value * part if total is None else total.add_(part, alpha=value)
        assert total is not None
        return total

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember the side."""
        ctx.dim = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradient, ctx.dim), None
