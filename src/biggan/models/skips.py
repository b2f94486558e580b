"""The layers by which a grown network still computes what it was grown from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.normalization import AffineNorm
from biggan.layers.resizing import downsample, upsample


class Gate(nn.Module):
    """g x with a learnt number g that starts at 0, so that what is new is silent, and is heard as it gets useful.

    The number is no weight of a layer: nothing divides it by a singular value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return self.g * x


class GeneratorSkip(nn.Module):
    """The old output of a grown G: norm and relu if there are any, conv, then ``doublings`` times as large, no tanh."""

    def __init__(self, norm: AffineNorm | None, conv: nn.Module, doublings: int) -> None:
        super().__init__()
        self.norm, self.conv, self.doublings = norm, conv, doublings

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C', H 2^doublings, W 2^doublings] of what the new stages begin with, [N, C, H, W]."""
        h: Tensor = self.conv(x if self.norm is None else F.relu(self.norm(x)))
        for _ in range(self.doublings):
            h = upsample(h)
        return h


def pooled(images: Tensor, halvings: int) -> Tensor:
    """Return the means of 2^halvings x 2^halvings pixels: [N, C, H, W] -> [N, C, H / 2^halvings, W / 2^halvings]."""
    for _ in range(halvings):
        images = downsample(images)
    return images
