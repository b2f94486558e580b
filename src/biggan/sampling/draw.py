"""Images from latents, a chunk at a time, so that no model and no number of images runs out of memory."""

from __future__ import annotations

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.foundation.images import to_bytes
from biggan.layers.held_weights import held_weights
from biggan.models.contract import Generator

DEFAULT_PIXELS = 64 * 128 * 128
"""Pixels drawn at a time unless the caller says otherwise."""


def default_chunk(generator: Generator) -> int:
    """Return how many images to draw at a time: 64 of 128x128, fewer of larger ones."""
    height, width = generator.architecture.resolution
    return max(1, min(256, DEFAULT_PIXELS // (height * width)))


@torch.no_grad()
def draw(generator: Generator, z: Tensor, condition: Tensor, chunk: int | None = None) -> Tensor:
    """Return images uint8 [N, C, H, W] on the CPU.

    Args:
        generator: in evaluation mode; it is not changed.
        z: float [N, z_size].
        condition: labels int64 [N], or embeddings float [N, n].
        chunk: images at a time; halved for the rest of the call when a GPU runs out of memory.

    Raises:
        UserError: no image at a time.
    """
    if chunk is not None and chunk < 1:
        raise UserError(f"--batch {chunk}: at least 1 image at a time")
    parameter = next(generator.parameters())
    size = chunk or default_chunk(generator)
    height, width = generator.architecture.resolution
    images = torch.empty(len(z), generator.architecture.channels, height, width, dtype=torch.uint8)
    done = 0
    with held_weights([generator]):  # divided by singular values once, for all chunks
        while done < len(z):
            rows = slice(done, done + size)
            latents = z[rows].to(parameter.device, parameter.dtype)
            part = condition[rows].to(parameter.device)
            try:
                made = generator.synthesize(latents, part) if part.is_floating_point() else generator(latents, part)
                images[rows] = to_bytes(made).cpu()
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                size = max(1, size // 2)
                continue
            done += size
    return images
