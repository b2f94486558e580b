"""D also tells classes apart, and G is to make images that it finds to be of theirs.

Odena et al. 2017 (AC-GAN), Hou et al. 2022 (ADC-GAN: it tells a class's reals from its fakes as well). In both papers
the score does not depend on the class: ``--model.discriminator-heads none ac``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch.nn.functional as F
from torch import Tensor

from biggan.layers.heads import Verdict
from biggan.losses.terms import Phase, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


def learnt_from(scene: Scene) -> Verdict | None:
    """Return the verdict on the images from which the learner is to learn of classes: reals for D, fakes for G."""
    return scene.on_fakes if scene.stage.phase == "generator" else scene.on_reals


@dataclass(frozen=True, kw_only=True)
class Classifier(Term):
    """-mean log p(own class): over reals for D, over fakes for G. The head ``ac`` of D gives p."""

    fakes: bool = False
    """Whether D learns from fakes too, as in the paper; later work does without."""

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    head: ClassVar[str] = "ac"
    paper: ClassVar[str] = "Odena et al. 2017, arXiv 1610.09585"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the cross-entropy."""
        found = learnt_from(scene)
        if found is None:
            return None
        loss = F.cross_entropy(found.outputs[self.head], found.labels)
        if self.fakes and scene.stage.phase == "discriminator":
            loss = loss + F.cross_entropy(scene.on_fakes.outputs[self.head], scene.on_fakes.labels)
        return loss


@dataclass(frozen=True, kw_only=True)
class DiscriminativeClassifier(Term):
    """-mean log p(real, own class) over reals - mean log p(fake, own class) over fakes for D.

    For G: mean log p(fake, own class) - mean log p(real, own class) over fakes. The head ``adc`` of D gives p.
    """

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    head: ClassVar[str] = "adc"
    paper: ClassVar[str] = "Hou et al. 2022, arXiv 2107.10060"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the sum of both."""
        logits, real = scene.on_fakes.outputs[self.head], 2 * scene.on_fakes.labels
        if scene.stage.phase == "generator":
            return F.cross_entropy(logits, real) - F.cross_entropy(logits, real + 1)
        if scene.on_reals is None:
            return None
        on_reals = F.cross_entropy(scene.on_reals.outputs[self.head], 2 * scene.on_reals.labels)
        return on_reals + F.cross_entropy(logits, real + 1)
