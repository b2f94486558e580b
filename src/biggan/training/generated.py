"""Images that G makes within an update: a micro-batch at a time, or all of a rank's share before D sees the first.

Moments over a whole global batch need all of its images in every layer of G at once, and so do their gradients; two
passes over micro-batches cannot have them. So G runs once on its rank's whole share, with its moments merged over the
ranks; D takes the images in micro-batches, its gradients gather at the images, and from there one backward pass goes
through G.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.errors import UserError

Call = Callable[..., Tensor]


@dataclass(frozen=True)
class ByMicroBatch:
    """Rows of latents and labels, which become images when a micro-batch of them is moved to the device."""

    generator: Call
    latents: Tensor
    """float [B, z_size]."""
    labels: Tensor
    """int64 [B]."""
    graph: bool
    """Whether the backward pass goes on into G."""

    def __len__(self) -> int:
        """Return how many."""
        return len(self.latents)

    def split(self, sizes: list[int]) -> list[ByMicroBatch]:
        """Return consecutive parts of ``sizes``."""
        parts = zip(torch.split(self.latents, sizes), torch.split(self.labels, sizes), strict=True)
        return [ByMicroBatch(self.generator, latents, labels, self.graph) for latents, labels in parts]

    def to(self, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Return the images, float [B, C, H, W] in [-1, 1]."""
        z, y = (rows.to(device, non_blocking=non_blocking) for rows in (self.latents, self.labels))
        with torch.set_grad_enabled(self.graph):
            return self.generator(z, y)


class WholeShare:
    """Images made at once, of which gradients gather in parts."""

    def __init__(self, images: Tensor) -> None:
        """Hold ``images``, float [B, C, H, W], with their graph if they have one."""
        self.images = images
        self._passes: list[Sequence[Tensor]] = []

    def __len__(self) -> int:
        """Return how many."""
        return len(self.images)

    def split(self, sizes: list[int]) -> Sequence[Tensor]:
        """Return consecutive parts of ``sizes``, each a leaf of its own."""
        parts = torch.split(self.images.detach(), sizes)
        if self.images.requires_grad:
            parts = tuple(part.requires_grad_() for part in parts)
            self._passes.append(parts)
        return parts

    def to(self, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Return all, without their graph."""
        return self.images.detach().to(device, non_blocking=non_blocking)

    def backward(self) -> None:
        """Go on from the gradients that have gathered at the images, once, into what made them."""
        for parts in self._passes:
            gradients = [torch.zeros_like(part) if part.grad is None else part.grad for part in parts]
            again = parts is not self._passes[-1]
            self.images.backward(torch.cat(gradients), retain_graph=again)  # type: ignore[no-untyped-call]
        self._passes.clear()


@dataclass(frozen=True)
class WholeShareOnly:
    """A network whose moments are those of the whole batch, so that a micro-batch alone is nothing to call it with."""

    network: Call

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Refuse.

        Raises:
            UserError: always.
        """
        raise UserError(
            f"--statistics exact: a network with batch norm was called with {len(inputs[0])} rows, and their moments "
            "are not those of the whole batch. In a step of your own let update.generated(G, latents, labels) make the "
            "images, and take them from update.micro_batches; or choose --statistics phase"
        )
