"""Where to compute, and how exactly."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import torch

from biggan.foundation.errors import UserError


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that ``name`` means; auto takes cuda, then mps, then cpu.

    Raises:
        UserError: it is not there.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        name = "cuda" if cuda else "mps" if mps else "cpu"
    if name == "cuda":
        if not cuda:
            raise UserError("--device cuda: PyTorch sees no CUDA device; use --device cpu, or check the driver")
        if local_rank >= torch.cuda.device_count():
            raise UserError(
                f"--device cuda: process {local_rank} of this node has no GPU, there are {torch.cuda.device_count()}; "
                "start as many processes as there are GPUs"
            )
        return torch.device("cuda", local_rank)
    if name == "mps" and not mps:
        raise UserError("--device mps: PyTorch sees no Metal device; use --device cpu")
    return torch.device(name)


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the CPU on ``device``, without waiting for what that does.

    A copy from ordinary memory to a GPU waits whatever it is told; one from page-locked memory does not.
    """
    if device.type == "cuda" and tensor.device.type == "cpu" and not tensor.is_pinned():
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def read_together(tensors: Sequence[torch.Tensor]) -> list[list[float]]:
    """Return the numbers of each of ``tensors``, which lie on one device, by one copy: it is waited for once."""
    if not tensors:
        return []
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).tolist()
    ends = list(itertools.accumulate(tensor.numel() for tensor in tensors))
    return [flat[end - tensor.numel() : end] for end, tensor in zip(ends, tensors, strict=True)]


def set_tf32(allowed: bool) -> None:
    """Decide for this process whether float32 products and convolutions on CUDA may be rounded to TF32 (10 bits).

    PyTorch's own default is mixed: convolutions may, products may not. The flags of PyTorch 2.8 are used: later
    versions derive their newer ones from them, and then both can be read; setting the newer ones breaks readers of
    these.
    """
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextlib.contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Decide as :func:`set_tf32` does for a while, and restore what was before."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    set_tf32(allowed)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def take_device(device: torch.device, *, exact: bool = True) -> None:
    """Make ``device`` the one that this process uses where none is named, and with ``exact`` float32 products whole.

    TF32 keeps ten bits of a product: enough for training that asks for it, and noise in a distance between features.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if exact:
        set_tf32(False)
