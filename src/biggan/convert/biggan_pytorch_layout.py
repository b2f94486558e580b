"""What BigGAN-PyTorch's keys and shapes say about structure.

The layout: ``shared``, ``linear``, ``blocks.N.M`` (M 0 is the residual block, the last may be attention; BigGAN-deep's
G numbers all its blocks through), ``output_layer.0`` norm and ``.2`` convolution; D has ``input_conv`` (deep),
``blocks``, ``linear``, ``embed``. A spectrally normalised layer has ``u0`` [1, out], ``sv0`` [1], and more of both for
more singular values; an embedding's u has one entry a class. Conditional norms keep ``stored_mean``, ``stored_var``
beside gain and bias, or in a child ``bn`` (with ``accumulation_counter`` for the kind that can accumulate, as
``running_mean`` for the synchronised kind).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from biggan.convert.facts import Facts
from biggan.foundation.compatibility import (
    BIASED_NORM,
    OUTPUT_NORM_BATCH,
    OUTPUT_NORM_EPS,
    RUNNING_INSTANCE_NORM,
)
from biggan.foundation.errors import UserError
from biggan.models.architecture import SpectralNorm
from biggan.models.family import FAMILIES


class Layout:
    """A foreign state dict, and questions about it."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = dict(state)
        self.deep = "blocks.0.0.conv4.weight" in state
        self.blocks: dict[tuple[int, int], str] = {}
        for key in state:
            match = re.match(r"blocks\.(\d+)\.(\d+)\.(\w+)", key)
            if match and match[3] in ("conv1", "gamma"):
                self.blocks[int(match[1]), int(match[2])] = "attention" if match[3] == "gamma" else "block"
        if not self.blocks:
            raise UserError("not a BigGAN-PyTorch state dict: it has no blocks.0.0.conv1")
        self.spectral = "linear.u0" in state
        self.singular_values = sum(re.fullmatch(r"linear\.u\d+", key) is not None for key in state)

    def rows(self, key: str) -> int:
        """Return the first side of a tensor."""
        return self.state[key].shape[0]

    def columns(self, key: str) -> int:
        """Return the second side of a tensor."""
        return self.state[key].shape[1]

    def outer(self) -> list[int]:
        """The first numbers of the blocks, in order."""
        return sorted({first for first, _ in self.blocks})

    def residual(self, first: int) -> list[int]:
        """The second numbers under ``first`` that are residual blocks."""
        return sorted(second for (one, second), kind in self.blocks.items() if one == first and kind == "block")

    def attended(self, first: int) -> bool:
        """Tell whether attention follows the residual blocks under ``first``."""
        return any(one == first and kind == "attention" for (one, _), kind in self.blocks.items())

    def depth(self) -> int:
        """Blocks a stage of a deep G: its blocks are numbered through, and channels change at the end of a stage."""
        if not self.deep:
            return 1
        total = len(self.outer())
        last = "conv4"
        drops = [
            i
            for i in self.outer()
            if self.rows(f"blocks.{i}.0.{last}.weight") != self.columns(f"blocks.{i}.0.conv1.weight")
        ]
        if drops:  # every table begins with one stage of constant width
            return (drops[0] + 1) // 2
        return max(total // 3, 1)  # constant widths: the 32 px table, three stages

    def spectral_norm(self, iterations: int | None, eps: float | None) -> SpectralNorm:
        """Return how weights are normalised, where they are; the two numbers are what keys cannot tell."""
        if not self.spectral:
            return SpectralNorm(enabled=False)
        return SpectralNorm(singular_values=self.singular_values, iterations=iterations or 1, eps=eps or 1e-8)


def generator_values(g: Layout, facts: Facts) -> dict[str, Any]:
    """Read the architecture of G off its keys and shapes."""
    depth = g.depth()
    outer = g.outer()
    if len(outer) % depth:
        raise UserError(f"{len(outer)} blocks do not make stages of {depth}")
    stages = len(outer) // depth
    last_conv = "conv4" if g.deep else "conv2"
    ends = [outer[(s + 1) * depth - 1] for s in range(stages)]
    channels = (
        g.columns("blocks.0.0.conv1.weight"),
        *(g.rows(f"blocks.{end}.0.{last_conv}.weight") for end in ends),
    )
    bottom = facts.bottom or (4, 4)
    if g.rows("linear.weight") != channels[0] * bottom[0] * bottom[1]:
        raise UserError(
            f"the first linear layer has {g.rows('linear.weight')} rows, which is not {channels[0]} channels on a "
            f"{bottom[0]}x{bottom[1]} grid; state the bottom grid as a fact"
        )
    shared = "shared.weight" in g.state
    gain = next((key for key in g.state if key.endswith("bn1.gain.weight")), None)
    embedding = g.columns("shared.weight") if shared else 0
    condition = g.columns(gain) if gain and shared else 0
    latent = g.columns("linear.weight")
    hierarchical = shared and condition > embedding
    if g.deep and hierarchical:
        latent = condition - embedding
    elif hierarchical:
        latent = latent * (stages + 1)
    switches = []
    if facts.output_norm_eps == 1e-5 != facts.norm_eps:
        switches.append(OUTPUT_NORM_EPS)
    elif facts.output_norm_eps != facts.norm_eps:
        raise UserError(f"output batch-norm eps {facts.output_norm_eps}: 1e-5 or {facts.norm_eps} can be reproduced")
    if any(key.endswith("accumulation_counter") for key in g.state):
        switches.append(BIASED_NORM)
    if facts.normalization != "batch":
        switches += [OUTPUT_NORM_BATCH, RUNNING_INSTANCE_NORM]
    return {
        "resolution": (bottom[0] << stages, bottom[1] << stages),
        "bottom": bottom,
        "channels": g.rows("output_layer.2.weight"),
        "classes": g.rows("shared.weight") if shared else g.rows(gain) if gain else 0,
        "latent_size": latent,
        "generator_width": _width(channels, FAMILIES["biggan"].generator_multipliers(stages)),
        "generator_channels": channels,
        "generator_depth": depth,
        "shared_embedding": embedding,
        "hierarchical_latent": hierarchical,
        "generator_attention": tuple(f"stage:{s}" for s, end in enumerate(ends) if g.attended(end)),
        "generator_spectral_norm": g.spectral_norm(facts.generator_power_iterations, facts.generator_spectral_eps),
        "normalization": facts.normalization,
        "condition_order": facts.condition_order,
        "compatibility": tuple(switches),
    }


def discriminator_values(d: Layout, facts: Facts, resolution: tuple[int, int] | None) -> dict[str, Any]:
    """Read the architecture of D off its keys and shapes."""
    outer = d.outer()
    depth = len(d.residual(0))
    last_conv = "conv4" if d.deep else "conv2"
    outputs = tuple(d.rows(f"blocks.{i}.{depth - 1 if d.deep else 0}.{last_conv}.weight") for i in outer)
    stem = (d.rows("input_conv.weight"),) if d.deep else ()
    family = FAMILIES["biggan-deep" if d.deep else "biggan"]
    if resolution is None:
        doublings = next(k for k in range(3, 9) if len(family.discriminator_plan(k)[1]) == len(outer))
        resolution = (4 << doublings, 4 << doublings)
    else:
        doublings = (resolution[0] // (facts.bottom or (4, 4))[0]).bit_length() - 1
    multipliers, pattern = family.discriminator_plan(doublings)
    if len(pattern) != len(outer):
        raise UserError(f"a discriminator of {len(outer)} stages does not belong to {resolution[0]}x{resolution[1]} px")
    image_key = "input_conv.weight" if d.deep else "blocks.0.0.conv1.weight"
    values: dict[str, Any] = {
        "resolution": resolution,
        "channels": d.columns(image_key),
        "classes": d.rows("embed.weight") if "embed.weight" in d.state else 0,
        "discriminator_width": _width((*stem, *outputs), multipliers),
        "discriminator_channels": (*stem, *outputs),
        "discriminator_depth": depth,
        "discriminator_downsampling": pattern,
        "discriminator_attention": tuple(f"stage:{i}" for i in outer if d.attended(i)),
        "discriminator_spectral_norm": d.spectral_norm(
            facts.discriminator_power_iterations, facts.discriminator_spectral_eps
        ),
        "inplace_activation": facts.inplace_activation,
    }
    if not d.deep:
        # Thin blocks keep their input's width between the convolutions; only a block that widens can tell.
        values["wide_discriminator"] = not any(
            d.rows(f"blocks.{i}.0.conv1.weight") == d.columns(f"blocks.{i}.0.conv1.weight") != width
            for i, width in zip(outer, outputs, strict=True)
        )
    return values


def _width(channels: tuple[int, ...], multipliers: tuple[int, ...]) -> int:
    """Return the width of which ``channels`` are the table's multiples; the first ratio where they are not."""
    return max(channels[-1] // multipliers[-1], 1) if len(channels) == len(multipliers) else max(channels[-1], 1)
