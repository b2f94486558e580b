"""Consistency regularisation: D must say the same of an image that is mirrored and shifted a little.

Zhang et al. 2020 (CR, of reals), Zhao et al. 2021 (bCR, of fakes as well; zCR: D must say the same of fakes from
latents side by side, and G must paint different ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from biggan.foundation.chance import Chance
from biggan.foundation.courses import Course, constant
from biggan.foundation.errors import UserError
from biggan.losses.terms import Phase, Seen, Term

if TYPE_CHECKING:
    from biggan.layers.heads import Verdict
    from biggan.losses.scene import Scene


def moved(images: Tensor, chance: Chance, *, shift: float, mirror: bool) -> Tensor:
    """Return images [N, C, H, W] mirrored by chance and shifted by whole pixels, edges repeated as in a mirror.

    Args:
        images: what is moved.
        chance: by what chance.
        shift: the most, as a share of each side.
        mirror: whether half of them are mirrored.
    """
    n, _, height, width = images.shape
    draws = chance.uniform("consistency", 3)
    rows = _places(height, shift, draws[:, 0])
    columns = _places(width, shift, draws[:, 1])
    if mirror:
        columns = torch.where(draws[:, 2:] < 0.5, columns.flip(1), columns)
    every = torch.arange(n, device=images.device)[:, None, None]
    return images.permute(0, 2, 3, 1)[every, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _places(side: int, shift: float, chance: Tensor) -> Tensor:
    """Return from where each pixel along a side comes, int64 [N, side]."""
    most = int(side * shift)
    by = (chance * (2 * most + 1)).long() - most
    places = torch.arange(side, device=chance.device) + by[:, None]
    places = places.abs()
    return torch.where(places >= side, 2 * (side - 1) - places, places)


def apart(one: Verdict, other: Verdict) -> Tensor:
    """Return the mean squared difference of the scores, plus that of what each further head of D says."""
    found = (one.score - other.score).square().mean()
    for name, output in one.outputs.items():
        squared = (output - other.outputs[name]).square()
        # Of an embedding and its proxy, [N, 2, E], the proxy does not depend on the image: it is not to be counted.
        found = found + (squared.sum(dim=1) if squared.dim() == 3 else squared).mean()
    return found


@dataclass(frozen=True, kw_only=True)
class Consistency(Term):
    """mean (D(x) - D(T(x)))^2 over reals, T mirroring and shifting; D is its score, and what further heads say."""

    weight: Course = constant(10.0)
    shift: float = 0.125
    """The most that an image is shifted, as a share of its sides."""
    mirror: bool = True
    """Whether half of the images are mirrored; no where the data must not be (digits, letters)."""
    augmented: bool = True
    """Whether D sees the moved image augmented, by what the other one is augmented by; no: as it is."""

    paper: ClassVar[str] = "Zhang et al. 2020, arXiv 1910.12027"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return how far the verdicts are apart."""
        if scene.reals is None or scene.labels is None or scene.on_reals is None:
            return None
        return self.difference(scene, scene.reals, scene.labels, scene.on_reals, "reals")

    def difference(self, scene: Scene, images: Tensor, labels: Tensor, verdict: Verdict, which: str) -> Tensor:
        """Return how far the ``verdict`` on ``images`` is from that on them moved."""
        chance = scene.chance.apart(f"consistency of {which}")
        other = moved(images, chance, shift=self.shift, mirror=self.mirror)
        return apart(verdict, scene.again(scene.view(other, which) if self.augmented else other, labels))

    def remarks(self, data: Seen) -> list[str]:
        """Say so if it mirrors what is not mirrored otherwise, or compares an image with itself."""
        if not self.mirror and self.augmented and not any(int(side * self.shift) for side in data.resolution):
            return ["it moves nothing, and D says the same of the same: write augmented=no, or a larger shift"]
        if not self.mirror or data.flipped:
            return []
        return ["it mirrors images, and --data.flip is off: write mirror=no if a mirrored image is another one"]

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        if not 0 <= self.shift < 0.5:
            raise UserError(f"--terms {name},shift={self.shift:g}: a share of the sides, from 0 to below 0.5")


@dataclass(frozen=True, kw_only=True)
class BalancedConsistency(Consistency):
    """The same over reals and over fakes."""

    paper: ClassVar[str] = "Zhao et al. 2021, arXiv 2002.04724"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the sum of both."""
        on_reals = super().loss(scene)
        fakes = self.difference(scene, scene.fakes.detach(), scene.fake_labels, scene.on_fakes, "fakes")
        return fakes if on_reals is None else on_reals + fakes


@dataclass(frozen=True, kw_only=True)
class LatentConsistency(Term):
    """20 mean (D(G(z)) - D(G(z')))^2 for D, -1/2 mean (G(z) - G(z'))^2 over pixels for G; z' is z with a little noise.

    G is called once more for each micro-batch. With ``bcr`` it is what the paper calls ICR.
    """

    sigma: float = 0.05
    """Deviation of the noise."""
    d: float = 20.0
    """Strength in D's updates, under the weight."""
    g: float = 0.5
    """Strength in G's updates, under the weight."""

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    calls_generator: ClassVar[bool] = True
    paper: ClassVar[str] = "Zhao et al. 2021, arXiv 2002.04724"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the squared difference of scores, or minus that of images."""
        noise = scene.chance.apart("latent consistency").normal("noise", scene.latents.shape[1])
        latents = scene.latents + self.sigma * noise.to(scene.latents.dtype)
        if scene.stage.phase == "generator":
            return -self.g * (scene.fakes - scene.generated(latents, scene.fake_labels)).square().mean()
        with torch.no_grad():
            fakes = scene.generated(latents, scene.fake_labels)
        other = scene.again(scene.view(fakes, "fakes"), scene.fake_labels)
        return self.d * apart(scene.on_fakes, other)

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        for key in ("sigma", "d", "g"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise UserError(f"--terms {name},{key}={getattr(self, key):g}: must be 0 or a positive number")
