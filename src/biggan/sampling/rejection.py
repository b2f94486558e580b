"""Discriminator rejection sampling: of a seed's candidates the first that is accepted is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.foundation.seeding import uniforms
from biggan.sampling.refinement import Critic, Refinement

MOST_TRIES = 1_000_000
MOST_BURN_IN = 10_000_000
_EPS = 1e-6
"""Keeps the acceptance of the best finite (the paper's epsilon)."""


@dataclass(frozen=True, kw_only=True)
class Rejection(Refinement):
    """Candidates are accepted by D's judgement, with probability sigmoid(F) (Azadi et al. 2019, section 3).

    F = d - log(1 - exp(d - eps)) - gamma, where d is the log ratio less the largest among ``burn_in`` fakes. With gamma
    0 the chance is exp(d), exact and tiny; gamma is the ``percentile`` of F among the same fakes, so that a fifth of
    them has an even chance or a better one. The paper takes gamma from each batch and lets the largest grow while it
    samples; both are fixed here, for an image must not depend on its neighbours: what exceeds the largest counts as it.

    Candidate 0 of a seed is its image without refining. If none of ``tries`` is accepted, the best of them is shown.
    """

    percentile: float = 80.0
    burn_in: int = 10_000
    tries: int = 100

    paper: ClassVar[str] = "Azadi et al. 2019, arXiv 1810.06758"

    def check(self, name: str, truncation: float | None, kind: str) -> None:  # noqa: ARG002 - it goes with all
        """Check the options."""
        if not 0 <= self.percentile <= 100:
            raise UserError(f"--refine {name},percentile={self.percentile:g}: 0 to 100")
        if not 2 <= self.burn_in <= MOST_BURN_IN:
            raise UserError(f"--refine {name},burn_in={self.burn_in}: 2 to {MOST_BURN_IN:,} fakes")
        if not 1 <= self.tries <= MOST_TRIES:
            raise UserError(f"--refine {name},tries={self.tries}: 1 to {MOST_TRIES:,}")

    def fitted(self, critic: Critic, labels: Tensor) -> dict[str, float]:
        """Return the largest log ratio of the fakes, and gamma."""
        among = labels.repeat(-(-self.burn_in // len(labels)))[: self.burn_in]
        ratios = critic.of_fakes(among, len(labels))  # other fakes than those by which D was calibrated
        largest = float(ratios.max())
        gamma = float(np.percentile(shifted(ratios, largest, 0.0).numpy(), self.percentile))
        return {"largest": largest, "gamma": gamma}

    @torch.no_grad()
    def refined(
        self, critic: Critic, known: dict[str, float], seeds: Sequence[int], labels: Tensor
    ) -> tuple[Tensor, dict[str, int]]:
        """Return for each seed the latent of its first accepted candidate, or of its best."""
        found = critic.latents(seeds)
        best = np.full(len(seeds), -np.inf)
        pending, tried, judged = np.arange(len(seeds)), 0, 0
        while len(pending) and tried < self.tries:
            # As many candidates of each as fill the batch: which is accepted first does not depend on it.
            ahead = max(1, min(len(seeds) // len(pending), self.tries - tried))
            asked = [seeds[int(place)] for place in pending]
            z = torch.stack([critic.latents(asked, tried + j) for j in range(ahead)], dim=1)
            ratios = critic(z.flatten(0, 1), labels[pending].repeat_interleave(ahead))
            F = shifted(ratios.double().cpu(), known["largest"], known["gamma"]).view(len(pending), ahead)
            chances = np.concatenate([uniforms(0, "rejection", seed, tried, ahead, 1).T for seed in asked])
            accepted = chances < F.sigmoid().numpy()
            for row, place in enumerate(pending):
                stop = int(accepted[row].argmax()) + 1 if accepted[row].any() else ahead
                j = stop - 1 if accepted[row].any() else int(F[row].argmax())
                judged += stop
                if accepted[row].any() or float(F[row, j]) > best[place]:
                    found[place], best[place] = z[row, j], float(F[row, j])
            pending, tried = pending[~accepted.any(axis=1)], tried + ahead
        return found, {"images": len(seeds), "judged": judged, "without": len(pending)}

    def told(self, counts: Counter[str]) -> str:
        """Say how many candidates it took, and how many images none was accepted for."""
        text = f"{counts['judged']:,} candidates for {counts['images']:,} images"
        if counts["without"]:
            text += f"; {counts['without']:,} had none accepted in {self.tries:,} tries and show their best"
        return text


def shifted(ratios: Tensor, largest: float, gamma: float) -> Tensor:
    """Return F, whose sigmoid is the chance to be accepted, float64 [N], of log ratios float64 [N]."""
    d = (ratios - largest).clamp(max=0.0)
    return d - torch.log(-torch.expm1(d - _EPS)) - gamma
