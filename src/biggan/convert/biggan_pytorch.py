"""State dicts of BigGAN-PyTorch (BigGAN and BigGAN-deep) to ours and back.

Keys and shapes decide structure. The layout: ``shared``, ``linear``, ``blocks.N.M`` (M 0 is the residual block, the
last may be attention; BigGAN-deep's G numbers all its blocks through), ``output_layer.0`` norm and ``.2``
convolution; D has ``input_conv`` (deep), ``blocks``, ``linear``, ``embed``. A spectrally normalised layer has ``u0``
[1, out], ``sv0`` [1], and more of both for more singular values; an embedding's u has one entry a class. Conditional
norms keep ``stored_mean``, ``stored_var`` beside gain and bias, or in a child ``bn`` (with ``accumulation_counter``
for the kind that can accumulate, as ``running_mean`` for the synchronised kind).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from biggan.convert.facts import Facts, settle
from biggan.foundation.compatibility import (
    BIASED_NORM,
    OUTPUT_NORM_BATCH,
    OUTPUT_NORM_EPS,
    RUNNING_INSTANCE_NORM,
)
from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import FAMILIES

DEFAULTS = Facts(
    norm_eps=1e-5,
    output_norm_eps=1e-5,  # the option for the others never reaches it
    generator_spectral_eps=1e-8,
    discriminator_spectral_eps=1e-8,
    generator_power_iterations=1,
    discriminator_power_iterations=1,
    normalization="batch",
    activation="relu",
    # The pre-activation is out of place whatever is asked for, so the option never reaches the shortcut.
    inplace_activation=False,
    channel_order="rgb",
    bottom=(4, 4),
    condition_order="class-latent",
)
"""The parser's defaults. The launch scripts of the 128 px BigGANs use spectral-norm eps 1e-6."""

_NORMALIZATIONS = {"bn": "batch", "in": "instance", "nonorm": "none"}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Foreign weights in our terms."""

    architecture: Architecture
    generator: dict[str, Tensor] | None
    discriminator: dict[str, Tensor] | None
    assumed: tuple[str, ...]
    """A sentence for each fact that was assumed."""


def facts_from_options(options: Mapping[str, Any]) -> Facts:
    """Return what the options of a run (its stored configuration, or a command line's) say beyond the keys."""
    style = str(options.get("norm_style", "bn"))
    if style not in _NORMALIZATIONS:
        raise UserError(f"norm_style '{style}' does not work in BigGAN-PyTorch; it is one of bn, in, nonorm")
    bottom = _count(options, "bottom_width")
    return Facts(
        norm_eps=_eps(options, "BN_eps"),
        generator_spectral_eps=_eps(options, "SN_eps"),
        discriminator_spectral_eps=_eps(options, "SN_eps"),
        generator_power_iterations=_count(options, "num_G_SV_itrs"),
        discriminator_power_iterations=_count(options, "num_D_SV_itrs"),
        normalization=_NORMALIZATIONS[style] if "norm_style" in options else None,
        activation="relu" if "G_nl" in options or "D_nl" in options else None,
        bottom=None if bottom is None else (bottom, bottom),
    )


def _eps(options: Mapping[str, Any], name: str) -> float | None:
    value = options.get(name)
    if value is None or (type(value) in (int, float) and 0 <= value < 1):
        return value
    raise UserError(f"option {name} is {value!a:.40}; a number from 0 to 1 is expected")


def _count(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None or (type(value) is int and 1 <= value <= 64):
        return value
    raise UserError(f"option {name} is {value!a:.40}; a whole number from 1 to 64 is expected")


def import_states(
    generator: Mapping[str, Tensor] | None,
    discriminator: Mapping[str, Tensor] | None = None,
    facts: Facts | None = None,
) -> Imported:
    """Convert a generator's or a discriminator's state dict, or those of a pair.

    Args:
        generator: state dict of G (or of its moving average), or None.
        discriminator: state dict of D, or None; its half of the architecture then is the family's custom.
        facts: what the keys cannot tell; what is None is assumed, and listed in the result.

    Raises:
        UserError: keys or shapes that are not of this layout.
    """
    if generator is None and discriminator is None:
        raise UserError("nothing to import: give a generator's or a discriminator's state dict")
    needed = {"activation", "inplace_activation", "channel_order"}
    if generator is not None:
        needed |= {"bottom"}
        if any(".bn1." in key for key in generator) and "blocks.0.0.bn1.bn.running_mean" not in generator:
            needed |= {"normalization"}
        if any(key.endswith(("_mean", "_var")) for key in generator):
            needed |= {"norm_eps"}
        if "linear.u0" in generator:
            needed |= {"generator_spectral_eps", "generator_power_iterations"}
    if discriminator is not None and "linear.u0" in discriminator:
        needed |= {"discriminator_spectral_eps", "discriminator_power_iterations"}
    settled, assumed = settle(facts or Facts(), DEFAULTS, needed)
    values: dict[str, Any] = {"norm_eps": settled.norm_eps, "channel_order": settled.channel_order}
    g = d = None
    try:
        if generator is not None:
            g = _Layout(generator)
            values |= _generator_values(g, settled)
            if values["hierarchical_latent"] and (facts is None or facts.condition_order is None):
                assumed.append(f"assumed condition order {settled.condition_order}")
        if discriminator is not None:
            d = _Layout(discriminator)
            values |= _discriminator_values(d, settled, values.get("resolution"))
        if g is not None and d is not None and g.deep != d.deep:
            raise UserError("the generator and the discriminator are of different families")
        kind = "biggan-deep" if (g or d).deep else "biggan"  # type: ignore[union-attr]
        architecture = Architecture(family=kind, **_complete(kind, values, g, d))
        return Imported(
            architecture=architecture,
            generator=g.generator_tensors(architecture) if g else None,
            discriminator=d.discriminator_tensors(architecture) if d else None,
            assumed=tuple(assumed),
        )
    except KeyError as error:
        raise UserError(f"not a BigGAN-PyTorch state dict: no entry {error}") from error


def _complete(kind: str, values: dict[str, Any], g: _Layout | None, d: _Layout | None) -> dict[str, Any]:
    """Fill in the half of the architecture for which no weights were given."""
    customs = dict(FAMILIES[kind].customs)
    if g is None:
        customs |= {"generator_attention": (), "hierarchical_latent": False, "shared_embedding": 0}
    if d is None:
        customs |= {"discriminator_attention": ()}
        customs |= {
            "discriminator_width": values["generator_width"],
            "discriminator_depth": values["generator_depth"],
        }
    return {**customs, **values}


class _Layout:
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
        return self.state[key].shape[0]

    def columns(self, key: str) -> int:
        return self.state[key].shape[1]

    def outer(self) -> list[int]:
        """The first numbers of the blocks, in order."""
        return sorted({first for first, _ in self.blocks})

    def residual(self, first: int) -> list[int]:
        """The second numbers under ``first`` that are residual blocks."""
        return sorted(second for (one, second), kind in self.blocks.items() if one == first and kind == "block")

    def attended(self, first: int) -> bool:
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
        if not self.spectral:
            return SpectralNorm(enabled=False)
        return SpectralNorm(singular_values=self.singular_values, iterations=iterations or 1, eps=eps or 1e-8)

    # -- names ---------------------------------------------------------------------------------------------------

    def generator_tensors(self, architecture: Architecture) -> dict[str, Tensor]:
        """Return the state in our names."""
        return _merge_vectors(_rename(self.state, generator_names(architecture, self.state)))

    def discriminator_tensors(self, architecture: Architecture) -> dict[str, Tensor]:
        """Return the state in our names."""
        return _merge_vectors(_rename(self.state, discriminator_names(architecture, self.state)))


def _generator_values(g: _Layout, facts: Facts) -> dict[str, Any]:
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


def _discriminator_values(d: _Layout, facts: Facts, resolution: tuple[int, int] | None) -> dict[str, Any]:
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


# -- names: patterns of theirs -> ours ---------------------------------------------------------------------------


_GENERATOR_HEADS = {"shared": "class_embedding", "linear": "linear"}


def generator_names(architecture: Architecture, keys: Mapping[str, Any]) -> dict[str, str]:
    """Return {their name: our name} for every entry of G's state dict but the accumulation counters."""
    depth = architecture.generator_depth
    flat = architecture.family == "biggan-deep"
    names = {}
    for key in keys:
        if key.endswith("accumulation_counter"):
            continue
        match = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", key)
        if match:
            first, second, rest = int(match[1]), int(match[2]), match[3]
            stage, position = divmod(first, depth) if flat else (first, 0)
            names[key] = f"stages.{stage}.{position + second}.{_layer_name(rest)}"
        else:
            head, _, rest = key.partition(".")
            if head == "output_layer":
                number, _, rest = rest.partition(".")
                ours = "output_norm" if number == "0" else "output_conv"
                names[key] = f"{ours}.{_norm_name(rest)}" if number == "0" else f"{ours}.{rest}"
            else:
                names[key] = f"{_GENERATOR_HEADS[head]}.{rest}"
    return names


def discriminator_names(architecture: Architecture, keys: Mapping[str, Any]) -> dict[str, str]:
    """Return {their name: our name} for every entry of D's state dict."""
    shortcut = "added" if architecture.family == "biggan-deep" else "shortcut"
    heads = {"input_conv": "stem", "linear": "head.linear", "embed": "head.class_embedding"}
    names = {}
    for key in keys:
        match = re.fullmatch(r"blocks\.(\d+)\.(\d+)\.(.+)", key)
        if match:
            names[key] = f"stages.{match[1]}.{match[2]}.{match[3].replace('conv_sc', shortcut)}"
        else:
            head, _, rest = key.partition(".")
            names[key] = f"{heads[head]}.{rest}"
    return names


def _layer_name(name: str) -> str:
    """Translate the name of a tensor inside a block of G."""
    match = re.fullmatch(r"bn(\d)\.(.+)", name)
    if match:
        return f"norm{match[1]}.{_norm_name(match[2])}"
    return name.replace("conv_sc", "shortcut")


def _norm_name(name: str) -> str:
    """Translate the name of a tensor inside a normalisation."""
    match = re.fullmatch(r"(?:bn\.)?(?:stored|running)_(mean|var)", name)
    return f"norm.running_{match[1]}" if match else name


def _rename(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    return {names[key]: tensor for key, tensor in state.items() if key in names}


_VECTOR = re.compile(r"(.*\.)?(u|sv)(\d+)")


def _merge_vectors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Stack u0, u1, ... [1, n] into u [k, n] and sv0, sv1, ... [1] into sigma [k]."""
    merged: dict[str, Tensor] = {}
    vectors: dict[str, dict[int, Tensor]] = {}
    for key, tensor in state.items():
        match = _VECTOR.fullmatch(key)
        if match:
            name = f"{match[1] or ''}{'u' if match[2] == 'u' else 'sigma'}"
            vectors.setdefault(name, {})[int(match[3])] = tensor
        else:
            merged[key] = tensor
    for name, parts in vectors.items():
        merged[name] = torch.cat([parts[i] for i in sorted(parts)])
    return merged


def export_entry(names: Mapping[str, str], ours: Mapping[str, Tensor], key: str) -> Tensor:
    """Return the entry ``key`` of their state dict from ``ours``, in their shape.

    Args:
        names: from :func:`generator_names` or :func:`discriminator_names`.
        ours: tensors in our names (a state dict, gradients, moments).
        key: their name.
    """
    match = _VECTOR.fullmatch(key)
    if not match:
        return ours[names[key]]
    prefix = names[key].rpartition(".")[0]
    stacked = ours[f"{prefix}.{'u' if match[2] == 'u' else 'sigma'}"]
    return stacked[int(match[3]) : int(match[3]) + 1]
