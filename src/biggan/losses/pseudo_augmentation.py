"""Adaptive pseudo augmentation: some of what D is shown as real is fake."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from biggan.losses.augmented import Adaptive
from biggan.losses.switches import check_always

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


@dataclass(frozen=True, kw_only=True)
class PseudoAugmentation(Adaptive):
    """A fake takes a real's place in D's updates with a probability that follows how well D knows the reals.

    It is the fake of the same place in the batch, and it brings its own label: StudioGAN leaves the real's there, so
    that D is told of an image of one class that it is a real one of another. How the probability follows:
    :class:`Adaptive`; the signs are those of all that stands for reals, as in the code of the authors.
    """

    signs: ClassVar[str] = "apa/signs"
    paper: ClassVar[str] = "Jiang et al. 2021, arXiv 2111.06849"

    def reals(self, scene: Scene) -> tuple[Tensor, Tensor] | None:
        """Return reals and, with probability p, fakes."""
        if scene.reals is None or scene.labels is None:
            return None
        taken = scene.chance.apart("pseudo augmentation").uniform("taken", 1)[:, 0] < self.probability(
            scene.chance.clock
        )
        fakes = scene.fakes.detach().to(scene.reals.dtype)
        images = torch.where(taken[:, None, None, None], fakes, scene.reals)
        return images, torch.where(taken, scene.fake_labels, scene.labels)

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "p is of all updates")
