"""The names of BigGAN-PyTorch's tensors in ours, and tensors to and fro between the two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from biggan.models.architecture import Architecture

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


def renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Return their tensors in our names and shapes; what has no name in ours is left out."""
    return _merge_vectors({names[key]: tensor for key, tensor in state.items() if key in names})


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
