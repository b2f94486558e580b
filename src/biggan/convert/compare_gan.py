"""compare_gan: ``resnet_biggan`` and ``resnet_biggan_deep``, as a dump of the variables of a checkpoint.

Names are scopes of TensorFlow (``B1/up_conv1/kernel``), with ``:0`` or without. Dense layers lie [in, out],
convolutions (height, width, in, out); the first layer's output counts (height, width, channel). A spectrally
normalised kernel has ``u_var``, a singular vector of its outputs or (``singular_value = "left"``, the default) of its
inputs. Batch norms keep sums of moments with their number (``accu``), or moving averages. What has been averaged ends
with ``/ExponentialMovingAverage``.

The class-conditional gain is the whole gain, pixels are doubled by zeros between them, D sees images in [0, 1], and its
blocks of unchanged width have no shortcut.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterable, Sequence

import torch.nn.functional as F
from torch import Tensor

from biggan.convert.contract import ForeignFamily, State
from biggan.convert.facts import COMMON, Facts
from biggan.convert.naming import discriminator_depth, generator_depth
from biggan.convert.translation import SAME, TRANSPOSED, Entry, Form, Translation, after, channels_first
from biggan.foundation.errors import UserError

SMALLEST_NORM = 1e-6
"""By which a vector is divided: its code says 1e-12, of the squared norm."""

DEFAULTS = dataclasses.replace(
    COMMON,
    norm_eps=1e-5,  # of its configuration for ImageNet; the code's own is 1e-3
    output_norm_eps=1e-5,
    generator_spectral_eps=SMALLEST_NORM,
    discriminator_spectral_eps=SMALLEST_NORM,
    condition_order="latent-class",
    gain_centre=0.0,
    biased_norm=True,
    upsampling="zeros",
    identity_shortcuts=False,
    discriminator_range="unit",
)

_AVERAGED = "/ExponentialMovingAverage"
_OF_OPTIMIZERS = re.compile(r".*/(?:Adam(?:_\d+)?|ExponentialMovingAverage(?:_\d+)?)")
_LEARNT = re.compile(r"/(?:kernel|bias|gamma|beta|sigma)$")
_ACCUMULATED = re.compile(r".*/accu/(?:accu_mean|accu_variance|accu_counter|update_accus)")
_SMALLEST_COUNT = 0.5
"""The number of summed moments begins just above 0, so that it divides: what was never summed counts nothing."""
_NUMBER = "([1-9][0-9]{0,2})"
_BLOCK = re.compile(rf"B{_NUMBER}/(.+)")
_END_OF_BLOCK = re.compile(rf"B{_NUMBER}/(?:(?:up|same|down)_conv([12])|conv([14])/1x1_conv)/kernel")
_ATTENTION = re.compile(r"non_local_block/conv2d_(theta|phi|g|attn_g)")
_HEADS = {"fc_noise": "linear", "embed_y": "class_embedding", "final_norm": "output_norm", "final_conv": "output_conv"}
_HEADS |= {"final_fc": "head.linear", "embedding_fc": "head.class_embedding", "initial_conv": "stem"}
_DEEP = re.compile(r"conv([1-4])/(?:\dx\d_conv|(bn)(?:/condition/(gamma|beta))?)")
_PLAIN = re.compile(r"(?:up|same|down)_conv([12])|bn([12])(?:/condition/(gamma|beta))?")
_SHORTCUTS = {"up_conv_shortcut": "shortcut", "down_conv_shortcut": "shortcut", "same_conv_shortcut": "shortcut"}
_SHORTCUTS |= {"shortcut/add_channels": "added"}
_AFFINE = {"gamma": "gain", "beta": "bias"}
_FILTERS = Form(lambda x: x.permute(3, 2, 0, 1), lambda x: x.permute(2, 3, 1, 0))
_MOMENTS = {"mean": "running_mean", "variance": "running_var"}


def recognises(keys: Collection[str]) -> bool:
    """Tell whether keys are those of one of its networks."""
    return any(re.match(r"B1/(?:(?:up|same)_conv1|conv1/1x1_conv)/kernel(?::0)?$", key) for key in keys)


def one_set(variables: State, averaged: bool) -> State:
    """Return the tensors of one network, all that belongs to optimizers left out and all that is derived made.

    That is, means in place of sums of moments, and ``kernel/u`` [1, out] in place of ``u_var``; where that belongs to
    the inputs, ``kernel/v`` [1, in] beside: the two vectors by which evaluation divides.

    Raises:
        UserError: averaged weights are wanted, and there are none.
    """
    plain: dict[str, Tensor] = {}
    for key, value in variables.items():
        if (name := key.removesuffix(":0")) in plain:
            raise UserError(f"'{name}' and '{name}:0' are both there, and are one variable")
        plain[name] = value.float() if value.is_floating_point() else value
    twins = {key: key.removesuffix(_AVERAGED) for key in plain if key.endswith(_AVERAGED)}
    if averaged and not twins:
        raise UserError("the file holds no averaged variables (their names end with ExponentialMovingAverage); --raw")
    alone = [key for key in plain if _LEARNT.search(key) and key + _AVERAGED not in plain]
    if averaged and alone:
        raise UserError(f"{len(alone)} variables have no average ({', '.join(alone[:6])}); --raw takes G itself alone")
    found = {key: value for key, value in plain.items() if not _OF_OPTIMIZERS.fullmatch(key)}
    if averaged:
        found |= {name: plain[key] for key, name in twins.items()}
    return _with_vectors(_with_means(found))


def _with_means(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with ``moving_mean`` and ``moving_variance`` wherever moments were summed."""
    found = {key: value for key, value in state.items() if not _ACCUMULATED.fullmatch(key)}
    for key in state:
        layer, _, last = key.rpartition("/accu/")
        number = state.get(f"{layer}/accu/accu_counter")
        if last not in ("accu_mean", "accu_variance") or number is None:
            continue
        moment = f"{layer}/moving_{last.removeprefix('accu_')}"
        if number.numel() != 1 or not math.isfinite(count := float(number)):
            raise UserError(f"'{layer}/accu/accu_counter' is no number of batches")
        if moment in found:
            raise UserError(f"'{layer}' has sums of moments and moving averages; leave one of the two out of the dump")
        if count > _SMALLEST_COUNT:
            found[moment] = state[key] / count
    return found


def _with_vectors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with the vectors that its stored ones lead to; those that fit nothing stay as they are."""
    found = dict(state)
    for key, vector in state.items():
        kernel = state.get(key.removesuffix("/u_var"))
        if not key.endswith("/kernel/u_var") or kernel is None:
            continue
        if kernel.ndim < 2 or vector.ndim != 2 or not kernel.numel():
            continue
        if not (kernel.is_floating_point() and vector.is_floating_point()):
            continue
        theirs = kernel.reshape(-1, kernel.shape[-1])  # [in, out]; of a class table [classes, n], as ours
        table = key.startswith("embedding_fc/")
        W, row = (theirs, vector.T) if table else (theirs.T, vector)  # ours, and the vector as one row
        name = key.removesuffix("u_var")
        if row.shape == (1, W.shape[0]):
            del found[key]
            found[f"{name}u"] = row
        elif row.shape == (W.shape[1], 1):
            del found[key]
            left = F.normalize(row.T @ W.T, eps=SMALLEST_NORM)
            found |= {f"{name}u": left, f"{name}v": F.normalize(left @ W, eps=SMALLEST_NORM)}
    return found


def generator(state: State, facts: Facts) -> Translation:
    """Return what G's tensors are called here; ``state`` is one set of them, see :func:`one_set`."""
    if "embed_y/kernel" not in state and any("/condition/" in key for key in state):
        raise UserError("its labels are not embedded (embed_y = False), which no BigGAN of it does")
    depth = 1 if not _deep(state) else generator_depth(_channels(state))
    rows = channels_first(*(facts.bottom or (4, 4)))
    along = channels_first(*(facts.bottom or (4, 4)), dim=1)
    after_block = _attention(state, facts.generator_attention_after, "generator", depth)
    forms = {
        "linear.weight": after(TRANSPOSED, rows),
        "linear.bias": rows,
        "linear.u": along,
        "class_embedding.weight": SAME,
    }
    return Translation(_entries(state, depth, after_block, forms))


def discriminator(state: State, facts: Facts) -> Translation:
    """Return what D's tensors are called here; ``state`` is one set of them, see :func:`one_set`."""
    depth = 1 if not _deep(state) else discriminator_depth(_channels(state))
    after_block = _attention(state, facts.discriminator_attention_after, "discriminator", depth)
    return Translation(_entries(state, depth, after_block, {"head.class_embedding.weight": SAME}))


def _entries(state: State, depth: int, attention_after: int, forms: dict[str, Form]) -> Iterable[Entry]:
    for key in state:
        path, _, leaf = key.rpartition("/")
        of_vector = path.endswith("/kernel")
        module = _module(path.removesuffix("/kernel"), depth, attention_after)
        if module is None:
            continue
        if of_vector and leaf in ("u", "v"):
            kernel = state[path]
            usual = channels_first(*kernel.shape[:2], dim=1) if leaf == "v" and kernel.ndim == 4 else SAME
            yield Entry(key, f"{module}.{leaf}", forms.get(f"{module}.{leaf}", usual))
        elif leaf == "kernel":
            usual = _FILTERS if state[key].ndim == 4 else TRANSPOSED
            yield Entry(key, f"{module}.weight", forms.get(f"{module}.weight", usual))
        elif leaf == "bias":
            yield Entry(key, f"{module}.bias", forms.get(f"{module}.bias", SAME))
        elif leaf == "sigma":
            yield Entry(key, f"{module}.gamma")
        elif leaf in _AFFINE:
            yield Entry(key, f"{module}.{_AFFINE[leaf]}")
        elif leaf.startswith("moving_"):
            yield Entry(key, f"{module}.norm.{_MOMENTS[leaf.removeprefix('moving_')]}")


def _module(path: str, depth: int, attention_after: int) -> str | None:
    """Translate the path of a module; None if ours has none."""
    if path in _HEADS:
        return _HEADS[path]
    stage, place = divmod(attention_after - 1, depth)
    attention = f"stages.{stage}.{place + 1}"
    if path == "non_local_block":
        return attention
    match = _ATTENTION.fullmatch(path)
    if match:
        return f"{attention}.{'o' if match[1] == 'attn_g' else match[1]}"
    match = _BLOCK.fullmatch(path)
    if not match:
        return None
    stage, place = divmod(int(match[1]) - 1, depth)
    block, rest = f"stages.{stage}.{place}", match[2]
    if rest in _SHORTCUTS:
        return f"{block}.{_SHORTCUTS[rest]}"
    match = _PLAIN.fullmatch(rest)
    if match:
        return f"{block}.conv{match[1]}" if match[1] else _norm(f"{block}.norm{match[2]}", match[3])
    match = _DEEP.fullmatch(rest)
    if match:
        return _norm(f"{block}.norm{match[1]}", match[3]) if match[2] else f"{block}.conv{match[1]}"
    return None


def _norm(layer: str, affine: str | None) -> str:
    return layer if affine is None else f"{layer}.{_AFFINE[affine]}"


def _deep(state: State) -> bool:
    return "B1/conv1/1x1_conv/kernel" in state


def _channels(state: State) -> Sequence[tuple[int, int]]:
    """Return the channels into and out of every block."""
    blocks: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items():
        match = _END_OF_BLOCK.fullmatch(key)
        if match and value.ndim == 4:
            blocks.setdefault(int(match[1]), {})["first" if "1" in (match[2], match[3]) else "last"] = value
    if not blocks or sorted(blocks) != list(range(1, len(blocks) + 1)) or any(len(b) != 2 for b in blocks.values()):
        raise UserError("its blocks are not whole: each needs the kernels of its first and of its last convolution")
    return [(blocks[i]["first"].shape[2], blocks[i]["last"].shape[3]) for i in sorted(blocks)]


def _attention(state: State, stated: int | None, network: str, depth: int) -> int:
    """Return the block, counted from 1, that attention follows; 0 without. Its width tells, where only one has it."""
    kernel = state.get("non_local_block/conv2d_theta/kernel")
    if kernel is None:
        return 0
    if kernel.ndim != 4:
        raise UserError(f"attention's kernel has the shape {list(kernel.shape)}; four sides are expected")
    channels = _channels(state)
    fitting = [i for i, (_, out) in enumerate(channels, start=1) if out == kernel.shape[2] and i % depth == 0]
    if stated in fitting or (stated is None and len(fitting) == 1):
        return fitting[0] if stated is None else stated
    blocks = ", ".join(map(str, fitting)) or "none"
    raise UserError(
        f"attention has {kernel.shape[2]} channels, and so have blocks {blocks} of the {network}; state which by "
        f"--facts.{network}-attention-after"
    )


def facts_from_keys(state: State) -> Facts:
    """Return which stages of D halve, as its names tell."""
    if "B1/same_conv1/kernel" not in state:
        return Facts()
    halving = {key.partition("/")[0] for key in state if "/down_conv2/" in key}
    return Facts(discriminator_downsampling=tuple(f"B{i}" in halving for i in range(1, len(_channels(state)) + 1)))


FAMILY = ForeignFamily(
    name="compare-gan",
    title="compare_gan (google/compare_gan)",
    defaults=DEFAULTS,
    recognises=recognises,
    is_generator=lambda keys: any(key.startswith("fc_noise/") for key in keys),
    generator=generator,
    discriminator=discriminator,
    kind=lambda state: "biggan-deep" if _deep(state) else "biggan",
    facts_from_keys=facts_from_keys,
    needed=frozenset({"upsampling", "gain_centre", "output_norm_eps"}),
    needed_of_discriminator=frozenset({"discriminator_range", "identity_shortcuts"}),
    one_set=one_set,
)
