"""Where z enters a generator: the layers that are linear in it, and the activations behind them.

A layer is named as on the command line: ``first``, ``stage:0`` and so on, or ``all`` of those that see z. What they are
depends on the family:

- ``sngan``, ``sagan``, and any other without a hierarchical latent: z enters the first linear layer alone.
- ``biggan`` with a hierarchical latent: the first layer sees the first chunk of z, and the conditional normalisations
  of stage i see chunk i + 1, so each of these is the first layer of its own chunk.
- ``biggan-deep`` with a hierarchical latent: the first layer and the normalisations of every block see the whole of z.
- ``r3gan``: the linear layer of the learnt basis, each of whose outputs is multiplied by a map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biggan.foundation.errors import UserError, unknown
from biggan.layers.normalization import ConditionalNorm
from biggan.layers.spectral_norm import SpectrallyNormalized
from biggan.models.architecture import Architecture
from biggan.models.bottleneck import BottleneckGenerator
from biggan.models.contract import Generator
from biggan.models.grouped import GroupedGenerator
from biggan.models.residual import ResidualGenerator

FIRST, ALL = "first", "all"
_STAGE = "stage:"


def usual_layer(architecture: Architecture) -> str:
    """Return the layer whose directions are looked for unless another is named.

    Where every layer sees the whole of z (biggan-deep), a direction acts through all of them at once, as in a StyleGAN,
    so all count. Where each sees a chunk of its own (biggan), all of them together would only be sorted by scales that
    batch norm takes away, so it is the first. Elsewhere there is but one.
    """
    return ALL if _whole_everywhere(architecture) else FIRST


def layer_names(architecture: Architecture) -> tuple[str, ...]:
    """Return the names of the layers that are linear in z."""
    if not architecture.hierarchical_latent:
        return (FIRST,)
    return (FIRST, *(f"{_STAGE}{i}" for i in range(architecture.doublings)), ALL)


def stage_of(layer: str, architecture: Architecture) -> int | None:
    """Return which stage a name means; None if it is the first layer or all of them.

    Raises:
        UserError: no such layer.
    """
    if layer in (FIRST, ALL):
        return None
    stages = [f"{_STAGE}{i}" for i in range(architecture.doublings)]
    if layer not in stages:
        raise unknown("--layer", layer, (FIRST, *stages, ALL))
    return stages.index(layer)


@torch.no_grad()
def latent_matrix(generator: Generator, layer: str) -> Tensor:
    """Return A, float64 [m, z_size] on the CPU: a step d in z changes what ``layer`` computes of z by A d.

    Weights are divided by their singular values, as the layer computes with them. Of a conditional normalisation these
    are gains and biases, one below the other: what is normalised has variance 1, so that a change of either weighs the
    same. Of a learnt basis A has a row a channel, with the length that its map gives it; A'A is that of all pixels.

    Args:
        generator: in evaluation mode.
        layer: see :func:`layer_names`.

    Raises:
        UserError: no such layer, or one that does not see z.
    """
    architecture = generator.architecture
    stage = stage_of(layer, architecture)
    if stage is not None and not architecture.hierarchical_latent:
        raise UserError(
            f"--layer {layer}: in this network ({architecture.family} without a hierarchical latent) z enters the "
            f"first layer alone; use --layer {FIRST}, or --by ganspace, which looks at activations"
        )
    if layer == FIRST or (layer == ALL and not architecture.hierarchical_latent):
        return _first(generator)
    stages = range(architecture.doublings) if stage is None else (stage,)
    parts = [_of_stage(generator, i) for i in stages]
    return torch.cat([_first(generator), *parts] if layer == ALL else parts)


def seen_latent(architecture: Architecture, layer: str) -> slice:
    """Return which numbers of z can change the output of the block that :func:`observed` names for ``layer``."""
    stage = stage_of(layer, architecture) or 0
    if _chunked(architecture):
        return slice(0, (stage + 2) * (architecture.z_size // architecture.latent_slots))
    return slice(0, architecture.z_size)


def observed(generator: Generator, layer: str) -> nn.Module:
    """Return the module whose output is the activations of ``layer``: the first block, or the end of a stage.

    Raises:
        UserError: no such layer, or all of them.
    """
    if layer == ALL:
        raise UserError(f"--layer {ALL}: activations are those of one layer; use {FIRST}, or {_STAGE}N for a stage")
    stage = stage_of(layer, generator.architecture)
    stages = generator.get_submodule("stages")
    if stage is None:
        blocks = generator.bottom if isinstance(generator, GroupedGenerator) else next(stages.children())
        return next(blocks.children())
    return list(list(stages.children())[stage].children())[-1]


def _chunked(architecture: Architecture) -> bool:
    return architecture.latent_slots > 1


def _whole_everywhere(architecture: Architecture) -> bool:
    return architecture.hierarchical_latent and not _chunked(architecture)


def _first(generator: Generator) -> Tensor:
    architecture = generator.architecture
    if isinstance(generator, GroupedGenerator):
        lengths = generator.basis.basis.detach().cpu().double().flatten(1).norm(dim=1, keepdim=True)
        return lengths * _columns_of_z(_weight(generator.basis.linear), architecture)
    if isinstance(generator, BottleneckGenerator):
        weight = _weight(generator.linear)
        return _columns_of_z(weight, architecture) if architecture.hierarchical_latent else weight
    if isinstance(generator, ResidualGenerator):
        return _placed(_weight(generator.linear), 0, architecture)
    raise UserError(f"the generator of family '{architecture.family}' is none in which it is known where z enters")


def _of_stage(generator: Generator, stage: int) -> Tensor:
    """Return the rows of the conditional normalisations of a stage."""
    architecture = generator.architecture
    modules = list(generator.get_submodule("stages").children())[stage]
    norms = [module for module in modules.modules() if isinstance(module, ConditionalNorm)]
    rows = [_columns_of_z(_weight(part), architecture) for norm in norms for part in (norm.gain, norm.bias)]
    return _placed(torch.cat(rows), stage + 1 if _chunked(architecture) else 0, architecture)


def _columns_of_z(weight: Tensor, architecture: Architecture) -> Tensor:
    """Return the columns of z of a layer whose input is z, or a chunk of it, and the class embedding."""
    embedding = architecture.embedding_size
    size = weight.shape[1] - embedding
    return weight[:, :size] if architecture.condition_order == "latent-class" else weight[:, embedding:]


def _placed(rows: Tensor, chunk: int, architecture: Architecture) -> Tensor:
    """Return rows that see one chunk of z as rows that see all of z."""
    size = rows.shape[1]
    placed = rows.new_zeros(len(rows), architecture.z_size)
    placed[:, chunk * size : (chunk + 1) * size] = rows
    return placed


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.normalized_weight() if isinstance(layer, SpectrallyNormalized) else layer.get_parameter("weight")
    return weight.detach().cpu().double()
