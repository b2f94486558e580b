"""Latent optimisation: a step of z towards what D believes, before G learns from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from biggan.foundation.courses import Course, constant
from biggan.foundation.errors import UserError
from biggan.layers.precision import at_least_float32
from biggan.losses.switches import check_always
from biggan.losses.terms import Phase, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


@dataclass(frozen=True, kw_only=True)
class LatentOptimisation(Term):
    """G is given z + dz, dz = alpha g / (beta + |g|^2) with g = dD(G(z))/dz, and pays weight |dz|^2 for the way.

    One step of natural gradient (equation 12), for a ``share`` of the latents; others stay as they were drawn. In D's
    updates z + dz is a constant; G learns through dz as well, for which D(G(z)) is differentiated twice. G is called
    twice more for each micro-batch and D once more.

    The paper's z is uniform in [-1, 1] and clipped to that after the step; here it is normal, as BigGAN's, and nothing
    is clipped. Its images are sampled from optimised latents; ours, as ever, from latents as they are drawn. StudioGAN
    reports that it could not reproduce the paper's results.
    """

    weight: Course = constant(0.1)
    alpha: float = 0.9
    """Length of the step."""
    beta: float = 0.1
    """Its damping."""
    share: float = 0.8
    """Of the latents, by chance, that take the step."""

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    calls_generator: ClassVar[bool] = True
    differentiates_twice: ClassVar[bool] = True
    paper: ClassVar[str] = "Wu et al. 2019, arXiv 1912.00953"

    def latents(self, scene: Scene) -> Tensor | None:
        """Return the latents after the step, with its graph in G's phase."""
        learns = scene.stage.phase == "generator"
        with scene.wholly_differentiable() as (G, D), torch.enable_grad():
            z = at_least_float32(scene.latents.detach()).requires_grad_()
            scores = D(scene.view(G(z, scene.fake_labels), "fakes"), scene.fake_labels).score
            (slope,) = torch.autograd.grad(scores.sum(), z, create_graph=learns)
        step = natural_step(slope, alpha=self.alpha, beta=self.beta)
        taken = scene.chance.apart("latent optimisation").uniform("taken", 1) < self.share
        return scene.latents + (taken * step).to(scene.latents.dtype)

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the mean of |dz|^2, in G's phase."""
        if scene.stage.phase != "generator":
            return None
        return (scene.latents - scene.drawn).square().sum(dim=1).mean()

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "G must be given latents alike in all updates")
        if not self.beta > 0:
            raise UserError(f"--terms {name},beta={self.beta:g}: it damps the step, and must be above 0")
        if not 0 <= self.alpha < float("inf"):
            raise UserError(f"--terms {name},alpha={self.alpha:g}: must be 0 or a positive number")
        if not 0 < self.share <= 1:
            raise UserError(f"--terms {name},share={self.share:g}: a share of the latents, above 0 and at most 1")


def natural_step(slope: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Return alpha g / (beta + |g|^2) for each row g of ``slope`` [N, z_size]."""
    return alpha * slope / (beta + slope.square().sum(dim=1, keepdim=True))
