"""Images from latents, a chunk at a time, so that no model and no number of images runs out of memory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from biggan.foundation.errors import UserError
from biggan.foundation.images import to_bytes
from biggan.layers.held_weights import held_weights
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.models.contract import Generator

Call = Callable[[Tensor, Tensor], Tensor]
"""Latents float [N, z_size] and labels int64 [N] to images float [N, C, H, W], as a generator."""
DEFAULT_PIXELS = 64 * 128 * 128
"""Pixels drawn at a time unless the caller says otherwise."""


def default_chunk(generator: Generator) -> int:
    """Return how many images to draw at a time: 64 of 128x128, fewer of larger ones."""
    height, width = generator.architecture.resolution
    return max(1, min(256, DEFAULT_PIXELS // (height * width)))


@contextlib.contextmanager
def divided_once(network: nn.Module) -> Iterator[None]:
    """Hold the weights divided by their singular values for all that is drawn within: a second time changes nothing.

    Args:
        network: in evaluation mode; its weights must stay as they are meanwhile.
    """
    if all(layer.held is not None for layer in spectrally_normalized(network).values()):
        yield
        return
    with held_weights([network]):
        yield


def filled(call: Call, size: int) -> Call:
    """Return ``call`` for batches of up to ``size`` images, which are all filled up to it.

    A compiled function has a graph for each size, so one size is one graph, and a smaller last batch is rounded as
    all others are. Only for a network whose images do not depend on their neighbours.
    """

    def fill(z: Tensor, labels: Tensor) -> Tensor:
        count = len(z)
        rows = torch.arange(max(size, count), device=z.device).clamp(max=count - 1)
        return call(z[rows], labels[rows])[:count]

    return fill


@torch.no_grad()
def draw(
    generator: Generator, z: Tensor, condition: Tensor, chunk: int | None = None, compiled: Call | None = None
) -> Tensor:
    """Return images uint8 [N, C, H, W] on the CPU.

    Args:
        generator: in evaluation mode; it is not changed.
        z: float [N, z_size].
        condition: labels int64 [N], or embeddings float [N, n].
        chunk: images at a time; halved for the rest of the call when a GPU runs out of memory.
        compiled: what is called in the generator's place where the condition is labels; batches are filled up to the
            chunk, or without one to all images that fit.

    Raises:
        UserError: no image at a time.
    """
    if chunk is not None and chunk < 1:
        raise UserError(f"--batch {chunk}: at least 1 image at a time")
    parameter = next(generator.parameters())
    size = chunk or (default_chunk(generator) if compiled is None else min(default_chunk(generator), max(len(z), 1)))
    height, width = generator.architecture.resolution
    images = torch.empty(len(z), generator.architecture.channels, height, width, dtype=torch.uint8)
    done = 0
    with divided_once(generator):
        while done < len(z):
            rows = slice(done, done + size)
            latents = z[rows].to(parameter.device, parameter.dtype)
            part = condition[rows].to(parameter.device)
            part = part.to(parameter.dtype) if part.is_floating_point() else part
            try:
                call = generator if compiled is None else filled(compiled, size)
                made = generator.synthesize(latents, part) if part.is_floating_point() else call(latents, part)
                images[rows] = to_bytes(made).cpu()
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size = max(1, size // 2)
                continue
            done += size
    return images
