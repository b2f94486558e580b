"""What each iteration consumes: real images from the loader, latents and labels by position.

Every draw belongs to a position of the global batch and derives from (seed, purpose, clock, position); a rank asks for
the positions of its groups, so ranks, micro-batches and workers change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.data.order.loader import Batch
from biggan.foundation.devices import to_device
from biggan.foundation.groups import Share
from biggan.foundation.seeding import normals_at, uniforms_at
from biggan.training.step import DiscriminatorBatch, GeneratorBatch, StepInputs


class FakeDraws:
    """Latents and labels of fakes."""

    def __init__(self, *, seed: int, z_size: int, class_weights: npt.NDArray[np.float64]) -> None:
        """Prepare.

        Args:
            seed: of the run.
            z_size: length of z.
            class_weights: how often each class is drawn, [K], not normalised; [1] without classes.
        """
        self.seed, self.z_size = seed, z_size
        self._edges = np.cumsum(class_weights) / class_weights.sum()

    def draw(self, purpose: str, clock: int, share: Share) -> tuple[Tensor, Tensor]:
        """Return latents float32 [B, z_size] and labels int64 [B] of a rank's share."""
        z = normals_at(self.seed, f"{purpose} latent", clock, share.places, self.z_size)
        chance = uniforms_at(self.seed, f"{purpose} label", clock, share.places, 1)[:, 0]
        labels = np.minimum(np.searchsorted(self._edges, chance, side="right"), len(self._edges) - 1)
        return torch.from_numpy(z), torch.from_numpy(labels.astype(np.int64))


@dataclass(frozen=True)
class HostImages:
    """Real images before they are on the device, with what will be done to them there.

    Has what a tensor has for :meth:`biggan.training.engine.Update.micro_batches`: length, :meth:`split`, :meth:`to`.
    """

    stored: Tensor
    """uint8 [B, C, H', W'], in pinned memory if the device is a GPU."""
    positions: npt.NDArray[np.int64]
    """Of theirs in the data order, [B]."""
    transforms: Callable[[Tensor, npt.NDArray[np.int64]], Tensor]

    def __len__(self) -> int:
        """Return how many images."""
        return len(self.stored)

    def split(self, sizes: list[int]) -> tuple[HostImages, ...]:
        """Return consecutive parts of ``sizes``."""
        positions = np.split(self.positions, np.cumsum(sizes)[:-1])
        parts = zip(torch.split(self.stored, sizes), positions, strict=True)
        return tuple(HostImages(images, those, self.transforms) for images, those in parts)

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Tensor:
        """Move, transform and return them: uint8 [B, C, H, W] on ``device``."""
        return self.transforms(self.stored.to(device, non_blocking=non_blocking), self.positions)


class RealBatches:
    """The loader of real images, which may look ahead; opened anew where it has looked beyond a batch that changes."""

    def __init__(
        self,
        open_at: Callable[[int, Callable[[int], Share]], Iterator[Batch]],
        share: Callable[[int], Share],
        clock: int,
    ) -> None:
        """Open.

        Args:
            open_at: returns the batches from a clock on, given what tells this rank's share of each.
            share: of the batch of the iteration that begins at a clock; what it says of clocks ahead may change.
            clock: where training stands.
        """
        self._open_at, self._share = open_at, share
        self._open(clock)

    def _open(self, clock: int) -> None:
        self._asked = _Asked(self._share, clock)
        self._batches = self._open_at(clock, self._asked)

    def __next__(self) -> Batch:
        """Return the next batch."""
        return next(self._batches)

    def change(self, clock: int, now: int) -> None:
        """Heed that the share says something else from ``clock`` on, since just now; training stands at ``now``."""
        if self._asked.latest >= clock:
            if isinstance(self._batches, Generator):
                self._batches.close()
            self._open(now)


class _Asked:
    """A share, and the latest clock of which it was asked."""

    def __init__(self, share: Callable[[int], Share], clock: int) -> None:
        self.share, self.latest = share, clock

    def __call__(self, clock: int) -> Share:
        self.latest = clock  # first: who sees an earlier one here knows that the share will be asked after that
        return self.share(clock)


class StepDraws:
    """Gathers the inputs of whole iterations."""

    def __init__(
        self,
        loader: RealBatches,
        fakes: FakeDraws,
        *,
        discriminator: Callable[[int], Share],
        generator: Callable[[int], Share],
        discriminator_steps: int,
        device: torch.device,
        transforms: Callable[[Tensor, npt.NDArray[np.int64]], Tensor],
        paired: bool = False,
    ) -> None:
        """Prepare.

        Args:
            loader: real images of each D step, by the same shares.
            fakes: latents and labels.
            discriminator: what this rank sees of a D batch of the iteration that begins at a clock.
            generator: the same of the G batch.
            discriminator_steps: D batches of an iteration.
            device: where tensors go; images go a micro-batch at a time.
            transforms: of images, at the positions of the data order.
            paired: fakes are of the classes of the reals at their places.
        """
        self.loader, self.fakes, self.device, self.transforms = loader, fakes, device, transforms
        self.discriminator, self.generator = discriminator, generator
        self.steps, self.paired = discriminator_steps, paired
        self.told: set[str] = set()

    def images_per_iteration(self, clock: int) -> int:
        """Return the real images that the iteration at ``clock`` consumes, over all D steps and ranks."""
        return self.steps * self.discriminator(clock).total

    def next(self, clock: int) -> tuple[StepInputs, tuple[str, ...]]:
        """Return the inputs of the iteration that begins at ``clock``, and what reading met that was not told yet."""
        of_d, of_g = self.discriminator(clock), self.generator(clock)
        batches: list[DiscriminatorBatch] = []
        problems: list[str] = []
        for step in range(self.steps):
            real = next(self.loader)
            problems += [problem for problem in real.problems if problem not in self.told]
            self.told.update(real.problems)
            z, labels = self.fakes.draw("discriminator", clock + step * of_d.total, of_d)
            labels = real.labels if self.paired else labels
            images = HostImages(real.images, real.positions, self.transforms)
            batches.append(DiscriminatorBatch(images, *map(self._move, (real.labels, z, labels))))
        z, labels = self.fakes.draw("generator", clock, of_g)
        labels = real.labels if self.paired else labels
        inputs = StepInputs(
            discriminator=tuple(batches),
            generator=GeneratorBatch(self._move(z), self._move(labels)),
            batch=of_d.total,
            generator_batch=of_g.total,
            images_seen=clock + self.images_per_iteration(clock),
            places={
                "discriminator": self._move(torch.from_numpy(of_d.places)),
                "generator": self._move(torch.from_numpy(of_g.places)),
            },
        )
        return inputs, tuple(problems)

    def _move(self, tensor: Tensor) -> Tensor:
        return to_device(tensor, self.device)
