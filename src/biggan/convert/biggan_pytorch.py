"""BigGAN-PyTorch: BigGAN, BigGAN-deep, and the SAGAN and SNGAN of its launch scripts.

The layout: ``shared``, ``linear``, ``blocks.N.M`` (M 0 is the residual block, the last may be attention; BigGAN-deep's
G numbers all its blocks through), ``output_layer.0`` norm and ``.2`` convolution; D has ``input_conv`` (deep),
``blocks``, ``linear``, ``embed``. A spectrally normalised layer has ``u0`` [1, out], ``sv0`` [1], and more of both for
more singular values; an embedding's u has one entry a class. Conditional norms keep ``stored_mean``, ``stored_var``
beside gain and bias, or in a child ``bn`` (with ``accumulation_counter`` for the kind that can accumulate, as
``running_mean`` for the synchronised kind).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from biggan.convert.contract import ForeignFamily, Imported, State, import_networks
from biggan.convert.facts import COMMON, Facts
from biggan.convert.naming import as_scalars, entries, generator_depth
from biggan.convert.translation import Translation
from biggan.foundation.errors import UserError

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-5,
    output_norm_eps=1e-5,  # the option for the others never reaches it
    generator_spectral_eps=1e-8,
    discriminator_spectral_eps=1e-8,
    # Not in place: the pre-activation is out of place whatever is asked for, so the option never reaches the shortcut.
)
"""The parser's defaults. The launch scripts of the 128 px BigGANs use spectral-norm eps 1e-6."""

_NORMALIZATIONS: dict[str, Literal["batch", "instance", "none"]] = {"bn": "batch", "in": "instance", "nonorm": "none"}
_GENERATOR_HEADS = {"shared": "class_embedding", "linear": "linear", "output_layer.0": "output_norm"}
_GENERATOR_HEADS |= {"output_layer.0.bn": "output_norm", "output_layer.2": "output_conv"}
_DISCRIMINATOR_HEADS = {"input_conv": "stem", "linear": "head.linear", "embed": "head.class_embedding"}
_BLOCK = re.compile(r"blocks\.(\d{1,4})\.(\d{1,4})(?:\.(.+))?")


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of one of its networks."""
    return {"blocks.0.0.conv1.weight", "linear.weight"} <= set(keys)


def generator(state: State, _: Facts) -> Translation:
    """Return what G's tensors are called here."""
    _refuse_instances(state)
    depth = _depth(state)

    def module_of(path: str) -> str | None:
        match = _BLOCK.fullmatch(path)
        if not match:
            return _GENERATOR_HEADS.get(path)
        stage, place = divmod(int(match[1]), depth)
        layer = _layer(match[3] or "")
        return f"stages.{stage}.{place + int(match[2])}" + (f".{layer}" if layer else "")

    return Translation(as_scalars(state, entries(state, module_of)))


def discriminator(state: State, _: Facts) -> Translation:
    """Return what D's tensors are called here."""
    _refuse_instances(state)
    shortcut = "added" if "blocks.0.0.conv4.weight" in state else "shortcut"

    def module_of(path: str) -> str | None:
        match = _BLOCK.fullmatch(path)
        if not match:
            return _DISCRIMINATOR_HEADS.get(path)
        layer = (match[3] or "").replace("conv_sc", shortcut)
        return f"stages.{match[1]}.{match[2]}" + (f".{layer}" if layer else "")

    return Translation(as_scalars(state, entries(state, module_of)))


def _refuse_instances(state: State) -> None:
    if found := next((key for key in state if key.startswith(("shared_feat.", "linear_feat."))), None):
        raise UserError(
            f"'{found}': this network is conditioned on features of images (an instance-conditioned IC-GAN), which has "
            "no counterpart here; those conditioned on classes alone can be converted"
        )


def _depth(state: State) -> int:
    """Return the blocks a stage of G: those of BigGAN-deep are numbered through."""
    if "blocks.0.0.conv4.weight" not in state:
        return 1
    numbers = sorted({int(m[1]) for key in state if (m := re.match(r"blocks\.(\d{1,4})\.0\.conv4\.weight", key))})
    return generator_depth(
        [(state[f"blocks.{n}.0.conv1.weight"].shape[1], state[f"blocks.{n}.0.conv4.weight"].shape[0]) for n in numbers]
    )


def _layer(name: str) -> str:
    """Translate the path of a module inside a block of G."""
    match = re.fullmatch(r"bn(\d)(?:\.(.+))?", name)
    if match:
        inner = "" if match[2] in (None, "bn") else f".{match[2]}"
        return f"norm{match[1]}{inner}"
    return name.replace("conv_sc", "shortcut")


def kind(state: State) -> str:
    """Return the family of architectures."""
    return "biggan-deep" if "blocks.0.0.conv4.weight" in state else "biggan"


def facts_from_keys(state: State) -> Facts:
    """Return what G's keys say about its normalisation."""
    return Facts(
        biased_norm=any(key.endswith("accumulation_counter") for key in state),
        normalization="batch" if "blocks.0.0.bn1.bn.running_mean" in state else None,
    )


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


FAMILY = ForeignFamily(
    name="biggan-pytorch",
    title="BigGAN-PyTorch (ajbrock/BigGAN-PyTorch)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda keys: any(key.startswith("output_layer.") for key in keys),
    generator=generator,
    discriminator=discriminator,
    kind=kind,
    facts_from_options=facts_from_options,
    facts_from_keys=facts_from_keys,
    needed=frozenset({"normalization"}),
)


def import_states(generator: State | None, discriminator: State | None = None, facts: Facts | None = None) -> Imported:
    """Convert state dicts of BigGAN-PyTorch; see :func:`biggan.convert.contract.import_networks`."""
    return import_networks(FAMILY, generator, discriminator, facts)
