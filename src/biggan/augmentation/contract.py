"""What an augmentation is: a function of images and of chance, through which gradients flow."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from biggan.foundation.chance import Chance


class Augmentation(Protocol):
    """What D sees instead of the images, real ones and fakes alike.

    An image of the outcome depends on that image and its position in the global batch alone, not on those beside it.
    """

    def view(self, x: Tensor, chance: Chance) -> Tensor:
        """Return what D sees.

        Args:
            x: float [N, C, H, W] in [-1, 1], of any precision.
            chance: of these N images. Fakes and reals, and each step, need a seed, a clock or positions of their own.

        Returns:
            The same shape, precision and layout in memory, differentiable twice with respect to ``x``. Values may leave
            [-1, 1].
        """

    def off(self, channels: int, size: tuple[int, int]) -> dict[str, str]:
        """Return what cannot be done to images of ``size`` (height, width), and why."""
