"""One micro-batch on stage: everything that a term of the loss may look at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from biggan.foundation.chance import Chance
from biggan.foundation.images import to_float
from biggan.layers.heads import Verdict
from biggan.layers.precision import without_autocast, without_tf32
from biggan.layers.standing_still import plain_attention, still

if TYPE_CHECKING:
    from biggan.losses.terms import Acting, Phase

Judge = Callable[[Tensor, Tensor], Verdict]
"""Images float [N, C, H, W] in [-1, 1] and labels int64 [N] to a verdict."""
JudgeBoth = Callable[[Judge, Tensor, Tensor, Tensor, Tensor], tuple[Verdict, ...]]
"""D, fakes, their labels, reals, theirs, to both verdicts."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Where the scenes of one update are set."""

    phase: Phase
    """Who learns."""
    G: Callable[..., Tensor]
    """As the engine calls it."""
    D: Judge
    """As the engine calls it."""
    both: JudgeBoth
    acting: Sequence[Acting]
    """The terms that act in this update, with their weights."""
    sums: dict[str, Tensor]
    """What terms sum up over its images, over ranks too."""
    seed: int
    clock: int
    generator: nn.Module
    """G itself."""
    discriminator: nn.Module
    """D itself."""
    plainly: Judge
    """D as it is written: in full precision and not compiled."""
    compares: bool = False
    """Whether the loss of G compares with reals."""

    @property
    def needs_reals(self) -> bool:
        """Whether G's phase has reals, those of the last batch of D: because somebody asked for them."""
        return self.compares or any(term.needs_reals for _, term, _ in self.acting)

    def scene(
        self,
        fakes: Tensor,
        latents: Tensor,
        fake_labels: Tensor,
        places: Tensor,
        images: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> Scene:
        """Return a micro-batch of N images, which D has judged.

        Args:
            fakes: float [N, C, H, W] in [-1, 1].
            latents: float [N, z_size].
            fake_labels: int64 [N].
            places: of the images in the global batch, int64 [N]; those of a micro-batch follow each other.
            images: reals, uint8 [N, C, H, W], if there are any.
            labels: theirs, int64 [N].
        """
        scene = Scene(
            stage=self,
            drawn=latents,
            latents=latents,
            fakes=fakes,
            fake_labels=fake_labels,
            reals=None if images is None else to_float(images, latents.dtype),
            labels=labels,
            chance=Chance(self.seed, self.clock, places),
        )
        scene.change()
        scene.judge()
        return scene


@dataclass(kw_only=True)
class Scene:
    """What is on stage. N images are one micro-batch of one rank."""

    stage: Stage
    drawn: Tensor
    """Latents as they were drawn, float [N, z_size]."""
    latents: Tensor
    """Those that G was given for the fakes, float [N, z_size]."""
    fakes: Tensor
    """float [N, C, H, W] in [-1, 1]: with a graph into G in G's phase."""
    fake_labels: Tensor
    """int64 [N]."""
    reals: Tensor | None
    """float [N, C, H, W] in [-1, 1]; in G's phase only if somebody asked for them."""
    labels: Tensor | None
    """int64 [N], of the reals."""
    chance: Chance
    on_fakes: Verdict = field(init=False)
    on_reals: Verdict | None = None

    def change(self) -> None:
        """Let terms put other latents and fakes on stage, and others in the place of the reals."""
        for _, term, _ in self.stage.acting:
            latents = term.latents(self)
            if latents is not None:
                self.latents = latents
                with torch.set_grad_enabled(self.stage.phase == "generator"):
                    self.fakes = self.generated(latents, self.fake_labels)
        for _, term, _ in self.stage.acting:  # which may put those fakes there
            found = None if self.reals is None else term.reals(self)
            if found is not None:
                self.reals, self.labels = found

    def judge(self) -> None:
        """Let D judge what there is, as it sees it."""
        fakes, D = self.view(self.fakes, "fakes"), self.stage.D
        if self.reals is None or self.labels is None:
            self.on_fakes = D(fakes, self.fake_labels)
            return
        reals = self.view(self.reals, "reals")
        self.on_fakes, self.on_reals = self.stage.both(D, fakes, self.fake_labels, reals, self.labels)

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What the loss is given: on fakes, and on reals, but for G only if its loss compares with them.

        For G of those fakes, and reals of their places, that terms have chosen.
        """
        if self.on_reals is None or (self.stage.phase == "generator" and not self.stage.compares):
            found: tuple[Verdict, ...] = (self.on_fakes,)
        else:
            found = self.on_fakes, self.on_reals
        if self.stage.phase == "generator":
            for _, term, _ in self.stage.acting:
                chosen = term.chosen(self)
                if chosen is not None:
                    found = tuple(verdict.of(chosen) for verdict in found)
        return found

    def view(self, images: Tensor, which: str, chance: Chance | None = None) -> Tensor:
        """Return images as D sees them, by the chance of the micro-batch or by another."""
        chance = (chance or self.chance).apart(which)
        for _, term, weight in self.stage.acting:
            images = term.view(images, chance, weight)
        return images

    def total(self, loss: Tensor) -> Tensor:
        """Return the loss with what terms add to it."""
        for _, term, weight in self.stage.acting:
            more = term.loss(self)
            if more is not None:
                loss = loss + weight * more
        return loss

    def add(self, name: str, values: Tensor) -> None:
        """Add the sum of ``values``, one an image, to what is summed over the update."""
        found, sums = values.detach().sum(), self.stage.sums
        sums[name] = sums[name] + found if name in sums else found

    def again(self, images: Tensor, labels: Tensor) -> Verdict:
        """Return D's verdict on other images; the pass moves nothing."""
        with still(self.stage.discriminator):
            return self.stage.D(images, labels)

    def generated(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return what G makes of other latents; the pass moves nothing."""
        with still(self.stage.generator):
            return self.stage.G(latents, labels)

    @contextlib.contextmanager
    def twice_differentiable(self) -> Iterator[Judge]:
        """Yield D as a function whose gradient has a gradient: not compiled, in float32, attention by its formula."""
        D = self.stage.discriminator
        with still(D), plain_attention(D), without_autocast(self.fakes), without_tf32():
            yield self.stage.plainly

    @contextlib.contextmanager
    def wholly_differentiable(self) -> Iterator[tuple[Callable[[Tensor, Tensor], Tensor], Judge]]:
        """Yield G and D as functions whose gradients have gradients, as above."""
        G = self.stage.generator
        with self.twice_differentiable() as D, still(G), plain_attention(G):
            yield G, D
