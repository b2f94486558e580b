"""How R3GAN's images begin and end: learnt maps on the bottom grid, by which vectors become maps, and maps vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from biggan.layers.heads import Verdict
from biggan.layers.initialization import with_gain
from biggan.layers.precision import at_least_float32, without_autocast
from biggan.layers.spectral_norm import LayerFactory


class GenerativeBasis(nn.Module):
    """A learnt map for each channel times a number that is linear in the input: [N, n] -> [N, C, h0, w0]."""

    def __init__(self, inputs: int, channels: int, grid: tuple[int, int], layers: LayerFactory) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, *grid))
        self.linear = with_gain(layers.linear(inputs, channels, bias=False), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Begin."""
        numbers: Tensor = self.linear(x)
        return self.basis * numbers[:, :, None, None]


class BasisHead(nn.Module):
    """Each channel times a learnt map, summed over positions, then a linear layer, projected on the class.

    f = W (sum over positions of basis x), score = <embedding(label), f>; without classes f are the sums alone, and the
    score is linear in them. [N, C, h0, w0], int64 [N] -> a verdict, at least float32.
    """

    def __init__(self, channels: int, grid: tuple[int, int], classes: int, layers: LayerFactory) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(channels, *grid) / math.sqrt(math.prod(grid)))
        self.linear = with_gain(layers.linear(channels, channels if classes else 1, bias=False), 1.0)
        table = layers.class_table(classes, channels) if classes else None
        self.class_embedding = None if table is None else with_gain(table, channels**-0.5)

    def forward(self, x: Tensor, labels: Tensor) -> Verdict:
        """Judge."""
        with without_autocast(x):
            h = (at_least_float32(x) * self.basis).sum(dim=(2, 3))
            f: Tensor = self.linear(h)
            if self.class_embedding is None:
                return Verdict(f, h, labels)
            score = (self.class_embedding(labels) * f).sum(dim=1, keepdim=True)
        return Verdict(score, f, labels)
