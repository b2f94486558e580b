"""Top-k training of G: the fakes that D believes least teach it nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.losses.switches import check_always, check_switch
from biggan.losses.terms import Phase, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


@dataclass(frozen=True, kw_only=True)
class TopK(Term):
    """G learns from the k fakes of a micro-batch that D scores highest: all at first, fewer each epoch, half at last.

    k of N is the whole number below max(gamma^epochs, least) N, and 1 at least. The adversarial loss of G is a mean
    over these; other terms see all fakes.
    """

    gamma: float = 0.99
    """By which k is multiplied each epoch."""
    least: float = 0.5
    """The share of the fakes that is always left."""
    epoch: int = 0
    """Images of an epoch; as many as the data have, which a run writes out, if it is not given. 0: k never falls."""

    phases: ClassVar[tuple[Phase, ...]] = ("generator",)
    batch_relative: ClassVar[bool] = True
    of_data: ClassVar[tuple[str, ...]] = ("epoch",)
    paper: ClassVar[str] = "Sinha et al. 2020, arXiv 2002.06224"

    def chosen(self, scene: Scene) -> Tensor | None:
        """Return the places of the best, int64 [k], in the order of the micro-batch."""
        scores = scene.on_fakes.score.detach()[:, 0]
        k = self.k(len(scores), scene.stage.clock)
        return None if k == len(scores) else scores.topk(k).indices.sort().values

    def k(self, images: int, clock: int) -> int:
        """Return how many of ``images`` are left at a clock."""
        epochs = clock // self.epoch if self.epoch else 0
        return max(int(max(self.gamma**epochs, self.least) * images), 1)

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "a choice has no strength")
        check_switch(self, name, "choose how many are left by gamma and least")
        for key in ("gamma", "least"):
            if not 0 < getattr(self, key) <= 1:
                raise UserError(f"--terms {name},{key}={getattr(self, key):g}: a share, above 0 and at most 1")
        if self.epoch < 0:
            raise UserError(
                f"--terms {name},epoch={self.epoch}: a number of images; leave it out for those of the data"
            )
