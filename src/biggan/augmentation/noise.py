"""Instance noise (Sønderby et al. 2017, "Amortised MAP inference for image super-resolution", arXiv 1610.04490).

Noise on reals and on fakes lets the two distributions overlap, however far the images are from each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from biggan.augmentation.moving import working_precision
from biggan.foundation.chance import Chance
from biggan.foundation.errors import UserError


@dataclass(frozen=True)
class InstanceNoise:
    """Independent normal noise on every value."""

    sigma: float
    """Its standard deviation, where images span -1 ... 1."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.sigma) and self.sigma >= 0):
            raise UserError(f"the sigma of instance noise is {self.sigma}; give a number that is not below 0")

    def view(self, x: Tensor, chance: Chance) -> Tensor:
        """Return ``x`` float [N, C, H, W] with noise, in its own precision; the sum is taken in float32 or finer."""
        if self.sigma == 0:
            return x
        noise = chance.normal("instance noise", x.shape[1:].numel()).view(x.shape)
        return (x.to(working_precision(x)) + self.sigma * noise).to(x.dtype)

    def off(self, channels: int, size: tuple[int, int]) -> dict[str, str]:  # noqa: ARG002 - it suits every image
        """Return nothing: it suits every image."""
        return {}
