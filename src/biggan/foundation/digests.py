"""Numbers that tell tensors apart bit by bit, computed where the tensors lie.

A digest is a sum of words of at most 32 bits, each times an odd weight of its place, modulo 2^64. One can divide by an
odd weight, so a single word that changes always changes the sum. So do two words of a block that change places: their
difference and that of their weights, whose low halves are all different, are both no multiples of 2^32, and their
product is none of 2^64. Any other change goes unseen once in about 2^32. Sums of integers come out the same in whatever
order a device adds.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from torch import Tensor

_BLOCK = 1 << 16
"""Words that are multiplied at once: half a MiB, which stays in the cache of a core, however large a tensor is."""
_WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int32, 16: torch.int32}
"""What the bits of an element are read as, by its size in bytes."""
_PLACE = 0x9E3779B1  # odd: places of a block get different low halves
_HIGH = 0xD1B54A32D192ED03
_NEXT = 0xBF58476D1CE4E5B9  # odd: a block counts by its place, and none is lost
_MASK = (1 << 64) - 1


def weight(place: int) -> int:
    """Return the weight of a place in a block, an odd number below 2^64. The low half is different for each place."""
    low = (2 * place + 1) * _PLACE & 0xFFFFFFFF
    high = ((place + 1) * _HIGH & _MASK) >> 32
    return (high ^ low >> 7) << 32 | low


@functools.cache
def _weights(device: torch.device) -> Tensor:
    """Return the weights of all places of a block, int64; half of each at a time, to stay within 63 bits."""
    place = torch.arange(_BLOCK, dtype=torch.int64, device=device)
    low = (2 * place + 1) * _PLACE & 0xFFFFFFFF
    high = ((place + 1) * _signed(_HIGH)) >> 32 & 0xFFFFFFFF
    return (high ^ low >> 7) << 32 | low


def _signed(value: int) -> int:
    """Return the number of 64 bits as torch's int64 has it."""
    return value - (1 << 64) if value >> 63 else value


def digest(tensor: Tensor) -> Tensor:
    """Return a number, int64 [] on the tensor's device, of the bits of ``tensor`` in the order of its elements.

    Whatever the type, and however it lies in memory. A NaN is its bits, and -0.0 is not 0.0. Shape and type are no part
    of it.
    """
    flat = tensor.detach().contiguous().reshape(-1)
    words = (torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat).view(_WORDS[flat.element_size()])
    found = torch.zeros((), dtype=torch.int64, device=tensor.device)
    weights = _weights(tensor.device)
    for block in torch.split(words, _BLOCK):
        found = found * _signed(_NEXT) + (block.to(torch.int64) * weights[: len(block)]).sum()
    return found


def digests(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, int]]:
    """Return (type and shape, digest) of each tensor. What is read off a device is 8 bytes a tensor, in one copy."""
    names = list(tensors)
    if not names:
        return {}
    home = tensors[names[0]].device
    numbers = torch.stack([digest(tensors[name]).to(home) for name in names]).tolist()
    return {
        name: (f"{tensors[name].dtype} {tuple(tensors[name].shape)}", number)
        for name, number in zip(names, numbers, strict=True)
    }
