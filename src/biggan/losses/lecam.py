"""LeCam regularisation (Tseng et al. 2021, "Regularizing generative adversarial networks under limited data")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.courses import Course, constant
from biggan.foundation.errors import UserError
from biggan.losses.terms import Seen, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


@dataclass(frozen=True, kw_only=True)
class LeCam(Term):
    """mean relu(D(x) - a_fake)^2 + mean relu(a_real - D(G(z)))^2, with moving averages a of the mean scores.

    Weight 0.3 and decay 0.99 are those of the paper; the BigGAN code of its authors runs 0.9. The averages move after
    an update, by the means over the global batch. The published codes move them before, by those of a micro-batch of
    one device: then the loss of a batch would depend on how it was divided.
    """

    weight: Course = constant(0.3)
    decay: float = 0.99
    """Weight of the past in the averages, an update in which they move: one of ``every``."""
    start: int = 1000
    """Updates of D before it acts; averages move from the first on."""

    paper: ClassVar[str] = "Tseng et al. 2021, arXiv 2104.03310"

    def fresh(self) -> dict[str, Tensor]:
        """Return the averages of scores of reals and fakes, and the updates so far."""
        return {"real": torch.zeros(()), "fake": torch.zeros(()), "updates": torch.zeros(())}

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the penalty, once there are averages to go by."""
        if scene.on_reals is None:
            return None
        real, fake = scene.on_reals.score, scene.on_fakes.score
        scene.add("lecam/real", real)
        scene.add("lecam/fake", fake)
        begun = (self.state["updates"] >= max(self.start, 1)).to(real.dtype)
        above = F.relu(real - self.state["fake"].to(real.dtype)).square().mean()
        below = F.relu(self.state["real"].to(real.dtype) - fake).square().mean()
        return begun * (above + below)

    @torch.no_grad()
    def after(self, sums: Mapping[str, Tensor], images: Tensor, taken: Tensor) -> None:
        """Move the averages by the means of the update; the first one sets them."""
        first = self.state["updates"] == 0
        for which in ("real", "fake"):
            mean = sums[f"lecam/{which}"] / images
            average = self.state[which]
            moved = torch.where(first, mean, average + (1 - self.decay) * (mean - average))
            average.copy_(torch.where(taken > 0, moved, average))
        self.state["updates"] += taken * self.every

    def remarks(self, data: Seen) -> list[str]:
        """Say so if the run ends before it acts."""
        if data.updates is None or self.start < data.updates:
            return []
        return [f"it acts after {self.start:,} updates of D, and the run has {data.updates:,}: write a smaller start="]

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        if not 0 <= self.decay < 1:
            raise UserError(f"--terms {name},decay={self.decay:g}: from 0 to below 1")
        if self.start < 0:
            raise UserError(f"--terms {name},start={self.start}: a number of updates, 0 or more")
