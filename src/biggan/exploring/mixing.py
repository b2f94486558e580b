"""Style mixing: images whose coarse parts are one latent's and whose fine parts are another's.

Karras et al. 2019 ("A style-based generator architecture", section 3.1) mix the styles of layers; a hierarchical
latent allows the same. In ``biggan`` it is cut into chunks, the first for the first layer and one for each stage; in
``biggan-deep`` every layer sees the whole of z, so the layers are given different ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biggan.exploring.points import Points
from biggan.foundation.errors import UserError
from biggan.layers.residual import BottleneckGeneratorBlock
from biggan.models.architecture import Architecture
from biggan.models.bottleneck import BottleneckGenerator
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.pictures import check_sheet
from biggan.sampling.sampler import Sampler


def check_mixing(architecture: Architecture, at: int | None) -> int:
    """Return how many of the first parts are coarse: the first layer is one, and each stage.

    Args:
        architecture: of the generator.
        at: that many; None for half of the stages.

    Raises:
        UserError: no hierarchical latent, so no parts; or out of range.
    """
    if not architecture.hierarchical_latent:
        raise UserError(
            f"this network ({architecture.family} without a hierarchical latent) has no coarse and fine latents: z "
            "enters its first layer alone. Breeding mixes latents as a whole: biggan explore breed"
        )
    most = architecture.doublings
    chosen = 1 + most // 2 if at is None else at
    if not 1 <= chosen <= most:
        raise UserError(f"--at {chosen}: 1 (the first layer alone is coarse) to {most} (the last stage alone is fine)")
    return chosen


def mixed_images(sampler: Sampler, coarse: Points, fine: Points, at: int | None = None) -> Tensor:
    """Return images uint8 [len(coarse) * len(fine), C, H, W], a row for each of ``coarse``, whose classes they have.

    Args:
        sampler: what draws.
        coarse: latents for the first ``at`` parts.
        fine: latents for the others.
        at: see :func:`check_mixing`.

    Raises:
        UserError: no hierarchical latent, a number out of range, or a sheet that would be too large.
    """
    architecture = sampler.info.architecture
    parts = check_mixing(architecture, at)
    rows, columns = len(coarse), len(fine)
    check_sheet((rows + 1) * (columns + 1), columns + 1, architecture.resolution, "--coarse, --fine")
    first, second = coarse.z.repeat_interleave(columns, dim=0), fine.z.repeat(rows, 1)
    embedding = coarse.embedding.repeat_interleave(columns, dim=0)
    generator = sampler.generator
    if isinstance(generator, BottleneckGenerator):
        return draw(_TwoLatents(generator, parts), torch.cat([first, second], dim=1), embedding)
    split = parts * (architecture.z_size // architecture.latent_slots)
    return draw(generator, torch.cat([first[:, :split], second[:, split:]], dim=1), embedding)


def mixing_sheet_images(sampler: Sampler, coarse: Points, fine: Points, at: int | None = None) -> Tensor:
    """Return :func:`mixed_images` with what was mixed around them, uint8 [(rows + 1) * (columns + 1), C, H, W].

    The first column shows the images of ``coarse``, the first row those of the latents ``fine`` with the class of the
    first of ``coarse``; the corner is white.
    """
    mixed = mixed_images(sampler, coarse, fine, at)
    top = draw(sampler.generator, fine.z, coarse.embedding[:1].expand(len(fine), -1))
    side = draw(sampler.generator, coarse.z, coarse.embedding)
    body = torch.cat([side[:, None], mixed.view(len(coarse), len(fine), *mixed.shape[1:])], dim=1)
    head = torch.cat([torch.full_like(top[:1], 255), top])
    return torch.cat([head, body.flatten(0, 1)])


class _TwoLatents(Generator):
    """A generator of bottleneck blocks whose later stages see another latent: z is both, one after the other."""

    def __init__(self, inner: BottleneckGenerator, parts: int) -> None:
        nn.Module.__init__(self)  # nothing of its own: no weights are made
        self.inner, self.architecture = inner, inner.architecture
        self.fine_stages = list(inner.stages.children())[parts - 1 :]

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Return images in [-1, 1], float [N, C, H, W], for z float [N, 2 * z_size]."""
        coarse, fine = z.chunk(2, dim=1)
        _, condition = self.inner.conditions(fine, embedding)
        with self._conditioned(condition):
            return self.inner.synthesize(coarse, embedding)

    @contextlib.contextmanager
    def _conditioned(self, condition: Tensor) -> Iterator[None]:
        def replace(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return inputs[0], condition

        blocks = [m for stage in self.fine_stages for m in stage.children() if isinstance(m, BottleneckGeneratorBlock)]
        handles = [block.register_forward_pre_hook(replace) for block in blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
