"""Where to compute, and how exactly."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, kw_only=True)
class Backends:
    """How exactly, and how fast, CUDA computes in this process. By default as exactly as it can."""

    tf32: bool = False
    """Convolutions round the factors of float32 products to TF32 (10 bits). Plain products never do: those of spectral
    norm, linear layers, penalties and distances between features."""
    fastest: bool = False
    """cuDNN tries its algorithms for each new shape and keeps the fastest: the last bits may differ between runs."""

    def set(self) -> None:
        """Decide so for this process.

        The flags of PyTorch 2.8 are used: later versions derive their newer ones from them, and then both can be read;
        setting the newer ones breaks readers of these.
        """
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cudnn.benchmark = self.fastest

    @contextlib.contextmanager
    def for_a_while(self) -> Iterator[None]:
        """Decide so, and restore what was before."""
        cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
        before = products.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
        self.set()
        try:
            yield
        finally:
            products.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before

    def __str__(self) -> str:
        """Return for example ``convolutions in float32, by cuDNN's fastest algorithms (benchmark)``."""
        chosen = "fastest algorithms (benchmark)" if self.fastest else "own choice of algorithms"
        return f"convolutions in {'TF32' if self.tf32 else 'float32'}, by cuDNN's {chosen}; products in float32"


def take_device(device: torch.device, *, exact: bool = True) -> None:
    """Make ``device`` the one that this process uses where none is named, and with ``exact`` float32 products whole.

    TF32 keeps ten bits of a product: enough for training that asks for it, and noise in a distance between features.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if exact:
        Backends().set()
