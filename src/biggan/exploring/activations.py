"""What a block of a generator computes of latents drawn for it, without what comes after."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biggan.exploring.layers import observed
from biggan.foundation.seeding import normals
from biggan.models.contract import Generator
from biggan.sampling.draw import divided_once


class _ReachedError(Exception):
    """The block has answered: what comes after it need not be computed."""

    def __init__(self, output: Tensor) -> None:
        self.output = output


def _stop(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
    raise _ReachedError(output)


@torch.no_grad()
def activations(
    generator: Generator, layer: str, count: int, label: int, seed: int, first: int
) -> tuple[Tensor, Tensor]:
    """Return latents float64 [count, z_size], and activations of ``layer`` for them, float64 [count, n], on the CPU.

    Args:
        generator: in evaluation mode; as it was afterwards.
        layer: see :func:`biggan.exploring.layers.observed`.
        count: how many.
        label: class of all.
        seed: of the latents.
        first: position of the first one among the seed's latents.
    """
    parameter = next(generator.parameters())
    drawn = torch.from_numpy(normals(seed, "latents of activations", 0, first, count, generator.architecture.z_size))
    parts: list[Tensor] = []
    hook = observed(generator, layer).register_forward_hook(_stop)
    try:
        with divided_once(generator):
            for z in torch.split(drawn, 64):
                labels = torch.full((len(z),), label, dtype=torch.int64, device=parameter.device)
                try:
                    generator(z.to(parameter.device, parameter.dtype), labels)
                except _ReachedError as reached:
                    parts.append(reached.output.flatten(1).cpu().double())
    finally:
        hook.remove()
    return drawn.double(), torch.cat(parts)
