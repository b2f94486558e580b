"""The multi-class hinge loss (Kavalerov et al. 2021, arXiv 1912.04216; Crammer and Singer 2001)."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.layers.heads import Verdict
from biggan.losses.adversarial import Judged


def crammer_singer(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean of max(0, 1 + the largest of the other outputs - that of the label), a number.

    Args:
        outputs: float [N, n], n at least 2.
        labels: int64 [N].
    """
    others = outputs.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return F.relu(1 + others - outputs.gather(1, labels[:, None])[:, 0]).mean()


class MultiHinge:
    """Of K + 1 outputs a real's own class is to be the largest by 1, and of a fake the last; for G a fake's class.

    G minimises 0.05 of that: the paper adds the distance of mean features, the part that knows no classes
    (``--terms feature-matching``). Needs the head ``multi-hinge`` of D, whose score is the own class minus the last.
    """

    head: ClassVar[str] = "multi-hinge"
    of_generator: ClassVar[float] = 0.05

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        on_fakes, on_reals = self._outputs(fake), self._outputs(real)
        last = torch.full(on_fakes.shape[:1], on_fakes.shape[1] - 1, device=on_fakes.device)
        return crammer_singer(on_fakes, last), crammer_singer(on_reals, _verdict(real).labels)

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss."""
        return self.of_generator * crammer_singer(self._outputs(fake), _verdict(fake).labels)

    def _outputs(self, judged: Judged) -> Tensor:
        return _verdict(judged).outputs[self.head]


def _verdict(judged: Judged) -> Verdict:
    if not isinstance(judged, Verdict):
        raise TypeError("the multi-hinge loss needs verdicts: the score alone says nothing of other classes")
    return judged
