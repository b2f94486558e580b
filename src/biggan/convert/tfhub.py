"""DeepMind's BigGAN modules of TensorFlow Hub, as a dump of their variables (names end with ``:0``).

Weights, gains and biases are stored twice, raw and averaged (``/ema_b999900``); vectors and statistics once. Dense
layers lie [in, out], convolutions (height, width, in, out); conditions are [latent chunk, class]; the first layer's
output counts (height, width, channel). Statistics are not divided by their counter: they are means already.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection

from biggan.convert.contract import ForeignFamily, State
from biggan.convert.facts import COMMON, Facts
from biggan.convert.translation import (
    SAME,
    SCALAR,
    TRANSPOSED,
    Entry,
    Form,
    Translation,
    after,
    channels_first,
    first_columns_last,
)
from biggan.foundation.errors import UserError

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-4,
    output_norm_eps=1e-5,  # as the converter that everybody used has it; the modules for 128 and 256 px have 1e-4
    generator_spectral_eps=1e-4,
    discriminator_spectral_eps=1e-4,
)

AVERAGED = "/ema_b999900"
ROOT = "module/"
_ATTENTION_AFTER = {5: 3, 6: 4, 7: 3}
"""Stages of G -> the stage that attention follows. The names do not tell."""
_CONVS = {"conv0": "conv1", "conv1": "conv2", "conv_sc": "shortcut"}
_OUTPUT = {"gamma": "gain", "beta": "bias"}
_FILTERS = Form(lambda x: x.permute(3, 2, 0, 1), lambda x: x.permute(2, 3, 1, 0))
_FLAT = Form(lambda x: x.reshape(-1), lambda x: x.reshape(1, 1, 1, -1))


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of such a module."""
    return any(key.startswith(f"{ROOT}Generator/GBlock/") for key in keys)


def one_set(variables: State, averaged: bool) -> State:
    """Return the variables of one generator, under the raw names: the averaged where there are two, or the raw.

    Raises:
        UserError: averaged ones are wanted, and there are none.
    """
    twins = {key for key in variables if key.endswith(f"{AVERAGED}:0")}
    if averaged and not twins:
        raise UserError("the file holds no averaged variables (their names end with ema_b999900)")
    found = {key: value for key, value in variables.items() if key not in twins}
    if averaged:
        found |= {key.replace(f"{AVERAGED}:0", ":0"): variables[key] for key in twins}
    return found


def generator(state: State, facts: Facts) -> Translation:
    """Return what G's variables are called here; of the two sets ``state`` holds one, see :func:`one_set`."""
    stages = len({match[1] for key in state if (match := re.match(rf"{ROOT}Generator/GBlock(?:_(\d+))?/", key))})
    if stages not in _ATTENTION_AFTER:
        raise UserError(f"{stages} blocks: modules for 128, 256 and 512 px have 5, 6 and 7")
    chunk = state[f"{ROOT}Generator/G_Z/G_linear/w:0"].shape[0]
    rows = channels_first(*(facts.bottom or (4, 4)))
    forms = {
        "dense": TRANSPOSED,
        "conv": _FILTERS,
        "condition": after(TRANSPOSED, first_columns_last(chunk)),
        "first": after(TRANSPOSED, rows),
    }
    along = channels_first(*(facts.bottom or (4, 4)), dim=1)
    found = []
    for key in state:
        path = key.removeprefix(ROOT).removesuffix(":0")
        module, _, leaf = path.rpartition("/")
        layer, weight = _module(module, _ATTENTION_AFTER[stages])
        if layer is None:
            continue
        match leaf:
            case "w":
                found.append(Entry(key, f"{layer}.weight", SAME if weight == "table" else forms[weight]))
            case "b":
                found.append(Entry(key, f"{layer}.bias", rows if weight == "first" else SAME))
            case "u0":
                found.append(Entry(key, f"{layer}.u", along if weight == "first" else SAME))
            case "u1" | "accumulation_counter":  # the right vector of an iteration past, and how many were averaged
                found.append(Entry(key, ""))
            case "accumulated_mean" | "accumulated_var":
                found.append(Entry(key, f"{layer}.norm.running_{leaf.removeprefix('accumulated_')}"))
            case "gamma" if weight == "attention":
                found.append(Entry(key, f"{layer}.gamma", SCALAR))
            case "gamma" | "beta" if weight == "norm":
                found.append(Entry(key, f"{layer}.{_OUTPUT[leaf]}", _FLAT))
    return Translation(found)


def _module(path: str, attention_after: int) -> tuple[str | None, str]:
    """Return the path of one of their modules in ours, and of what kind its weight is."""
    fixed = {
        "linear": ("class_embedding", "table"),
        "Generator/G_Z/G_linear": ("linear", "first"),
        "Generator/conv_2d": ("output_conv", "conv"),
        "Generator/ScaledCrossReplicaBN": ("output_norm", "norm"),
        "Generator/ScaledCrossReplicaBNbn": ("output_norm", "norm"),
        "Generator/attention": (f"stages.{attention_after}.1", "attention"),
    }
    if path in fixed:
        return fixed[path]
    match = re.fullmatch(r"Generator/attention/(theta|phi|g|o)(?:_conv)?", path)
    if match:
        return f"stages.{attention_after}.1.{match[1]}", "conv"
    match = re.fullmatch(r"Generator/GBlock(?:_(\d{1,3}))?/(.+)", path)
    if not match:
        return None, ""
    stage, rest = f"stages.{match[1] or 0}.0", match[2]
    if rest in _CONVS:
        return f"{stage}.{_CONVS[rest]}", "conv"
    norm = re.fullmatch(r"(?:HyperBN|CrossReplicaBN)(_1)?(?:/(gamma|beta))?", rest)
    if not norm:
        return None, ""
    layer = f"{stage}.norm{2 if norm[1] else 1}"
    return (f"{layer}.{_OUTPUT[norm[2]]}", "condition") if norm[2] else (layer, "norm")


FAMILY = ForeignFamily(
    name="tfhub",
    title="BigGAN of TensorFlow Hub (deepmind/biggan)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda _: True,
    generator=generator,
    discriminator=None,
    kind=lambda _: "biggan",
    needed=frozenset({"output_norm_eps"}),
    one_set=one_set,
)
