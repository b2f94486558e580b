"""Adversarial losses: what D and G minimise, given D's scores float [N, 1]."""

from __future__ import annotations

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.registry import Registry


class AdversarialLoss(Protocol):
    """A pair of objectives. Scores are positive where D believes an image to be real."""

    def discriminator(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals, each a mean over the batch."""

    def generator(self, fake: Tensor) -> Tensor:
        """Return G's loss, a mean over the batch."""


class Hinge:
    """max(0, 1 + D(fake)) + max(0, 1 - D(real)); G minimises -D(fake) (Lim and Ye 2017; Tran et al. 2017)."""

    def discriminator(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return F.relu(1 + fake).mean(), F.relu(1 - real).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return G's loss."""
        return -fake.mean()


class Softplus:
    """The non-saturating loss of Goodfellow et al. 2014 on logits: log(1 + e^x)."""

    def discriminator(self, fake: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return F.softplus(fake).mean(), F.softplus(-real).mean()

    def generator(self, fake: Tensor) -> Tensor:
        """Return G's loss."""
        return F.softplus(-fake).mean()


ADVERSARIAL_LOSSES: Registry[type[AdversarialLoss]] = Registry(
    "loss",
    {
        "hinge": "biggan.losses.adversarial:Hinge",
        "softplus": "biggan.losses.adversarial:Softplus",
    },
)
