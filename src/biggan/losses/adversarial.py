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

    def generator(self, fake: Judged, /) -> Tensor:
        """Return G's loss, a mean over the batch. One that takes reals as well says so: ``needs_reals = True``."""


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


class LeastSquares:
    """1/2 D(fake)^2 + 1/2 (1 - D(real))^2; G minimises 1/2 (1 - D(fake))^2 (Mao et al. 2017, targets 0 and 1)."""

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return 0.5 * score(fake).square().mean(), 0.5 * (1 - score(real)).square().mean()

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss."""
        return 0.5 * (1 - score(fake)).square().mean()


class Wasserstein:
    """D(fake) - D(real); G minimises -D(fake) (Arjovsky et al. 2017).

    D has to be Lipschitz, by spectral norm or by a penalty on its gradient (``--terms gp``).
    """

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss on fakes and on reals."""
        return score(fake).mean(), -score(real).mean()

    def generator(self, fake: Judged) -> Tensor:
        """Return G's loss."""
        return -score(fake).mean()


class Relativistic:
    """softplus(-(D(real) - D(fake))), reversed for G (Jolicoeur-Martineau 2018, RpGAN; Huang et al. 2024, equation 2).

    A fake and a real of one place in the batch, and of one class, are a pair.
    """

    needs_reals = True

    def discriminator(self, fake: Judged, real: Judged) -> tuple[Tensor, Tensor]:
        """Return D's loss, half of it as that on fakes, half as that on reals."""
        half = 0.5 * F.softplus(score(fake) - score(real)).mean()
        return half, half

    def generator(self, fake: Judged, real: Judged) -> Tensor:
        """Return G's loss."""
        return F.softplus(score(real) - score(fake)).mean()


ADVERSARIAL_LOSSES: Registry[type[AdversarialLoss]] = Registry(
    "loss",
    {
        "hinge": "biggan.losses.adversarial:Hinge",
        "softplus": "biggan.losses.adversarial:Softplus",
        "least-squares": "biggan.losses.adversarial:LeastSquares",
        "wasserstein": "biggan.losses.adversarial:Wasserstein",
        "relativistic": "biggan.losses.adversarial:Relativistic",
        "multi-hinge": "biggan.losses.multi_hinge:MultiHinge",
    },
)


def pairs(loss: str) -> bool:
    """Tell whether a loss compares fakes with reals, so that they come in pairs of one class."""
    return bool(getattr(ADVERSARIAL_LOSSES[loss], "needs_reals", False))
