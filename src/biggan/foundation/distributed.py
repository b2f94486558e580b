"""The only importer of ``torch.distributed``. Without a launcher every function means one process."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from biggan.foundation.launch import announced_world_size


def start(device: torch.device) -> None:
    """Join the group that ``torchrun`` announced in the environment; nothing to do without one."""
    if announced_world_size() > 1 and not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(minutes=30))


def stop() -> None:
    """Leave the group."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    """Return the number of this process among all, 0 for the first."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_primary() -> bool:
    """Tell whether this process writes the files and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait for all processes."""
    if world_size() > 1:
        dist.barrier()


def broadcast(tensors: Iterable[Tensor]) -> None:
    """Overwrite ``tensors`` on every process with those of the first."""
    if world_size() > 1:
        for tensor in tensors:
            message = tensor.detach().contiguous()  # whatever its layout in memory
            dist.broadcast(message, src=0)
            tensor.detach().copy_(message)


def broadcast_object(value: object) -> object:
    """Return the ``value`` of the first process on every process."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def gather_objects(value: object) -> list[object]:
    """Return the ``value`` of every process, in order of rank."""
    if world_size() == 1:
        return [value]
    box: list[object] = [None] * world_size()
    dist.all_gather_object(box, value)
    return box


def sum_in_place(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its sum over all processes, in one message a dtype."""
    if world_size() == 1 or not tensors:
        return
    for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
        group = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in group])
        with torch.no_grad():
            for tensor, part in zip(group, parts, strict=True):
                tensor.copy_(part.view_as(tensor))


def any_true(flag: bool, device: torch.device) -> bool:
    """Tell whether ``flag`` holds on any process; all processes get the same answer."""
    if world_size() == 1:
        return flag
    box = torch.tensor([int(flag)], device=device if device.type == "cuda" else None)
    dist.all_reduce(box)
    return bool(box.item())
