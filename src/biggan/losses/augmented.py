"""Augmentation of what D sees as terms: DiffAugment, ADA with its controller, instance noise that fades."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import torch
from torch import Tensor

from biggan.augmentation.ada import AdaPipeline
from biggan.augmentation.contract import Augmentation
from biggan.augmentation.diffaugment import POLICIES
from biggan.augmentation.diffaugment import DiffAugment as Policy
from biggan.augmentation.noise import InstanceNoise
from biggan.foundation.chance import Chance
from biggan.foundation.courses import Course, constant, parse_course
from biggan.foundation.errors import UserError
from biggan.losses.switches import check_always, check_switch
from biggan.losses.terms import Phase, Seen, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene

BOTH: tuple[Phase, ...] = ("discriminator", "generator")


class _Augmented(Term):
    """What all share: they act on fakes and reals alike, in both phases and in every update."""

    phases: ClassVar[tuple[Phase, ...]] = BOTH

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_always(self, name, "D must see images alike in all updates")
        self.augmentation()

    def augmentation(self) -> Augmentation:
        """Return what is done to images."""
        raise NotImplementedError

    def remarks(self, data: Seen) -> list[str]:
        """Say what is off with such images."""
        return [f"{name} is off: it {why}" for name, why in self.augmentation().off(*data[:2]).items()]


@dataclass(frozen=True, kw_only=True)
class DiffAugment(_Augmented):
    """D sees images whose colours are changed, that are shifted and partly cut out."""

    policy: tuple[str, ...] = POLICIES
    """Some of color, translation, cutout, in this order. The paper's BigGAN rows use translation and cutout."""

    paper: ClassVar[str] = "Zhao et al. 2020, arXiv 2006.10738"

    def view(self, images: Tensor, chance: Chance, weight: float) -> Tensor:  # noqa: ARG002
        """Return what D sees."""
        return self.augmentation().view(images, chance)

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        check_switch(self, name, "leave it out, or choose another policy")

    def augmentation(self) -> Augmentation:
        """Return the policy."""
        return Policy(self.policy)


@dataclass(frozen=True, kw_only=True)
class Noise(_Augmented):
    """D sees images with normal noise; the weight is its deviation where images span -1 ... 1, and may fade."""

    weight: Course = constant(0.1)

    paper: ClassVar[str] = "Sonderby et al. 2017, arXiv 1610.04490"

    def view(self, images: Tensor, chance: Chance, weight: float) -> Tensor:
        """Return what D sees."""
        return InstanceNoise(weight).view(images, chance)

    def augmentation(self) -> Augmentation:
        """Return the noise that there is most of."""
        return InstanceNoise(self.weight.most)


@dataclass(frozen=True, kw_only=True)
class Adaptive(Term):
    """A probability that follows how well D knows the reals.

    Every ``interval`` updates of D p moves by their images / ``images``: up if the mean sign of D's scores of reals, as
    it saw them, was above ``target``, else down; it stays within 0 and 1.
    """

    target: float = 0.6
    interval: int = 4
    images: int = 500_000
    """Images in which p moves from 0 to 1 at most."""
    p: str = "adaptive"
    """adaptive, or a probability that stays, or one that changes with the clock."""

    signs: ClassVar[str]
    """Under what name signs are summed up."""

    def fresh(self) -> dict[str, Tensor]:
        """Return p, and since it moved last: the sum of signs, images, and updates."""
        return {name: torch.zeros(()) for name in ("p", "signs", "images", "updates")}

    @cached_property
    def _given(self) -> Course | None:
        return None if self.p == "adaptive" else parse_course(self.p, "")

    def probability(self, clock: int) -> float | Tensor:
        """Return the p that there is in an update that begins at a clock."""
        return self.state.get("p", 0.0) if self._given is None else self._given.at(clock)

    def loss(self, scene: Scene) -> Tensor | None:
        """Note how D judges the reals; nothing is added."""
        if scene.stage.phase == "discriminator" and scene.on_reals is not None:
            scene.add(self.signs, scene.on_reals.score.sign())
        return None

    @torch.no_grad()
    def after(self, sums: Mapping[str, Tensor], images: Tensor, taken: Tensor) -> None:
        """Move p, if its time has come."""
        if self.signs not in sums or self._given is not None:
            return
        state = self.state
        state["signs"] += torch.where(taken > 0, sums[self.signs], 0)  # 0 times what is no number is none
        state["images"] += taken * images
        state["updates"] += taken
        due = (state["updates"] >= self.interval).float()
        direction = torch.sign(state["signs"] / state["images"].clamp(min=1) - self.target)
        state["p"].copy_((state["p"] + due * direction * state["images"] / self.images).clamp(0, 1))
        for name in ("signs", "images", "updates"):
            state[name] *= 1 - due

    def remarks(self, data: Seen) -> list[str]:
        """Say which options a p that is given leaves without effect."""
        found = super().remarks(data)
        idle = [name for name in ("target", "interval", "images") if getattr(self, name) != getattr(type(self), name)]
        if idle and self._given is not None:
            found.append(f"p is given, and adapts to nothing: {' and '.join(idle)} say{'s' * (len(idle) == 1)} nothing")
        return found

    def check(self, name: str) -> None:
        """Check the options."""
        try:
            given = self._given
        except UserError as error:
            raise UserError(f"--terms {name},p={error}; or adaptive, or a probability from 0 to 1") from None
        if given is not None and not 0 <= given.least <= given.most <= 1:
            raise UserError(f"--terms {name},p={self.p}: adaptive, or a probability from 0 to 1")
        if not 0 < self.target < 1:
            raise UserError(f"--terms {name},target={self.target:g}: a mean sign, between 0 and 1")
        for key, what in (("interval", "updates of D"), ("images", "images, in which p may move from 0 to 1")):
            if getattr(self, key) < 1:
                raise UserError(f"--terms {name},{key}={getattr(self, key)}: 1 or more {what}")
        super().check(name)
        check_switch(self, name, "give p, for example p=0.2 or p=0..0.5:0..1M")


@dataclass(frozen=True, kw_only=True)
class Ada(Adaptive, _Augmented):
    """D sees images that are moved and recoloured with a probability that follows how well it knows the reals.

    How it follows: :class:`Adaptive`.
    """

    without: tuple[str, ...] = ()
    """Parts that never happen, for example xflip+rotate90 where the data forbid it."""
    resampling: str = "wavelet"
    """wavelet: between low-pass filters, as the paper does; bilinear is quicker, and blurs and aliases a little."""
    colour: float = 1.0
    """Parts of colour happen with this share of p."""
    cutout: bool = False
    """A rectangle of half the sides becomes gray, with p."""

    before: ClassVar[Mapping[str, str]] = {"resampling": "bilinear"}
    signs: ClassVar[str] = "ada/signs"
    paper: ClassVar[str] = "Karras et al. 2020, arXiv 2006.06676"

    def view(self, images: Tensor, chance: Chance, weight: float) -> Tensor:  # noqa: ARG002
        """Return what D sees."""
        return self._pipeline(chance.clock).view(images, chance)

    def augmentation(self) -> Augmentation:
        """Return the pipeline of the beginning."""
        return self._pipeline(0)

    def _pipeline(self, clock: int) -> AdaPipeline:
        resampling = cast(Literal["wavelet", "bilinear"], self.resampling)
        return AdaPipeline(self.probability(clock), self.without, resampling, self.colour, self.cutout)

    def check(self, name: str) -> None:
        """Check the options."""
        if not 0 <= self.colour <= 1:
            raise UserError(f"--terms {name},colour={self.colour:g}: a share of p, 0 to 1")
        super().check(name)

    def remarks(self, data: Seen) -> list[str]:
        """Say what is off, and that images are mirrored which are not otherwise."""
        mirrors = "xflip" not in self.without and not data.flipped
        remark = "it mirrors and turns images, and --data.flip is off: write without=xflip+rotate90 if it must not"
        return super().remarks(data) + [remark] * mirrors
