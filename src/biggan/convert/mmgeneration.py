"""mmgeneration: BigGAN, BigGAN-deep, SAGAN and SNGAN with projection, by either of its two spectral norms.

Attention has a number of its own in the flat ``conv_blocks``; convolutions hide in a child ``conv``. BigGAN-deep takes
[latent, class], and its first layer's output counts (height, width, channel). Images are BGR, as its loader reads them;
a generator whose weights make RGB has ``rgb2bgr`` set and turns its output around. The inputs of such a generator's D
change places here, so that both networks of an architecture have one order of colours.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from biggan.convert.contract import ForeignFamily, State
from biggan.convert.facts import COMMON, Facts
from biggan.convert.naming import as_scalars, discriminator_depth, entries, generator_depth, places, reformed, side
from biggan.convert.translation import Form, Translation, channels_first
from biggan.foundation.errors import UserError

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-5,
    output_norm_eps=1e-5,
    generator_spectral_eps=1e-6,
    discriminator_spectral_eps=1e-6,
    inplace_activation=True,  # the configurations for ImageNet; that for CIFAR-10 is not in place
    channel_order="bgr",
    gain_centre=1.0,
)
"""Of the published BigGANs. Weights that were converted for it (their names begin with cvt) make RGB."""

_GENERATOR_HEADS = {
    "noise2feat": "linear",
    "shared_embedding": "class_embedding",
    "output_layer.bn": "output_norm",
    "output_layer.conv": "output_conv",
    "to_rgb.bn": "output_norm",
    "to_rgb.conv": "output_conv",
}
_DISCRIMINATOR_HEADS = {"decision": "head.linear", "proj_y": "head.class_embedding", "input_conv.conv": "stem"}
_NORMS = {
    "gain": ".gain",
    "bias": ".bias",
    "bn": "",
    "weight_embedding": ".gain",
    "bias_embedding": ".bias",
    "norm": "",
}
_BLOCK = re.compile(r"conv_blocks\.(\d{1,4})(?:\.(.+))?")
_IN_PLACE = {"ProjDiscriminator": False, "BigGANDiscriminator": False, "BigGANDeepDiscriminator": True}
"""Whether an activation that is configured without a word on it works in place: convolution modules' does."""


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of one of its networks."""
    return any(key.startswith("conv_blocks.0.") for key in keys) and any(
        key.startswith(("noise2feat.", "decision.")) for key in keys
    )


def generator(state: State, facts: Facts) -> Translation:
    """Return what G's tensors are called here."""
    kinds = _kinds(state)
    blocks = [number for number in sorted(kinds) if kinds[number] == "block"]
    deep = side(state, f"conv_blocks.{blocks[0]}.conv4.conv", 0) > 0
    depth = generator_depth(_channels(state, blocks)) if deep else 1
    found = entries(state, _in_blocks(places(kinds, depth), _GENERATOR_HEADS, "shortcut", 0))
    forms: dict[str, Form] = {}
    if deep:
        grid = facts.bottom or (4, 4)
        rows = channels_first(*grid)
        forms |= {"linear.weight": rows, "linear.bias": rows, "linear.u": channels_first(*grid, dim=1)}
    return reformed(as_scalars(state, found), forms)


def discriminator(state: State, facts: Facts) -> Translation:
    """Return what D's tensors are called here."""
    kinds = _kinds(state)
    deep = "input_conv.conv.bias" in state
    shift = int(any(key.startswith("from_rgb.") for key in state))
    depth = 1
    if deep:
        blocks = [number for number in sorted(kinds) if kinds[number] == "block"]
        depth = discriminator_depth(_channels(state, blocks))
    if shift:  # the first block has a name of its own
        kinds = {-1: "block", **kinds}
    shortcut = "added" if deep else "shortcut"
    found = entries(state, _in_blocks(places(kinds, depth), _DISCRIMINATOR_HEADS, shortcut, shift))
    forms: dict[str, Form] = {}
    first = ("stem",) if deep else ("stages.0.0.conv1", "stages.0.0.shortcut")
    for layer in first if facts.channel_order == "rgb" else ():
        forms |= {f"{layer}.weight": _FLIPPED_INPUTS}
        weight = next((entry.theirs for entry in found if entry.ours == f"{layer}.weight"), None)
        if weight is not None:
            forms[f"{layer}.v"] = _flipped_columns(state[weight].shape[1])
    return reformed(as_scalars(state, found), forms)


_FLIPPED_INPUTS = Form(lambda x: x.flip(1), lambda x: x.flip(1))


def _flipped_columns(channels: int) -> Form:
    """Return the change of right vectors [1, channels * h * w] by which their channels are turned around."""

    def flip(x: Tensor) -> Tensor:
        return x.reshape(len(x), channels, -1).flip(1).reshape(x.shape)

    return Form(flip, flip)


def _in_blocks(
    where: Mapping[int, tuple[int, int]], heads: Mapping[str, str], shortcut: str, shift: int
) -> Callable[[str], str | None]:
    """Return the function from the paths of their modules to ours."""

    def module_of(path: str) -> str | None:
        if path in heads:
            return heads[path]
        match = _BLOCK.fullmatch(path)
        if match:
            number, rest = int(match[1]), match[2] or ""
        elif shift and path.startswith("from_rgb."):
            number, rest = -1, path.removeprefix("from_rgb.")
        else:
            return None
        if number not in where:
            return None
        layer = _layer(rest, shortcut)
        stage, place = where[number]
        return None if layer is None else f"stages.{stage}.{place}{layer}"

    return module_of


def _layer(name: str, shortcut: str) -> str | None:
    """Translate the path of a module inside a block, with a point before it."""
    name = name.removesuffix(".conv")
    match = re.fullmatch(r"(?:bn|norm_)(\d)\.(\w+)", name)
    if match:
        return f".norm{match[1]}{_NORMS[match[2]]}" if match[2] in _NORMS else None
    match = re.fullmatch(r"conv_?(\d)", name)
    if match:
        return f".conv{match[1]}"
    if name in ("theta", "phi", "g", "o"):
        return f".{name}"
    return {"": "", "shortcut": f".{shortcut}"}.get(name)


def _kinds(state: State) -> dict[int, str]:
    """Return what each number of ``conv_blocks`` is."""
    kinds: dict[int, str] = {}
    for key in state:
        match = _BLOCK.match(key)
        if match:
            number = int(match[1])
            attention = key == f"conv_blocks.{number}.gamma"
            kinds[number] = "attention" if attention or kinds.get(number) == "attention" else "block"
    if "block" not in kinds.values():
        raise UserError("there is no residual block under conv_blocks")
    return kinds


def _channels(state: State, blocks: Sequence[int]) -> list[tuple[int, int]]:
    """Return the channels into and out of BigGAN-deep's blocks."""
    return [
        (side(state, f"conv_blocks.{n}.conv1.conv", 1), side(state, f"conv_blocks.{n}.conv4.conv", 0)) for n in blocks
    ]


def kind(state: State) -> str:
    """Return the family of architectures."""
    if any(side(state, f"conv_blocks.{number}.conv4.conv", 0) for number in (0, 1)):
        return "biggan-deep"
    return "sagan" if any(key.startswith(("to_rgb.", "from_rgb.")) for key in state) else "biggan"


def facts_from_keys(state: State) -> Facts:
    """Return what G's keys say: BigGAN-deep conditions by [latent, class], SAGAN and SNGAN have an eps of their own."""
    deep = any(re.fullmatch(r"conv_blocks\.0\.conv4\.conv\.weight(_orig)?", key) for key in state)
    projection = any(key.startswith("to_rgb.") for key in state)
    return Facts(
        condition_order="latent-class" if deep else None,
        norm_eps=1e-4 if projection else None,
        output_norm_eps=1e-4 if projection else None,
    )


def facts_from_options(options: Mapping[str, Any]) -> Facts:
    """Return what a configuration (``generator`` and ``discriminator``, as in its files) says beyond the keys."""
    g, d = options.get("generator") or {}, options.get("discriminator") or {}
    init = (g.get("init_cfg") or {}).get("type") if isinstance(g.get("init_cfg"), Mapping) else None
    activation = d.get("act_cfg")
    in_place = None
    if isinstance(activation, Mapping):
        in_place = bool(activation.get("inplace", _IN_PLACE.get(str(d.get("type")), False)))
    elif d:
        in_place = False  # none of its discriminators works in place by itself
    projection = str(g.get("type")) in ("SAGANGenerator", "SNGANGenerator")
    norm_eps = _number(g, "norm_eps", 1e-4) if projection else None
    return Facts(
        norm_eps=norm_eps,
        output_norm_eps=norm_eps,
        generator_spectral_eps=_number(g, "sn_eps", 1e-12 if projection else 1e-6) if g else None,
        discriminator_spectral_eps=_number(d, "sn_eps", 1e-6) if d else None,
        inplace_activation=in_place,
        channel_order=("rgb" if g.get("rgb2bgr") else "bgr") if g else None,
        gain_centre=None if init is None else float(str(init).lower() in ("studio", "biggan")),
    )


def _number(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name, default)
    if type(value) in (int, float) and 0 <= value < 1:
        return float(value)
    raise UserError(f"option {name} is {value!a:.40}; a number from 0 to 1 is expected")


FAMILY = ForeignFamily(
    name="mmgeneration",
    title="mmgeneration (open-mmlab/mmgeneration)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda keys: any(key.startswith("noise2feat.") for key in keys),
    generator=generator,
    discriminator=discriminator,
    kind=kind,
    facts_from_options=facts_from_options,
    facts_from_keys=facts_from_keys,
    needed=frozenset({"gain_centre"}),
)
