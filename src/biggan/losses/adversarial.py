"""Adversarial losses: what D and G minimise, given D's verdicts."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.registry import Registry
from biggan.layers.heads import Verdict

Judged = Verdict | Tensor
"""Verdicts, or their scores alone, float [N, 1]."""


def score(judged: Judged) -> Tensor:
    """Return the scores, float [N, 1]."""
    return judged.score if isinstance(judged, Verdict) else judged


class AdversarialLoss(Protocol):
    """A pair of objectives. Scores are positive where D believes an image to be real."""

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals, each a mean over the batch."""

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss, a mean over the batch. One that is given reals as well says so: ``needs_reals = True``."""


class Hinge:
    """max(0, 1 + D(fake)) + max(0, 1 - D(real)); G minimises -D(fake) (Lim and Ye 2017; Tran et al. 2017)."""

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return F.relu(1 + score(fake)).mean(), F.relu(1 - score(real)).mean()

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss."""
        return -score(fake).mean()


class Softplus:
    """The non-saturating loss of Goodfellow et al. 2014 on logits: log(1 + e^x)."""

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return F.softplus(score(fake)).mean(), F.softplus(-score(real)).mean()

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss."""
        return F.softplus(-score(fake)).mean()


ADVERSARIAL_LOSSES: Registry[type[AdversarialLoss]] = Registry(
    "loss",
    {
        "hinge": "biggan.losses.adversarial:Hinge",
        "softplus": "biggan.losses.adversarial:Softplus",
    },
)
