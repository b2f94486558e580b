"""Self-supervision by rotation (Chen et al. 2019, SSGAN): D tells how an image was turned, and G's images let it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.losses.terms import Phase, Seen, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


def turned(images: Tensor, quarters: Tensor) -> Tensor:
    """Return each of ``images`` [N, C, H, W] turned by as many ``quarters``, int64 [N]; even ones if H is not W."""
    step = 1 if images.shape[2] == images.shape[3] else 2
    ways = torch.stack([images.rot90(by, (2, 3)) for by in range(0, 4, step)])
    return ways[quarters // step, torch.arange(len(images), device=images.device)]


@dataclass(frozen=True, kw_only=True)
class Rotation(Term):
    """-mean log p(how it was turned), of reals for D, of fakes for G. The head ``rotation`` of D gives p.

    D looks at one turned copy of each image, in a pass that moves nothing, and the adversarial loss sees all images as
    they are. In the paper's code a quarter of the batch is turned in all four directions, which are as many images in
    this loss; here a direction is drawn for each image, by its place, so that a batch may be divided anywhere. Images
    that are not square are turned by halves alone.
    """

    d: float = 1.0
    """Strength in D's updates, under the weight."""
    g: float = 0.2
    """Strength in G's updates, under the weight."""

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    head: ClassVar[str] = "rotation"
    paper: ClassVar[str] = "Chen et al. 2019, arXiv 1811.11212"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the cross-entropy."""
        if scene.stage.phase == "generator":
            return self.g * self.of(scene, scene.fakes, scene.fake_labels, "fakes")
        if scene.reals is None or scene.labels is None:
            return None
        return self.d * self.of(scene, scene.reals, scene.labels, "reals")

    def of(self, scene: Scene, images: Tensor, labels: Tensor, which: str) -> Tensor:
        """Return the cross-entropy of the directions in which ``images`` are turned."""
        step = 1 if images.shape[2] == images.shape[3] else 2
        drawn = scene.chance.apart(f"rotation of {which}").integers("direction", 1, 4 // step)[:, 0]
        seen = scene.view(turned(images, step * drawn), which)
        logits = scene.again(seen, labels).outputs[self.head]
        return F.cross_entropy(logits[:, ::step], drawn)

    def remarks(self, data: Seen) -> list[str]:
        """Say so where images are turned by halves alone."""
        height, width = data.resolution
        return [] if height == width else [f"images of {height}x{width} are turned by halves alone"]

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        for key in ("d", "g"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise UserError(f"--terms {name},{key}={getattr(self, key):g}: must be 0 or a positive number")
