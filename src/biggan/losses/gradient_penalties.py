"""R1 and R2: D must not change fast where images are. And the penalty by which it changes evenly between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from biggan.foundation.courses import Course, constant
from biggan.losses.terms import Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


EPS = 1e-12
"""Under a root, whose gradient at 0 is infinite."""


def squared_gradients(scene: Scene, images: Tensor, labels: Tensor, which: str) -> Tensor:
    """Return |dD/dx|^2 at each of ``images`` [N, C, H, W], [N], to the image before it is augmented."""
    with scene.twice_differentiable() as D:
        x = images.detach().float() if images.dtype != torch.float64 else images.detach()
        x = x.requires_grad_()
        scores = D(scene.view(x, which), labels).score
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(dim=1)


@dataclass(frozen=True, kw_only=True)
class R1(Term):
    """1/2 E |dD(x)/dx|^2 over reals; the weight is gamma.

    A pass of its own, in float32 and not compiled; ``every=16`` is the usual way to pay less for it (Karras et al.
    2020, "lazy regularisation"). For images in [-1, 1].
    """

    weight: Course = constant(0.1)

    differentiates_twice: ClassVar[bool] = True
    paper: ClassVar[str] = "Mescheder et al. 2018, arXiv 1801.04406"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the penalty."""
        if scene.reals is None or scene.labels is None:
            return None
        return 0.5 * squared_gradients(scene, scene.reals, scene.labels, "reals").mean()


@dataclass(frozen=True, kw_only=True)
class R2(Term):
    """1/2 E |dD(x)/dx|^2 over fakes; the weight is gamma."""

    weight: Course = constant(0.1)

    differentiates_twice: ClassVar[bool] = True
    paper: ClassVar[str] = "Mescheder et al. 2018, arXiv 1801.04406"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the penalty."""
        return 0.5 * squared_gradients(scene, scene.fakes, scene.fake_labels, "fakes").mean()


@dataclass(frozen=True, kw_only=True)
class GradientPenalty(Term):
    """E (|dD(x)/dx| - 1)^2 at x between a real and a fake of one place, of the real's class; one number an image mixes.

    For the Wasserstein loss: D is to be Lipschitz.
    """

    weight: Course = constant(10.0)

    differentiates_twice: ClassVar[bool] = True
    paper: ClassVar[str] = "Gulrajani et al. 2017, arXiv 1704.00028"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the penalty."""
        if scene.reals is None or scene.labels is None:
            return None
        share = scene.chance.uniform("gradient penalty", 1)[:, :, None, None].to(scene.reals.dtype)
        between = share * scene.reals + (1 - share) * scene.fakes.detach()
        squared = squared_gradients(scene, between, scene.labels, "reals")
        return ((squared + EPS).sqrt() - 1).square().mean()
