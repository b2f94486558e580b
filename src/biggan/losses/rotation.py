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
    from biggan.layers.heads import Verdict
    from biggan.losses.scene import Scene

_ONE_IN = 4
"""A quarter of the batch is turned."""


@dataclass(frozen=True, kw_only=True)
class Rotation(Term):
    """-mean log p(how it was turned), of reals for D, of fakes for G. The head ``rotation`` of D gives p.

    A quarter of the batch is looked at in all four directions: upright where the adversarial loss sees it too, and
    turned in a pass of its own, which moves nothing and of which the adversarial loss sees nothing. Every fourth place
    of the global batch is in the quarter, so that a batch may be divided anywhere; of a batch that is no multiple of
    four it is the next larger share. Images that are not square are turned by halves alone.
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
            return self.g * self.of(scene, scene.fakes, scene.fake_labels, scene.on_fakes, "fakes")
        if scene.reals is None or scene.labels is None or scene.on_reals is None:
            return None
        return self.d * self.of(scene, scene.reals, scene.labels, scene.on_reals, "reals")

    def of(self, scene: Scene, images: Tensor, labels: Tensor, upright: Verdict, which: str) -> Tensor:
        """Return the cross-entropy of the directions of those ``images`` that are in the quarter.

        Args:
            scene: where they are.
            images: all of a micro-batch, float [N, C, H, W].
            labels: theirs, int64 [N].
            upright: D's verdict on them.
            which: ``reals`` or ``fakes``.
        """
        quarters = range(0, 4, 1 if images.shape[2] == images.shape[3] else 2)
        # The places of a micro-batch follow each other: so many rows, at most, are in the quarter. One that is not
        # counts nothing, and no number is read from the device.
        in_quarter = (scene.chance.places % _ONE_IN == 0).float()
        counts, rows = in_quarter.topk(-(-len(images) // _ONE_IN))
        chance, chosen = scene.chance.of(rows), images[rows]
        turned = [
            scene.view(chosen.rot90(by, (2, 3)), which, chance.apart(f"turned by {by} quarters")) for by in quarters[1:]
        ]
        verdict = scene.again(torch.cat(turned), labels[rows].repeat(len(turned)))
        logits = torch.cat([upright.outputs[self.head][rows], verdict.outputs[self.head]])[:, :: quarters.step]
        directions = torch.arange(len(quarters), device=rows.device).repeat_interleave(len(rows))
        each = F.cross_entropy(logits, directions, reduction="none") * counts.repeat(len(quarters))
        return each.sum() * (_ONE_IN / (len(quarters) * len(images)))

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
