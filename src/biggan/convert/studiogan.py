"""PyTorch-StudioGAN: ``big_resnet``, both deep variants, and ``resnet`` (SNGAN, SAGAN).

Every module of the flat ``blocks`` is alone in a list of its own, attention included. Class-conditional norms are dense
layers of the embedding, or of one-hot labels (``resnet``). D's activation works in place.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from biggan.convert.contract import ForeignFamily, State
from biggan.convert.facts import COMMON, Facts
from biggan.convert.naming import as_scalars, discriminator_depth, entries, generator_depth, places, side
from biggan.convert.translation import SCALAR, Entry, Translation
from biggan.foundation.errors import UserError

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-4,
    output_norm_eps=1e-4,
    generator_spectral_eps=1e-6,
    discriminator_spectral_eps=1e-6,
    inplace_activation=True,
    gain_centre=1.0,
    dense_class_tables=True,
)

_GENERATOR_HEADS = {"linear0": "linear", "shared": "class_embedding", "bn4": "output_norm", "conv2d5": "output_conv"}
_DISCRIMINATOR_HEADS = {"linear1": "head.linear", "embedding": "head.class_embedding", "input_conv": "stem"}
_ATTENTION = {"conv1x1_theta": "theta", "conv1x1_phi": "phi", "conv1x1_g": "g", "conv1x1_attn": "o"}
_BLOCK = re.compile(r"blocks\.(\d{1,4})\.0(?:\.(.+))?")


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of one of its networks."""
    return any(key.startswith(("blocks.0.0.conv2d1.",)) for key in keys)


def generator(state: State, _: Facts) -> Translation:
    """Return what G's tensors are called here."""
    kinds = _kinds(state)
    return _translation(state, kinds, _depth(state, kinds, generator_depth), _GENERATOR_HEADS, "shortcut")


def discriminator(state: State, _: Facts) -> Translation:
    """Return what D's tensors are called here."""
    kinds = _kinds(state)
    # The older deep variant concatenates: its convolution makes only the channels that are added.
    made, needed = side(state, "blocks.0.0.conv2d0", 0), side(state, "blocks.0.0.conv2d4", 0)
    shortcut = "added" if made < needed else "shortcut"
    return _translation(state, kinds, _depth(state, kinds, discriminator_depth), _DISCRIMINATOR_HEADS, shortcut)


def _translation(
    state: State, kinds: Mapping[int, str], depth: int, heads: Mapping[str, str], shortcut: str
) -> Translation:
    where = places(kinds, depth)

    def module_of(path: str) -> str | None:
        match = _BLOCK.fullmatch(path)
        if not match:
            return heads.get(path)
        stage, place = where[int(match[1])]
        layer = _layer(match[2] or "", shortcut)
        return None if layer is None else f"stages.{stage}.{place}{layer}"

    found = as_scalars(state, entries(state, module_of))
    for number, of in kinds.items():
        if of == "attention":
            stage, place = where[number]
            found.append(Entry(f"blocks.{number}.0.sigma", f"stages.{stage}.{place}.gamma", SCALAR))
    return Translation(found)


def _layer(name: str, shortcut: str) -> str | None:
    """Translate the path of a module inside a block, with a point before it."""
    if name in _ATTENTION:
        return f".{_ATTENTION[name]}"
    match = re.fullmatch(r"bn(\d)(?:\.(\w+))?", name)
    if match:
        return f".norm{match[1]}" + ("" if match[2] in (None, "bn") else f".{match[2]}")
    match = re.fullmatch(r"conv2d([1-4])", name)
    if match:
        return f".conv{match[1]}"
    return {"": "", "conv2d0": f".{shortcut}"}.get(name)


def _kinds(state: State) -> dict[int, str]:
    kinds = {}
    for key in state:
        match = re.match(r"blocks\.(\d{1,4})\.0\.(conv2d1|sigma)\b", key)
        if match:
            kinds[int(match[1])] = "attention" if match[2] == "sigma" else "block"
    return kinds


def _depth(state: State, kinds: Mapping[int, str], rule: Callable[[list[tuple[int, int]]], int]) -> int:
    """Return the blocks a stage; those of the deep variants are numbered through."""
    blocks = [number for number in sorted(kinds) if kinds[number] == "block"]
    if "blocks.0.0.conv2d4.bias" not in state:
        return 1
    return rule([(side(state, f"blocks.{n}.0.conv2d1", 1), side(state, f"blocks.{n}.0.conv2d4", 0)) for n in blocks])


def kind(state: State) -> str:
    """Return the family of architectures."""
    return "biggan-deep" if "blocks.0.0.conv2d4.bias" in state else "biggan"


def facts_from_options(options: Mapping[str, Any]) -> Facts:
    """Return what a configuration says beyond the keys: nothing that is not the same in all of them."""
    for name, works in (("g_act_fn", "ReLU"), ("d_act_fn", "ReLU")):
        if options.get(name, works) != works:
            raise UserError(f"{name} '{options[name]!s:.40}': only {works} can be reproduced")
    return Facts(activation="relu" if "g_act_fn" in options else None)


FAMILY = ForeignFamily(
    name="studiogan",
    title="PyTorch-StudioGAN (POSTECH-CVLab/PyTorch-StudioGAN)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda keys: any(key.startswith("linear0.") for key in keys),
    generator=generator,
    discriminator=discriminator,
    kind=kind,
    facts_from_options=facts_from_options,
)
