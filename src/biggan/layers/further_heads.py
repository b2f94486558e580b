"""What D can say of an image beside its score: layers on what the last one sees, spectrally normalised as D is."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.spectral_norm import LayerFactory

DIRECTIONS = 4
"""In which an image can be turned by quarters."""


class ClassRows:
    """A module whose layer ``linear`` has ``each`` outputs for every class, class by class, and then ``rest`` others.

    So networks that get other classes know which rows of the weight belong to which.
    """

    each: ClassVar[int] = 1
    rest: ClassVar[int] = 0


class FurtherHead(nn.Module):
    """Features [N, C] and labels int64 [N] to an output [N, ...], at least float32."""

    scores: ClassVar[bool] = False
    """Whether it gives D's score."""
    of_classes: ClassVar[bool] = True
    """Whether there must be classes."""
    embeds: ClassVar[bool] = False
    """Whether it has embeddings."""

    def __init__(self, channels: int, classes: int, layers: LayerFactory, embedding: int) -> None:  # noqa: ARG002
        super().__init__()


class Classifier(ClassRows, FurtherHead):
    """A logit for every class, [N, K] (Odena et al. 2017)."""

    def __init__(self, channels: int, classes: int, layers: LayerFactory, embedding: int) -> None:
        super().__init__(channels, classes, layers, embedding)
        self.linear = layers.linear(channels, self.each * classes + self.rest)

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002 - as heads are called
        """Return the logits."""
        logits: Tensor = self.linear(h)
        return logits


class DiscriminativeClassifier(Classifier):
    """Two logits for every class y, [N, 2K]: of a real one at 2y, of a fake one at 2y + 1 (Hou et al. 2022)."""

    each = 2


class Embedding(FurtherHead):
    """The image and its class as vectors of length 1, [N, 2, E] (Kang and Park 2020): embedding, then proxy."""

    embeds = True

    def __init__(self, channels: int, classes: int, layers: LayerFactory, embedding: int) -> None:
        super().__init__(channels, classes, layers, embedding)
        self.linear = layers.linear(channels, embedding)
        self.proxies = layers.class_table(classes, embedding)

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:
        """Return both."""
        return F.normalize(torch.stack([self.linear(h), self.proxies(labels)], dim=1), dim=2)


class Rotation(FurtherHead):
    """A logit for each number of quarters by which an image may have been turned, [N, 4] (Chen et al. 2019)."""

    of_classes = False

    def __init__(self, channels: int, classes: int, layers: LayerFactory, embedding: int) -> None:
        super().__init__(channels, classes, layers, embedding)
        self.linear = layers.linear(channels, DIRECTIONS)

    def forward(self, h: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002 - as heads are called
        """Return the logits."""
        logits: Tensor = self.linear(h)
        return logits
