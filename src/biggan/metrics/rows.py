"""Feature rows as the mathematics wants them: one tensor [n, d], finite, read a block at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.foundation.errors import UserError

Rows = Tensor | npt.NDArray[np.floating]
"""What the functions of this room take: float32 or float64 [n, d], one row an image, in the order of the images."""

BLOCK = 4096
"""Rows of a block: a tile of distances in float64 is then 128 MiB, whatever the number of images."""


def as_rows(rows: Rows, what: str, *, least: int = 1) -> Tensor:
    """Return rows as a detached tensor on their own device; float32 and float64 keep their precision.

    Args:
        rows: [n, d], of any floating-point type; half precision becomes float32.
        what: how messages call them, such as ``"real features"``.
        least: fewest rows with which the caller has a meaning.

    Raises:
        ValueError: not two axes, no columns, or no floating-point numbers.
        UserError: fewer than ``least`` rows, or numbers that are not finite.
    """
    tensor = (
        torch.from_numpy(np.require(rows, requirements=["C", "W"])) if isinstance(rows, np.ndarray) else rows
    ).detach()
    if tensor.ndim != 2 or not tensor.shape[1] or not tensor.is_floating_point():
        raise ValueError(f"{what}: floating-point rows [n, d] wanted, got {tensor.dtype} {list(tensor.shape)}")
    if len(tensor) < least:
        raise UserError(f"{what}: {len(tensor)} images are too few, use {least} or more")
    if tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    for part in blocks(len(tensor)):
        finite = torch.isfinite(tensor[part]).all(dim=1)
        if not bool(finite.all()):
            first = part.start + int(torch.argmin(finite.byte()))
            raise UserError(f"{what}: row {first} holds numbers that are not finite; look at the image or the network")
    return tensor


def as_pair(real: Rows, fake: Rows, *, least: int = 1) -> tuple[Tensor, Tensor]:
    """Return real and fake rows by :func:`as_rows`, both on the device of the real ones.

    Raises:
        ValueError: the rows have different lengths, or see :func:`as_rows`.
        UserError: see :func:`as_rows`.
    """
    one, other = as_rows(real, "real features", least=least), as_rows(fake, "fake features", least=least)
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"real features have {one.shape[1]} dimensions, fake ones {other.shape[1]}")
    return one, other.to(one.device)


def as_labels(labels: Tensor | npt.NDArray[np.integer], count: int, what: str) -> Tensor:
    """Return labels as int64 [count] on the CPU.

    Raises:
        ValueError: not one non-negative integer a row.
    """
    tensor = torch.as_tensor(labels).detach().cpu()
    if tensor.shape != (count,) or tensor.is_floating_point() or bool((tensor < 0).any()):
        raise ValueError(f"{what}: {count} class numbers wanted, got {tensor.dtype} {list(tensor.shape)}")
    return tensor.long()


def wide(rows: Tensor) -> Tensor:
    """Return rows in float64, on their device where it has that type and on the CPU where not."""
    return (rows.cpu() if rows.device.type == "mps" else rows).double()


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield consecutive slices that cover ``range(count)``, each of ``size`` but the last.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"block {size}: use 1 or more")
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Keep float32 products in float32, whatever the program chose for its training.

    Distances are small differences of large products: with the ten bits of TF32 or the seven of bfloat16 nearest
    neighbours would be noise.
    """
    chosen = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(chosen)
