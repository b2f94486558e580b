"""Which network drew an image: a hash of its weights and statistics, whatever file they lie in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def network_hash(network: nn.Module) -> str:
    """Return the SHA-256, in hexadecimal, of all parameters and buffers that a file of the network holds.

    The same on every device, however the weights lie in memory, and for the snapshot of a checkpoint, of a run, and an
    export alike.
    """
    return tensors_hash(network.state_dict())


def tensors_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, in hexadecimal, of names, types, shapes and bytes of tensors, by rising names.

    Of each tensor a line ``name type shape`` comes first, as in ``linear.weight float32 64x20``, then its bytes,
    little-endian, row by row.
    """
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        kind, shape = str(tensor.dtype).removeprefix("torch."), "x".join(map(str, tensor.shape))
        found.update(f"{name} {kind} {shape}\n".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
