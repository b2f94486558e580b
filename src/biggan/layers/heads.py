"""The discriminator's last layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.further_heads import ClassRows, FurtherHead
from biggan.layers.head_kinds import HEADS
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
    outputs: Mapping[str, Tensor] = {}
    """Of further heads by their names, [N, ...] each, at least float32."""

    def split(self, sizes: Sequence[int]) -> tuple[Verdict, ...]:
        """Return those of consecutive images, ``sizes`` of them."""

        def cut(part: Tensor) -> tuple[Tensor, ...]:
            return torch.split(part, list(sizes))

        further = {name: cut(output) for name, output in self.outputs.items()}
        parts = zip(cut(self.score), cut(self.features), cut(self.labels), strict=True)
        return tuple(
            Verdict(*those, {name: outputs[place] for name, outputs in further.items()})
            for place, those in enumerate(parts)
        )

    def of(self, which: Tensor) -> Verdict:
        """Return those of the images at the places ``which``, int64 [k]."""
        further = {name: output[which] for name, output in self.outputs.items()}
        return Verdict(self.score[which], self.features[which], self.labels[which], further)


class ScoreHead(nn.Module):
    """A score of h = sum over positions of relu(x), and what further heads say of h.

    [N, C, H, W], int64 [N] -> a verdict, at least float32.
    """

    scores: ClassVar[bool] = True
    of_classes: ClassVar[bool] = False
    embeds: ClassVar[bool] = False

    def __init__(self, channels: int, classes: int, layers: LayerFactory, outputs: int = 1) -> None:  # noqa: ARG002
        super().__init__()
        self.linear = layers.linear(channels, outputs)
        self.further = nn.ModuleDict()

    def judge(self, h: Tensor, labels: Tensor, outputs: dict[str, Tensor]) -> Tensor:
        """Return the score of features [N, C], [N, 1]; what else was found goes into ``outputs``."""
        raise NotImplementedError

    def forward(self, x: Tensor, labels: Tensor) -> Verdict:
        """Judge."""
        with without_autocast(x):
            h = at_least_float32(F.relu(x)).sum(dim=(2, 3))
            outputs: dict[str, Tensor] = {}
            score = self.judge(h, labels, outputs)
            for name, head in self.further.items():
                outputs[name] = head(h, labels)
        return Verdict(score, h, labels, outputs)


class ProjectionHead(ScoreHead):
    """linear(h) + <embedding(label), h> (Miyato and Koyama 2018); without classes the second term is absent."""

    def __init__(self, channels: int, classes: int, layers: LayerFactory) -> None:
        super().__init__(channels, classes, layers)
        self.class_embedding = layers.class_table(classes, channels) if classes else None

    def judge(self, h: Tensor, labels: Tensor, outputs: dict[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Return the score."""
        score: Tensor = self.linear(h)
        if self.class_embedding is not None:
            score = score + (self.class_embedding(labels) * h).sum(dim=1, keepdim=True)
        return score


class UnconditionalHead(ScoreHead):
    """linear(h), whatever the class: for a D that learns about classes by another head."""

    def judge(self, h: Tensor, labels: Tensor, outputs: dict[str, Tensor]) -> Tensor:  # noqa: ARG002
        """Return the score."""
        score: Tensor = self.linear(h)
        return score


class MultiHingeHead(ClassRows, ScoreHead):
    """K + 1 outputs, one for every class and, last, one for fakes; the score is that of the own class minus the last.

    (Kavalerov et al. 2021.)
    """

    of_classes = True
    rest = 1

    def __init__(self, channels: int, classes: int, layers: LayerFactory) -> None:
        super().__init__(channels, classes, layers, classes + 1)

    def judge(self, h: Tensor, labels: Tensor, outputs: dict[str, Tensor]) -> Tensor:
        """Return the score; the outputs are ``multi-hinge``, [N, K + 1]."""
        found: Tensor = self.linear(h)
        outputs["multi-hinge"] = found
        return found.gather(1, labels[:, None]) - found[:, -1:]


def make_head(names: Sequence[str], channels: int, classes: int, layers: LayerFactory, embedding: int) -> ScoreHead:
    """Return the last layer of a D with the heads ``names``.

    Args:
        names: of heads, one of which scores.
        channels: of what it sees.
        classes: how many there are.
        layers: makes its layers.
        embedding: length of embeddings, where a head has some.
    """
    (scoring,) = (cast("type[ScoreHead]", HEADS[name]) for name in names if HEADS[name].scores)
    head = scoring(channels, classes, layers)
    for name in names:
        kind = HEADS[name]
        if not kind.scores:
            head.further[name] = cast("type[FurtherHead]", kind)(channels, classes, layers, embedding)
    return head
