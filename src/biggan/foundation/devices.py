"""Where to compute."""

from __future__ import annotations

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


def take_device(device: torch.device) -> None:
    """Make ``device`` the one that this process uses where none is named, and its float32 products whole.

    TF32 keeps ten bits of a product: enough for training that asks for it, and noise in a distance between features.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
