"""Where numbers are wide: at least float32, whatever autocast makes of what is around."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

AUTOCASTING = ("cpu", "cuda", "mps")
"""Kinds of devices that can narrow operations. PyTorch could be asked, but not all versions that are supported compile
the question."""


def at_least_float32(tensor: Tensor) -> Tensor:
    """Return ``tensor`` in float32 if it is narrower, else unchanged."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def without_autocast(tensor: Tensor) -> contextlib.AbstractContextManager[object]:
    """Return a context in which autocast does not narrow the operations on ``tensor``'s device."""
    return torch.autocast(tensor.device.type, enabled=False) if narrows(tensor) else contextlib.nullcontext()


def narrows(tensor: Tensor) -> bool:
    """Tell whether autocast narrows the operations on ``tensor``'s device."""
    return tensor.device.type in AUTOCASTING and torch.is_autocast_enabled(tensor.device.type)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Let convolutions keep all of float32, forwards and backwards, whatever ``--precision`` allows elsewhere."""
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    try:
        if before:
            cudnn.allow_tf32 = False
        yield
    finally:
        if before:
            cudnn.allow_tf32 = True
