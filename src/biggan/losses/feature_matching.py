"""Feature matching (Salimans et al. 2016, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from biggan.losses.terms import Phase, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


@dataclass(frozen=True, kw_only=True)
class FeatureMatching(Term):
    """G's fakes are to have the reals' mean in what D's last layer sees: mean over channels of the squared difference.

    Means are those of a micro-batch.
    """

    phases: ClassVar[tuple[Phase, ...]] = ("generator",)
    batch_relative: ClassVar[bool] = True
    needs_reals: ClassVar[bool] = True
    paper: ClassVar[str] = "Salimans et al. 2016, arXiv 1606.03498"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the mean squared difference of mean features."""
        if scene.on_reals is None:
            return None
        means = (verdict.features.mean(dim=0) for verdict in (scene.on_reals, scene.on_fakes))
        reals, fakes = means
        return (fakes - reals.detach()).square().mean()
