"""From the names of foreign modules to ours, and what the leaves under them are called."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from torch import Tensor

from biggan.convert.translation import ROW, SAME, SCALAR, Entry, Form, Translation, after
from biggan.foundation.errors import UserError

_LEAVES: dict[str, tuple[str, Form]] = {
    "weight": ("weight", SAME),
    "bias": ("bias", SAME),
    "gain": ("gain", SAME),
    "gamma": ("gamma", SAME),
    # PyTorch's spectral norm of old
    "weight_orig": ("weight", SAME),
    "weight_u": ("u", ROW),
    "weight_v": ("v", ROW),
    # running statistics by their many names
    "running_mean": ("norm.running_mean", SAME),
    "running_var": ("norm.running_var", SAME),
    "stored_mean": ("norm.running_mean", SAME),
    "stored_var": ("norm.running_var", SAME),
}
_SUPERFLUOUS = ("num_batches_tracked", "accumulation_counter")
"""Counters that nothing is computed from."""
_VECTOR = re.compile(r"(u|sv)(\d{1,3})")
_NORM = re.compile(r"(?:.*\.)?(?:norm\d|output_norm)")


def entries(keys: Iterable[str], module_of: Callable[[str], str | None]) -> list[Entry]:
    """Return an entry for each key whose module has a name in ours.

    Args:
        keys: theirs.
        module_of: the path of one of their modules -> the path of ours; None if it has none.
    """
    found = []
    for key in keys:
        path, _, leaf = key.rpartition(".")
        if leaf in _SUPERFLUOUS:
            found.append(Entry(key, ""))
            continue
        module = module_of(path)
        if module is None:
            continue
        prefix = f"{module}." if module else ""
        vector = _VECTOR.fullmatch(leaf)
        if vector:
            found.append(Entry(key, f"{prefix}{'u' if vector[1] == 'u' else 'sigma'}", row=int(vector[2])))
        elif leaf in _LEAVES:
            name, form = _LEAVES[leaf]
            if name == "weight" and _NORM.fullmatch(module):
                name = "gain"  # of a normalisation without classes
            found.append(Entry(key, f"{prefix}{name}", form))
    return found


def reformed(found: Iterable[Entry], forms: Mapping[str, Form]) -> Translation:
    """Return the translation of ``found``, with a further change of form for some of our names."""
    return Translation(
        Entry(entry.theirs, entry.ours, after(entry.form, forms.get(entry.ours, SAME)), entry.row) for entry in found
    )


def side(state: Mapping[str, Tensor], layer: str, dim: int) -> int:
    """Return one side of the weight of their ``layer``, whichever spectral norm it has; 0 if there is no such layer."""
    found = next((state[key] for key in (f"{layer}.weight", f"{layer}.weight_orig") if key in state), None)
    return 0 if found is None else found.shape[dim]


def as_scalars(state: Mapping[str, Tensor], found: Iterable[Entry]) -> list[Entry]:
    """Return ``found`` with attention's gamma made one number wherever it is stored as [1]."""
    return [
        Entry(entry.theirs, entry.ours, SCALAR, entry.row)
        if entry.ours.endswith("gamma") and state[entry.theirs].ndim
        else entry
        for entry in found
    ]


def places(kinds: Mapping[int, str], depth: int) -> dict[int, tuple[int, int]]:
    """Return (stage, place) for each module of a flat list in which attention has a number of its own.

    Args:
        kinds: number -> ``block`` or ``attention``.
        depth: residual blocks a stage.

    Raises:
        UserError: attention in the midst of a stage.
    """
    found, blocks = {}, 0
    for number in sorted(kinds):
        if kinds[number] == "block":
            found[number] = divmod(blocks, depth)
            blocks += 1
        elif blocks % depth or not blocks:
            raise UserError(f"attention at {number} stands in the midst of a stage of {depth} blocks")
        else:
            found[number] = (blocks // depth - 1, depth)
    if blocks % depth:
        raise UserError(f"{blocks} blocks do not make stages of {depth}")
    return found


def generator_depth(channels: Sequence[tuple[int, int]]) -> int:
    """Return how many blocks a stage has, for G: channels change in the last of a stage alone.

    Args:
        channels: (in, out) of every block.
    """
    return _depth(len(channels), [i + 1 for i, (inputs, outputs) in enumerate(channels) if inputs != outputs])


def discriminator_depth(channels: Sequence[tuple[int, int]]) -> int:
    """Return how many blocks a stage has, for D: channels change in the first of a stage alone."""
    return _depth(len(channels), [i for i, (inputs, outputs) in enumerate(channels) if inputs != outputs])


def _depth(blocks: int, ends: list[int]) -> int:
    inside = [end for end in ends if 0 < end < blocks]
    if inside:
        return math.gcd(blocks, *inside)
    return max(blocks // 3, 1)  # constant widths: the 32 px tables, of three stages
