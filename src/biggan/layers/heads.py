"""The discriminator's last layer."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.spectral_norm import LayerFactory, at_least_float32, without_autocast


class ProjectionHead(nn.Module):
    """linear(h) + <embedding(label), h> for h = sum over positions of relu(x) (Miyato and Koyama 2018).

    Without classes the second term is absent. [N, C, H, W], int64 [N] -> [N, 1], at least float32.
    """

    def __init__(self, channels: int, classes: int, layers: LayerFactory) -> None:
        super().__init__()
        self.linear = layers.linear(channels, 1)
        self.class_embedding = layers.class_table(classes, channels) if classes else None

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """Score."""
        with without_autocast(x):
            h = at_least_float32(F.relu(x)).sum(dim=(2, 3))
            score: Tensor = self.linear(h)
            if self.class_embedding is not None:
                score = score + (self.class_embedding(labels) * h).sum(dim=1, keepdim=True)
        return score
