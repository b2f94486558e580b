"""Twice the size and back by the low-pass filter of a wavelet, so that moving what lies between does not alias.

The filter is sym6, the least asymmetric one of Daubechies with six vanishing moments (Daubechies 1992, "Ten lectures on
wavelets", table 6.3). It is orthogonal to its own even shifts, so that an image that is doubled and halved again is
itself, to rounding. Sums are written out, term by term, so that an image's does not depend on those beside it.

It is not symmetric: its weight lies about the sixth of its twelve taps, not between that and the next. So what was a
pixel i lies at 2i of the doubled image, and what is doubled of a mirror image is not the mirror image of what is
doubled.
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
"""Pixels that doubling looks at beyond a period."""
BEYOND = len(SYM6) // 2 - 1
"""Pixels of the doubled image that halving looks at beyond it, on each side."""


def doubled(x: Tensor) -> Tensor:
    """Return images [N, C, H, W], mirrored without end at their outermost pixels, at twice the size.

    What comes back is one period, float [N, C, 4(H - 1), 4(W - 1)]: the image, then its mirror image, then the same
    again. A pixel i of a side lies at 2i. Sides must have more than :data:`MARGIN` pixels.
    """
    for dim in (2, 3):
        side = x.shape[dim]
        x = _Doubling.apply(torch.cat([x, x.narrow(dim, 1, side - 2).flip(dim)], dim=dim), dim)
    return x


def halved(x: Tensor) -> Tensor:
    """Return images at half the size, [N, C, H, W].

    Args:
        x: [N, C, 2H + 2 :data:`BEYOND`, 2W + 2 :data:`BEYOND`], with that much beyond each edge.
    """
    for dim in (2, 3):
        x = _Gather.apply(x, dim)
    return x


def _around(x: Tensor, dim: int, margin: int) -> Tensor:
    """Return a period with some of the one before and of the one after it."""
    return torch.cat([x.narrow(dim, x.shape[dim] - margin, margin), x, x.narrow(dim, 0, margin)], dim=dim)


class _AlongASide(torch.autograd.Function):
    """What is linear along one dimension, whose gradient is another such function along it."""

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember the side."""
        ctx.dim = inputs[1]


class _Doubling(_AlongASide):
    """A period of L values becomes one of 2L: zeros between them, then twice the filter."""

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        length, wide = x.shape[dim], _around(x, dim, MARGIN)
        phases = []
        for phase in (0, 1):
            # Value i goes to 2i - 5 + tap: to 2m with the odd taps, to 2m + 1 with the even ones.
            total = 2 * _FILTER[1 - phase] * wide.narrow(dim, BEYOND + phase, length)
            for tap in range(1, BEYOND + 1):
                total.add_(wide.narrow(dim, BEYOND + phase - tap, length), alpha=2 * _FILTER[2 * tap + 1 - phase])
            phases.append(total)
        return torch.stack(phases, dim=dim + 1).flatten(dim, dim + 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Folding.apply(gradient, ctx.dim), None


class _Folding(_AlongASide):
    """The gradient of that: a period of 2L values becomes one of L."""

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        return 2 * _gathered(_around(x, dim, BEYOND), dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Doubling.apply(gradient, ctx.dim), None


def _gathered(x: Tensor, dim: int) -> Tensor:
    """Return the filter the other way round, then every second value: 2L + 10 values become L."""
    length = (x.shape[dim] - 2 * BEYOND) // 2
    every = [part.contiguous() for part in torch.unflatten(x, dim, (-1, 2)).unbind(dim + 1)]
    total = every[0].narrow(dim, 0, length) * _FILTER[0]
    for tap, value in enumerate(_FILTER[1:], start=1):
        total.add_(every[tap % 2].narrow(dim, tap // 2, length), alpha=value)
    return total


class _Spread(_AlongASide):
    """The gradient of gathering: zeros between values, then the filter; L values become 2L + 10."""

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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Gather.apply(gradient, ctx.dim), None


class _Gather(_AlongASide):
    """See :func:`_gathered`."""

    @staticmethod
    def forward(x: Tensor, dim: int) -> Tensor:
        return _gathered(x, dim)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Spread.apply(gradient, ctx.dim), None
