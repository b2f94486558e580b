"""Blocks of R3GAN: grouped bottlenecks without normalisation, and what changes size and width between them."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.initialization import with_gain
from biggan.layers.smoothing import downsample_smoothly, upsample_smoothly
from biggan.layers.spectral_norm import LayerFactory

SLOPE = 0.2
GAIN = math.sqrt(2 / (1 + SLOPE**2))
"""By which a leaky relu must be preceded for variances to stay (He et al. 2015)."""


class GroupedBlock(nn.Module):
    """x + 1x1, leaky relu, grouped 3x3, leaky relu, 1x1: [N, C, H, W] -> the same (Huang et al. 2024, figure 3).

    Args:
        channels: C.
        hidden: channels of the grouped convolution.
        groups: of these.
        layers: makes convolutions.
        blocks: of the whole network: weights begin with a gain of that to the power -1/4, the last ones at 0
            (Zhang, Dauphin and Ma 2019, "Fixup", with two weights that begin as something).
    """

    def __init__(self, channels: int, hidden: int, groups: int, layers: LayerFactory, *, blocks: int) -> None:
        super().__init__()
        gain = GAIN * blocks**-0.25
        self.conv1 = with_gain(layers.conv(channels, hidden, 1), gain)
        self.conv2 = with_gain(layers.conv(hidden, hidden, groups=groups), gain)
        self.conv3 = with_gain(layers.conv(hidden, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Refine."""
        h = F.leaky_relu(self.conv1(x), SLOPE)
        h = F.leaky_relu(self.conv2(h), SLOPE)
        refined: Tensor = x + self.conv3(h)
        return refined


class Transition(nn.Module):
    """To another width by a 1x1 convolution, if it is another, and to twice the size or half, if it is resampled.

    The convolution comes where images are small.
    """

    def __init__(self, inputs: int, outputs: int, layers: LayerFactory, *, doubles: bool, halves: bool) -> None:
        super().__init__()
        self.doubles, self.halves = doubles, halves
        other = inputs != outputs
        self.conv = with_gain(layers.conv(inputs, outputs, 1, bias=False), 1.0) if other else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C', H', W']."""
        h: Tensor = self.conv(downsample_smoothly(x) if self.halves else x)
        return upsample_smoothly(h) if self.doubles else h
