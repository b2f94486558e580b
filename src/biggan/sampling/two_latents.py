"""A generator whose coarse parts see one latent, and whose fine parts another: what style mixing draws with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from biggan.foundation.errors import UserError
from biggan.layers.residual import BottleneckGeneratorBlock
from biggan.models.architecture import Architecture
from biggan.models.bottleneck import BottleneckGenerator
from biggan.models.contract import Generator


def check_parts(architecture: Architecture, coarse: int | None) -> int:
    """Return how many of the first parts are coarse: the first layer is one, and each stage.

    Args:
        architecture: of the generator.
        coarse: that many; None for half of the stages.

    Raises:
        UserError: no hierarchical latent, so no parts; or out of range.
    """
    if not architecture.hierarchical_latent:
        raise UserError(
            f"this network ({architecture.family} without a hierarchical latent) has no coarse and fine latents: z "
            "enters its first layer alone. Breeding mixes latents as a whole: biggan explore breed"
        )
    most = architecture.doublings
    chosen = 1 + most // 2 if coarse is None else coarse
    if not 1 <= chosen <= most:
        raise UserError(f"--at {chosen}: 1 (the first layer alone is coarse) to {most} (the last stage alone is fine)")
    return chosen


class TwoLatents(Generator):
    """A generator whose z is two latents, one after the other: of the first ``coarse`` parts, and of the others.

    Where the latent has a chunk for each part, these are chunks of either; in blocks that see all of z
    (``biggan-deep``) the later stages see the second one. Of twice the same latent it is the generator itself.
    """

    def __init__(self, inner: Generator, coarse: int) -> None:
        nn.Module.__init__(self)  # nothing of its own: no weights are made
        self.inner, self.architecture = inner, inner.architecture
        self.coarse = check_parts(inner.architecture, coarse)

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Return images in [-1, 1], float [N, C, H, W], for z float [N, 2 * z_size]."""
        first, second = z.chunk(2, dim=1)
        if not isinstance(self.inner, BottleneckGenerator):
            split = self.coarse * (self.architecture.z_size // self.architecture.latent_slots)
            return self.inner.synthesize(torch.cat([first[:, :split], second[:, split:]], dim=1), embedding)
        _, condition = self.inner.conditions(second, embedding)
        with self._conditioned(self.inner, condition):
            return self.inner.synthesize(first, embedding)

    @contextlib.contextmanager
    def _conditioned(self, inner: BottleneckGenerator, condition: Tensor) -> Iterator[None]:
        def replace(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            return inputs[0], condition

        fine = list(inner.stages.children())[self.coarse - 1 :]
        blocks = [
            module for stage in fine for module in stage.children() if isinstance(module, BottleneckGeneratorBlock)
        ]
        handles = [block.register_forward_pre_hook(replace) for block in blocks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
