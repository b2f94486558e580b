"""Discriminator driven latent sampling: Langevin steps in the space of latents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.foundation.seeding import normals
from biggan.sampling.refinement import Critic, Refinement

MOST_STEPS = 1_000_000
_NOISE_STEPS = 64
"""Steps whose noise is drawn at once."""


@dataclass(frozen=True, kw_only=True)
class Langevin(Refinement):
    """Latents walk towards where D sees reals: E(z) = |z|^2 / 2 - log ratio (Che et al. 2020, algorithm 1).

    z <- z - eps / 2 grad E + sqrt(eps) n with n standard normal, from the z of the seed. For small eps and many steps
    the density of z is exp(-E) / Z, and that of images p(fake) times the ratio. (StudioGAN's option ``lgv_std`` is
    called a deviation there, and is the variance of n.) What a walk remembers of its beginning fades as
    exp(-steps eps / 2) where D has no say.

    Truncated by ``scale``, the prior is normal with deviation T: the walk is that of z / T, with the same eps.
    """

    steps: int = 1000
    eps: float = 0.01

    paper: ClassVar[str] = "Che et al. 2020, arXiv 2003.06060"

    def check(self, name: str, truncation: float | None, kind: str) -> None:
        """Check the options, and that the prior has a density with a gradient."""
        if not 0 <= self.steps <= MOST_STEPS:
            raise UserError(f"--refine {name},steps={self.steps}: 0 to {MOST_STEPS:,}")
        if not 0 < self.eps < 4:
            raise UserError(f"--refine {name},eps={self.eps:g}: above 0, and below 4, from where on steps overshoot")
        if truncation is not None and kind != "scale":
            raise UserError(
                f"--truncation-kind {kind} with --refine {name}: the walk would leave the latents that it allows; use "
                "--truncation-kind scale, no truncation, or --refine drs"
            )

    def refined(
        self,
        critic: Critic,
        known: dict[str, float],  # noqa: ARG002
        seeds: Sequence[int],
        labels: Tensor,
    ) -> tuple[Tensor, dict[str, int]]:
        """Return where the walks end."""
        parameter = next(critic.generator.parameters())
        scale = 1.0 if critic.truncation is None else critic.truncation
        # With u = z / T, E = |u|^2 / 2 - log ratio(T u).
        z = critic.latents(seeds)
        u = (z / scale).to(parameter.device, parameter.dtype)
        labels = labels.to(parameter.device)
        for first in range(0, self.steps, _NOISE_STEPS):
            count = min(_NOISE_STEPS, self.steps - first)
            # [steps, N, z_size]: step k of seed s is row k of the table of s, however many steps and seeds there are.
            noise = torch.stack(
                [torch.from_numpy(normals(0, "langevin", seed, first, count, z.shape[1])) for seed in seeds], dim=1
            ).to(u)
            for n in noise:
                with torch.enable_grad():
                    at = u.detach().requires_grad_()
                    (slope,) = torch.autograd.grad(critic(scale * at, labels).sum(), at)
                u = u - self.eps / 2 * (u - slope) + math.sqrt(self.eps) * n
        if not bool(u.isfinite().all()):
            raise UserError(f"--refine ddls,eps={self.eps:g}: a walk ran away to infinity; give a smaller eps")
        return ((scale * u).float().cpu() if self.steps else z), {}
