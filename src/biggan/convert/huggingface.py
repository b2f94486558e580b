"""pytorch-pretrained-BigGAN: DeepMind's BigGAN-deep generators, with statistics for 51 truncations.

It takes [latent, class]; the embedding is a dense layer of one-hot labels, so it lies transposed; the first layer's
output counts (height, width, channel); and the last convolution makes as many channels as it is given, of which the
first three are the image, *after* all were normalised together.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from biggan.convert.contract import STATISTICS, ForeignFamily, State
from biggan.convert.facts import COMMON, Facts
from biggan.convert.naming import as_scalars, entries, generator_depth, places, reformed
from biggan.convert.translation import TRANSPOSED, Entry, Translation, channels_first
from biggan.foundation.errors import UserError
from biggan.models.norm_records import TruncationBank

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-4,
    output_norm_eps=1e-4,
    generator_spectral_eps=1e-4,
    discriminator_spectral_eps=1e-4,
    condition_order="latent-class",
    image_channels=3,
)

_HEADS = {"embeddings": "class_embedding", "generator.gen_z": "linear", "generator.conv_to_rgb": "output_conv"}
_ATTENTION = {"snconv1x1_theta": "theta", "snconv1x1_phi": "phi", "snconv1x1_g": "g", "snconv1x1_o_conv": "o"}
_LAYER = re.compile(r"generator\.layers\.(\d{1,4})(?:\.(.+))?")


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of one of its networks."""
    return {"embeddings.weight", "generator.conv_to_rgb.weight_orig"} <= set(keys)


def generator(state: State, facts: Facts) -> Translation:
    """Return what G's tensors are called here."""
    kinds = {
        int(match[1]): "attention" if match[2].startswith("snconv") else "block"
        for key in state
        if (match := re.fullmatch(r"generator\.layers\.(\d{1,4})\.(conv_0|snconv1x1_theta)\.weight_orig", key))
    }
    blocks = [number for number in sorted(kinds) if kinds[number] == "block"]
    channels = [
        (
            state[f"generator.layers.{n}.conv_0.weight_orig"].shape[1],
            state[f"generator.layers.{n}.conv_3.weight_orig"].shape[0],
        )
        for n in blocks
    ]
    for inputs, outputs in channels:
        if outputs not in (inputs, inputs // 2):
            raise UserError(f"a block goes from {inputs} to {outputs} channels; its shortcut keeps all or one half")
    where = places(kinds, generator_depth(channels))

    def module_of(path: str) -> str | None:
        if path == "generator.bn":
            return "output_norm"
        match = _LAYER.fullmatch(path)
        if not match:
            return _HEADS.get(path)
        layer = _layer(match[2] or "")
        if layer is None or int(match[1]) not in where:
            return None
        stage, place = where[int(match[1])]
        return f"stages.{stage}.{place}{layer}"

    found = as_scalars(state, entries(state, module_of))
    for key in state:
        path, _, leaf = key.rpartition(".")
        module = module_of(path)
        if module is not None and leaf in ("running_means", "running_vars"):
            found.append(Entry(key, f"{STATISTICS}{module}.norm.{leaf.removesuffix('s')}"))
    rows = channels_first(*(facts.bottom or (4, 4)))
    along = channels_first(*(facts.bottom or (4, 4)), dim=1)
    return reformed(
        found,
        {
            "class_embedding.weight": TRANSPOSED,
            "linear.weight": rows,
            "linear.bias": rows,
            "linear.u": along,
        },
    )


def _layer(name: str) -> str | None:
    """Translate the path of a module inside a layer, with a point before it."""
    if name in _ATTENTION:
        return f".{_ATTENTION[name]}"
    match = re.fullmatch(r"(conv|bn)_([0-3])(?:\.(scale|offset))?", name)
    if not match:
        return "" if not name else None
    number = int(match[2]) + 1
    if match[1] == "conv":
        return f".conv{number}"
    return f".norm{number}" + {None: "", "scale": ".gain", "offset": ".bias"}[match[3]]


def facts_from_options(options: Mapping[str, Any]) -> Facts:
    """Return what its ``config.json`` says beyond the keys."""
    eps = options.get("eps")
    if eps is not None and not (type(eps) in (int, float) and 0 < eps < 1):
        raise UserError(f"option eps is {eps!a:.40}; a number from 0 to 1 is expected")
    layers = options.get("layers")
    if isinstance(layers, list):
        doubles = [bool(layer[0]) for layer in layers if isinstance(layer, list) and len(layer) == 3]
        ends = [place + 1 for place, double in enumerate(doubles) if double]
        if len(doubles) != len(layers) or not ends or any(end != ends[0] * (i + 1) for i, end in enumerate(ends)):
            raise UserError(f"option layers: the image must double at the end of stages of one length, not {ends}")
    return Facts(norm_eps=eps, output_norm_eps=eps, generator_spectral_eps=eps)


FAMILY = ForeignFamily(
    name="huggingface",
    title="pytorch-pretrained-BigGAN (huggingface/pytorch-pretrained-BigGAN)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda _: True,
    generator=generator,
    discriminator=None,
    kind=lambda _: "biggan-deep",
    facts_from_options=facts_from_options,
    bank=TruncationBank(
        truncations=(0.0, 1.0), kind="tfhub", batches=None, batch=None, compatibility="pytorch-pretrained-biggan"
    ),
    needed=frozenset({"image_channels"}),
)
