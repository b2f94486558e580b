"""The gradient of one update while it is collected, from whatever parts of a batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.groups import split_evenly
from biggan.layers.precision import without_tf32
from biggan.losses.terms import Acting
from biggan.training.generated import ByMicroBatch, Call, WholeShare, WholeShareOnly


class Rows(Protocol):
    """Rows of a batch, wherever they lie: a tensor, or images that become one when they are moved."""

    def __len__(self) -> int:
        """Return how many."""

    def split(self, sizes: list[int]) -> Sequence[Rows]:
        """Return consecutive parts of ``sizes``."""

    def to(self, device: torch.device, *, non_blocking: bool) -> Tensor:
        """Return them as a tensor on ``device``."""


class Update:
    """The gradient of one phase while it is collected.

    :meth:`micro_batches` may be called any number of times, for parts of a batch or for batches of several kinds; the
    gradients of all add up, and what is counted belongs to the update as a whole.
    """

    def __init__(
        self,
        parts: int,
        device: torch.device,
        length_so_far: Callable[[], Tensor] | None = None,
        scale: Tensor | None = None,
        into_generator: bool = False,
        acting: Sequence[Acting] = (),
        clock: int = 0,
    ) -> None:
        """Begin.

        Args:
            parts: micro-batches of this rank for each batch.
            device: where they are needed.
            length_so_far: returns the squared length of the gradient that has gathered; None if nobody asks.
            scale: by which losses are multiplied before the backward pass; gradients gather with it.
            into_generator: whether gradients go through generated images into G, because this is its update.
            acting: terms that act in this update, with their weights.
            clock: a number that no other update of this network has.
        """
        self.parts, self.device = parts, device
        self.acting, self.clock = acting, clock
        self.staged = False
        """Whether its images are put on stage, where terms see them."""
        self.sums: dict[str, Tensor] = {}
        """What terms sum up over its images."""
        self.loss: Tensor | None = None
        self.samples = 0
        """Rows that this rank has seen in this update."""
        self.total: int | None = None
        """Rows of the batch over all ranks; None if there were several batches."""
        self.first: Tensor | None = None
        """Of the first group, for the noise scale: [squared length of its mean gradient, 1 / its rows, 1]; None where
        an update has but one group, or several batches."""
        self._length_so_far, self._scale = length_so_far, scale
        self._into_generator = into_generator
        self._shares: list[WholeShare] = []
        self._passes = 0
        self._weight: float | None = None

    def generated(self, generator: Call, latents: Tensor, labels: Tensor) -> Rows:
        """Return the images that G makes of this rank's share, as rows for :meth:`micro_batches`.

        Each micro-batch is made when its turn comes; all are made here where G's moments are those of the whole batch.
        They have a graph in an update of G, and none in another's.

        Args:
            generator: G as the engine calls it.
            latents: float [B, z_size].
            labels: int64 [B].
        """
        if not isinstance(generator, WholeShareOnly):
            return ByMicroBatch(generator, latents, labels, graph=self._into_generator)
        everything = ByMicroBatch(generator.network, latents, labels, graph=self._into_generator)
        share = WholeShare(everything.to(self.device, non_blocking=True))
        self._shares.append(share)
        return share

    def finish(self) -> None:
        """Carry what has gathered at images that were made at once into G."""
        for share in self._shares:
            share.backward()
        self._shares.clear()

    def micro_batches(self, tensors: Sequence[Rows], total: int | None = None) -> Iterator[tuple[Tensor, ...]]:
        """Yield the rows of ``tensors`` in micro-batches whose sizes differ by at most one, on the device.

        What lies elsewhere is moved a micro-batch at a time, so that the device never holds a whole batch of images.

        Args:
            tensors: this rank's share of the batch, [B, ...] each.
            total: size of the batch over all ranks; with one rank that of ``tensors`` by default.

        Raises:
            UserError: fewer rows than micro-batches, or no ``total`` where there are several ranks.
        """
        rows = len(tensors[0])
        if total is None and distributed.world_size() > 1:
            raise UserError(
                f"micro_batches of {rows} rows: on {distributed.world_size()} ranks say how many all of them have, for "
                "example micro_batches(batch, inputs.batch)"
            )
        if rows < self.parts:
            raise UserError(f"a rank's share of {rows} images cannot be cut into {self.parts} micro-batches")
        sizes = split_evenly(rows, self.parts)
        self._passes += 1
        self.total = (total or rows) if self._passes == 1 else None
        for parts in zip(*(tensor.split(sizes) for tensor in tensors), strict=True):
            size = len(parts[0])
            self.samples += size
            self._weight = size / (total or rows)
            yield tuple(part.to(self.device, non_blocking=True) for part in parts)
            if self._passes == 1 and self.samples == size and size < (total or rows):
                self._note_first(size)
        self._weight = None

    def _note_first(self, size: int) -> None:
        if self._length_so_far is None or self._weight is None or self.loss is None:
            return
        length = self._length_so_far() / self._weight**2
        if self._scale is not None:
            length = length / self._scale**2
        self.first = torch.stack([length, torch.full_like(length, 1 / size), torch.ones_like(length)])

    def _precisely(self) -> contextlib.AbstractContextManager[None]:
        """Return a context for the backward pass; what is differentiated twice is never rounded to TF32."""
        twice = any(term.differentiates_twice for _, term, _ in self.acting)
        return without_tf32() if twice else contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of ``loss``, a mean over the current micro-batch, weighted by that one's share.

        Raises:
            UserError: there is no current micro-batch.
        """
        if self._weight is None:
            raise UserError(
                "update.backward outside of a loop over update.micro_batches: the loss would have no weight. Shares of "
                "micro-batches sum to one, so what does not depend on images may be added to each one's loss."
            )
        weighted = loss * self._weight
        scaled = weighted if self._scale is None else weighted * self._scale
        with self._precisely():
            scaled.backward()  # type: ignore[no-untyped-call]
        detached = weighted.detach()
        self.loss = detached.clone() if self.loss is None else self.loss + detached
