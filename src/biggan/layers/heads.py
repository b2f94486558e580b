"""The discriminator's last layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.precision import at_least_float32, without_autocast
from biggan.layers.spectral_norm import LayerFactory


class Verdict(NamedTuple):
    """What D says of N images."""

    score: Tensor
    """[N, 1], at least float32: positive where D believes an image to be real."""
    features: Tensor
    """[N, C]: what the last layer sees."""
    labels: Tensor
    """int64 [N]: the classes that the images were said to be of."""

    def split(self, sizes: Sequence[int]) -> tuple[Verdict, ...]:
        """Return those of consecutive images, ``sizes`` of them."""
        parts = zip(*(torch.split(part, list(sizes)) for part in self), strict=True)
        return tuple(Verdict(*those) for those in parts)

    def of(self, which: Tensor) -> Verdict:
        """Return those of the images at the places ``which``, int64 [k]."""
        return Verdict(*(part[which] for part in self))


class ProjectionHead(nn.Module):
    """linear(h) + <embedding(label), h> for h = sum over positions of relu(x) (Miyato and Koyama 2018).

    Without classes the second term is absent. [N, C, H, W], int64 [N] -> a verdict, at least float32.
    """

    def __init__(self, channels: int, classes: int, layers: LayerFactory) -> None:
        super().__init__()
        self.linear = layers.linear(channels, 1)
        self.class_embedding = layers.class_table(classes, channels) if classes else None

    def forward(self, x: Tensor, labels: Tensor) -> Verdict:
        """Judge."""
        with without_autocast(x):
            h = at_least_float32(F.relu(x)).sum(dim=(2, 3))
            score: Tensor = self.linear(h)
            if self.class_embedding is not None:
                score = score + (self.class_embedding(labels) * h).sum(dim=1, keepdim=True)
        return Verdict(score, h, labels)
