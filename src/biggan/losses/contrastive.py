"""D embeds images, near the proxy of their class and away from images of others; G is to make images that lie so.

Kang and Park 2020 (ContraGAN, 2C), Kang et al. 2021 (ReACGAN, D2D-CE). In both the score does not depend on the class:
``--model.discriminator-heads none d2d-ce``. Images are compared with each other, those of a micro-batch.

Letters: N images, f embeddings and w proxies of length 1, t the temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from biggan.foundation.courses import Course, constant
from biggan.foundation.errors import UserError
from biggan.losses.classifier import learnt_from
from biggan.losses.terms import Phase, Term

if TYPE_CHECKING:
    from biggan.losses.scene import Scene


class Compared:
    """How the images of a micro-batch lie to each other and to their proxies."""

    def __init__(self, output: Tensor, labels: Tensor) -> None:
        embeddings, proxies = output.unbind(dim=1)
        self.to_proxy = (embeddings * proxies).sum(dim=1)
        """Cosine of each image and the proxy of its class, [N]."""
        self.to_others = embeddings @ embeddings.T
        """Cosine of each two images, [N, N]."""
        self.alike = labels[:, None] == labels
        """Whether they are of one class."""
        self.others = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        """Whether they are two."""


def log_sum(first: Tensor, values: Tensor, counted: Tensor) -> Tensor:
    """Return log(e^first + sum of e^values over what is ``counted``), [N] of [N], [N, N] and bool [N, N]."""
    masked = values.masked_fill(~counted, -torch.inf)
    return torch.cat([first[:, None], masked], dim=1).logsumexp(dim=1)


@dataclass(frozen=True, kw_only=True)
class ConditionalContrastive(Term):
    """-mean log share, in e^(cosine / t) to the proxy and to other images, of the proxy and those of the own class.

    Equation 8 of the paper: over reals for D, over fakes for G.
    """

    temperature: float = 1.0

    phases: ClassVar[tuple[Phase, ...]] = ("discriminator", "generator")
    batch_relative: ClassVar[bool] = True
    head: ClassVar[str] = "2c"
    paper: ClassVar[str] = "Kang and Park 2020, arXiv 2006.12681"

    def loss(self, scene: Scene) -> Tensor | None:
        """Return the loss."""
        found = learnt_from(scene)
        return None if found is None else self.of(found.outputs[self.head], found.labels)

    def of(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of embeddings and proxies [N, 2, E] with labels int64 [N]."""
        seen = Compared(output, labels)
        proxy, others = seen.to_proxy / self.temperature, seen.to_others / self.temperature
        both = log_sum(proxy, others, seen.others) - log_sum(proxy, others, seen.others & seen.alike)
        return both.mean()

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        if not 0 < self.temperature < float("inf"):
            raise UserError(f"--terms {name},temperature={self.temperature:g}: must be a positive number")


@dataclass(frozen=True, kw_only=True)
class DataToData(ConditionalContrastive):
    """-mean log(e^p / (e^p + sum of e^n over images of other classes)), p = [f w - m_p]- / t, n = [f f' - m_n]+ / t.

    [x]- is min(x, 0) and [x]+ max(x, 0), m_n = 1 - m_p; equation 7 of the paper. StudioGAN takes the largest of a row
    off n, but not off p, which is another loss.
    """

    weight: Course = constant(0.5)
    m_p: float = 0.98
    """Cosine above which an image is near enough to its proxy."""
    temperature: float = 0.5

    head: ClassVar[str] = "d2d-ce"
    paper: ClassVar[str] = "Kang et al. 2021, arXiv 2111.01118"

    def of(self, output: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of embeddings and proxies [N, 2, E] with labels int64 [N]."""
        seen = Compared(output, labels)
        near = (seen.to_proxy - self.m_p).clamp(max=0) / self.temperature
        far = (seen.to_others - (1 - self.m_p)).clamp(min=0) / self.temperature
        return (log_sum(near, far, ~seen.alike) - near).mean()

    def check(self, name: str) -> None:
        """Check the options."""
        super().check(name)
        if not 0 < self.m_p <= 1:
            raise UserError(f"--terms {name},m_p={self.m_p:g}: a cosine, above 0 and up to 1")
