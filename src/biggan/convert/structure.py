"""The architecture of networks whose tensors already have our names: keys and shapes decide, facts say the rest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from biggan.convert.facts import Facts
from biggan.foundation.compatibility import BIASED_NORM, OUTPUT_NORM_BATCH, OUTPUT_NORM_EPS, RUNNING_INSTANCE_NORM
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import FAMILIES


class Named:
    """A state dict in our names, and questions about it."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state
        self.blocks: list[dict[int, str]] = []
        """By stage: what stands at each place, ``block`` or ``attention``."""
        for key in state:
            match = re.match(r"stages\.(\d{1,4})\.(\d{1,4})\.(conv1|gamma)\b", key)
            if match:
                stage = int(match[1])
                self.blocks += [{} for _ in range(stage + 1 - len(self.blocks))]
                self.blocks[stage][int(match[2])] = "attention" if match[3] == "gamma" else "block"
        if not self.blocks or not all("block" in stage.values() for stage in self.blocks):
            raise UserError("no residual blocks were found where this layout has them")
        self.deep = "stages.0.0.conv4.weight" in state
        self.last = "conv4" if self.deep else "conv2"

    def rows(self, key: str) -> int:
        """Return the first side of a tensor."""
        return self.state[key].shape[0]

    def columns(self, key: str) -> int:
        """Return the second side of a tensor."""
        return self.state[key].shape[1]

    @property
    def depth(self) -> int:
        """Residual blocks a stage."""
        depths = {sum(kind == "block" for kind in stage.values()) for stage in self.blocks}
        if len(depths) != 1:
            raise UserError(f"its stages have {' and '.join(map(str, sorted(depths)))} blocks; all must have as many")
        return depths.pop()

    @property
    def outputs(self) -> tuple[int, ...]:
        """Channels out of each stage."""
        depth = self.depth
        return tuple(self.rows(f"stages.{i}.{depth - 1}.{self.last}.weight") for i in range(len(self.blocks)))

    @property
    def attention(self) -> tuple[str, ...]:
        """The stages that attention follows."""
        return tuple(f"stage:{i}" for i, stage in enumerate(self.blocks) if "attention" in stage.values())

    def spectral_norm(self, iterations: int | None, eps: float | None) -> SpectralNorm:
        """Return how weights are normalised, where they are; the two numbers are what keys cannot tell."""
        layers = [key.removesuffix(".u") for key in self.state if key.endswith(".u")]
        if not layers:
            return SpectralNorm(enabled=False)
        stored = [layer for layer in layers if f"{layer}.v" in self.state]
        return SpectralNorm(
            singular_values=max(self.rows(f"{layer}.u") for layer in layers),
            iterations=iterations or 1,
            eps=eps or 1e-8,
            stored_vectors=("*",) if len(stored) == len(layers) else tuple(stored),
        )


def generator_values(state: Mapping[str, Tensor], facts: Facts) -> dict[str, Any]:
    """Read the architecture of G off its keys and shapes."""
    g = Named(state)
    stages = len(g.blocks)
    channels = (g.columns("stages.0.0.conv1.weight"), *g.outputs)
    bottom = facts.bottom or (4, 4)
    if g.rows("linear.weight") != channels[0] * bottom[0] * bottom[1]:
        raise UserError(
            f"the first linear layer has {g.rows('linear.weight')} rows, which is not {channels[0]} channels on a "
            f"{bottom[0]}x{bottom[1]} grid; state the bottom grid as a fact (--facts.bottom)"
        )
    shared = "class_embedding.weight" in state
    gain = "stages.0.0.norm1.gain.weight"
    conditional = gain in state
    embedding = g.columns("class_embedding.weight") if shared else 0
    condition = g.columns(gain) if conditional and shared else 0
    latent = g.columns("linear.weight")
    hierarchical = shared and condition > embedding
    if g.deep and hierarchical:
        latent = condition - embedding
    elif hierarchical:
        latent = latent * (stages + 1)
    classes = g.rows("class_embedding.weight") if shared else 0
    if conditional and not shared:
        classes = g.columns(gain) if facts.dense_class_tables else g.rows(gain)
    outputs = g.rows("output_conv.weight")
    image_channels = min(facts.image_channels or outputs, outputs)
    switches = []
    if facts.output_norm_eps == 1e-5 != facts.norm_eps:
        switches.append(OUTPUT_NORM_EPS)
    elif facts.output_norm_eps != facts.norm_eps:
        raise UserError(f"output batch-norm eps {facts.output_norm_eps}: 1e-5 or {facts.norm_eps} can be reproduced")
    if facts.biased_norm:
        switches.append(BIASED_NORM)
    if facts.normalization != "batch":
        switches += [OUTPUT_NORM_BATCH, RUNNING_INSTANCE_NORM]
    return {
        "resolution": (bottom[0] << stages, bottom[1] << stages),
        "bottom": bottom,
        "channels": image_channels,
        "output_width": None if image_channels == outputs else outputs,
        "classes": classes,
        "latent_size": latent,
        "generator_width": _width(channels, FAMILIES["biggan"].generator_multipliers(stages)),
        "generator_channels": channels,
        "generator_depth": g.depth,
        "shared_embedding": embedding,
        "hierarchical_latent": hierarchical,
        "generator_attention": g.attention,
        "generator_spectral_norm": g.spectral_norm(facts.generator_power_iterations, facts.generator_spectral_eps),
        "spectral_norm_class_tables": not shared and "stages.0.0.norm1.gain.u" in state,
        "dense_class_tables": bool(facts.dense_class_tables) and conditional and not shared,
        "gain_centre": 1.0 if facts.gain_centre is None else facts.gain_centre,
        "learned_shortcuts": g.deep and "stages.0.0.shortcut.weight" in state,
        "normalization": facts.normalization,
        "condition_order": facts.condition_order,
        "upsampling": facts.upsampling,
        "compatibility": tuple(switches),
    }


def discriminator_values(
    state: Mapping[str, Tensor], facts: Facts, kind: str, resolution: tuple[int, int] | None
) -> dict[str, Any]:
    """Read the architecture of D off its keys and shapes.

    Args:
        state: tensors in our names.
        facts: what they cannot tell.
        kind: the family, whose table says which stages halve.
        resolution: that of G; None if there is no G.
    """
    d = Named(state)
    outputs = d.outputs
    stem = (d.rows("stem.weight"),) if d.deep else ()
    family = FAMILIES[kind]
    if resolution is None:
        doublings = next((k for k in range(3, 9) if len(family.discriminator_plan(k)[1]) == len(outputs)), 0)
        resolution = (4 << doublings, 4 << doublings)
    else:
        doublings = (resolution[0] // (facts.bottom or (4, 4))[0]).bit_length() - 1
    multipliers, pattern = family.discriminator_plan(doublings) if 1 <= doublings <= 8 else ((), ())
    pattern = facts.discriminator_downsampling or pattern
    if len(pattern) != len(outputs):
        size = f"{resolution[0]}x{resolution[1]}"
        raise UserError(f"a discriminator of {len(outputs)} stages does not belong to {size} px")
    values: dict[str, Any] = {
        "resolution": resolution,
        "channels": d.columns("stem.weight" if d.deep else "stages.0.0.conv1.weight"),
        "classes": d.rows("head.class_embedding.weight") if "head.class_embedding.weight" in state else 0,
        "discriminator_width": _width((*stem, *outputs), multipliers),
        "discriminator_channels": (*stem, *outputs),
        "discriminator_depth": d.depth,
        "discriminator_downsampling": pattern,
        "discriminator_attention": d.attention,
        "discriminator_spectral_norm": d.spectral_norm(
            facts.discriminator_power_iterations, facts.discriminator_spectral_eps
        ),
        "inplace_activation": facts.inplace_activation,
        "identity_shortcuts": d.deep or facts.identity_shortcuts,
        "discriminator_range": facts.discriminator_range,
    }
    if d.deep:
        values["learned_shortcuts"] = "stages.0.0.shortcut.weight" in state
    else:
        # Thin blocks keep their input's width between the convolutions; only a block that widens can tell.
        first = [f"stages.{i}.0.conv1.weight" for i in range(len(outputs))]
        values["wide_discriminator"] = not any(
            d.rows(key) == d.columns(key) != width for key, width in zip(first, outputs, strict=True)
        )
    return values


def architecture_of(
    kind: str, generator: Mapping[str, Tensor] | None, discriminator: Mapping[str, Tensor] | None, facts: Facts
) -> Architecture:
    """Return the architecture of tensors in our names; the half without tensors is the family's custom.

    Args:
        kind: the family of architectures.
        generator: G's tensors, or None.
        discriminator: D's tensors, or None.
        facts: what they cannot tell, all settled.

    Raises:
        UserError: keys or shapes that do not fit together.
    """
    values: dict[str, Any] = {"norm_eps": facts.norm_eps, "channel_order": facts.channel_order}
    customs = dict(FAMILIES[kind].customs)
    try:
        if generator is not None:
            values |= generator_values(generator, facts)
        else:
            customs |= {"generator_attention": (), "hierarchical_latent": False, "shared_embedding": 0}
        if discriminator is not None:
            found = discriminator_values(discriminator, facts, kind, values.get("resolution"))
            _agree(values, found)
            values |= found
        else:
            customs |= {"discriminator_attention": ()}
            customs |= {"discriminator_width": values["generator_width"]}
            customs |= {"discriminator_depth": values["generator_depth"]}
    except KeyError as error:
        raise UserError(f"these are not the weights of such a network: there is no entry for {error}") from error
    except (IndexError, RuntimeError) as error:
        raise UserError(f"these are not the weights of such a network: shapes do not fit together ({error})") from error
    return Architecture(family=kind, **{**customs, **values})


def _agree(generator: Mapping[str, Any], discriminator: Mapping[str, Any]) -> None:
    for name in ("channels", "classes"):
        one, other = generator.get(name, discriminator[name]), discriminator[name]
        if one != other:
            raise UserError(f"the generator has {one} {name}, the discriminator {other}: they are not a pair")


def _width(channels: tuple[int, ...], multipliers: tuple[int, ...]) -> int:
    """Return the width of which ``channels`` are the table's multiples; the first ratio where they are not."""
    return max(channels[-1] // multipliers[-1], 1) if len(channels) == len(multipliers) else max(channels[-1], 1)
