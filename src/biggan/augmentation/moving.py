"""Images moved and mixed: each comes out the same whatever lies beside it, and gradients can be had twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from biggan.augmentation.wavelet import BEYOND, MARGIN, doubled, halved


def working_precision(x: Tensor) -> torch.dtype:
    """Return the precision in which ``x`` is computed with: float64 for float64, else float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def finest_precision(device: torch.device) -> torch.dtype:
    """Return float64, or float32 where a device has no better."""
    return torch.float32 if device.type == "mps" else torch.float64


def lying_like(y: Tensor, x: Tensor) -> Tensor:
    """Return ``y`` with its channels last in memory if those of ``x`` are, as networks want them."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return y.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def mean_of_images(x: Tensor) -> Tensor:
    """Return the mean of each image, as [N, C, H, W] that holds it everywhere.

    It is added up in float64, and its gradient too, so that rounded to float32 they do not show in which order, which
    depends on N.
    """
    mean: Tensor = _Spreading.apply(_Averaging.apply(x), x.shape)
    return mean


class _Averaging(torch.autograd.Function):
    """The mean of each image, [N, C, H, W] -> [N, 1, 1, 1]."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3), keepdim=True, dtype=finest_precision(x.device)).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember the shape."""
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Spreading.apply(gradient / ctx.shape[1:].numel(), ctx.shape)


class _Spreading(torch.autograd.Function):
    """One number for every value of an image, [N, 1, 1, 1] -> [N, C, H, W]."""

    @staticmethod
    def forward(x: Tensor, shape: torch.Size) -> Tensor:
        return x.expand(shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember how many values."""
        ctx.count = inputs[1][1:].numel()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Averaging.apply(gradient) * ctx.count, None


def product(a: Tensor, b: Tensor) -> Tensor:
    """Return the products of matrices [N, k, m] and [N, m, l], added up in the order of m whatever N is."""
    total = a[:, :, 0, None] * b[:, None, 0]
    for index in range(1, a.shape[2]):
        total = total + a[:, :, index, None] * b[:, None, index]
    return total


def sampled(x: Tensor, inverse: Tensor) -> Tensor:
    """Return images that are moved by affine maps: bilinear between pixels, reflected at the outermost ones.

    Args:
        x: float32 or float64 [N, C, H, W].
        inverse: [N, 3, 3] in the precision of ``x``; takes a pixel (x, y, 1) of the outcome to where it comes from,
            both counted in pixels from the middle of the image, to the right and down.
    """
    h, w = x.shape[2:]
    across = torch.arange(w, device=x.device, dtype=x.dtype) - (w - 1) / 2
    down = torch.arange(h, device=x.device, dtype=x.dtype) - (h - 1) / 2
    column, row = _origins(inverse, across, down)
    return _bilinear(x, column + (w - 1) / 2, row + (h - 1) / 2, _reflected)


def sampled_finely(x: Tensor, inverse: Tensor) -> Tensor:
    """Return what :func:`sampled` does, at twice the size between low-pass filters: less blurred, and without aliases.

    What moves by whole pixels, mirrored and in quarter turns too, is moved to the bit. Images with sides of three
    pixels or fewer are too small for the filter.
    """
    h, w = x.shape[2:]
    plainly = sampled(x, inverse)
    if min(h, w) <= MARGIN:
        return plainly
    whole = inverse[:, :2, :2].abs().sum(dim=(1, 2)) == 2
    whole &= (inverse == inverse.round()).flatten(1).all(dim=1)
    pixel = torch.arange(-BEYOND, 2 * max(h, w) + BEYOND, device=x.device, dtype=x.dtype)
    across = (pixel[: 2 * (w + BEYOND)] - (w - 1)) / 2
    down = (pixel[: 2 * (h + BEYOND)] - (h - 1)) / 2
    column, row = _origins(inverse, across, down)
    moved = halved(_bilinear(doubled(x), 2 * column + (w - 1), 2 * row + (h - 1), torch.remainder))
    return torch.where(whole[:, None, None, None], plainly, moved)


def _origins(inverse: Tensor, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the points of a grid come from, x and y as [N, len(down), len(across)]."""
    entry = inverse[:, :, :, None, None]
    down = down[:, None]
    column = entry[:, 0, 0] * across + entry[:, 0, 1] * down + entry[:, 0, 2]
    row = entry[:, 1, 0] * across + entry[:, 1, 1] * down + entry[:, 1, 2]
    return column, row


def _bilinear(x: Tensor, column: Tensor, row: Tensor, within: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return images at positions [N, H', W'], counted in pixels from the first one, as [N, C, H', W'].

    Made of plain gathers, whose second derivatives every PyTorch has, which cannot be said of ``grid_sample``.

    Args:
        x: [N, C, H, W].
        column: positions along rows.
        row: positions along columns.
        within: takes whole positions, and the length of a side, to where they lie on it: so an image goes on.
    """
    h, w = x.shape[2:]
    left, top = column.floor(), row.floor()
    to_right, to_bottom = column - left, row - top
    left, top = left.long(), top.long()
    columns, rows = (torch.stack([first, first + 1], dim=1) for first in (left, top))
    # The four neighbours are picked at once, so that their gradient is spread over the image once.
    index = (within(rows, h) * w)[:, :, None] + within(columns, w)[:, None]
    across, down = (torch.stack([1 - part, part], dim=1) for part in (to_right, to_bottom))
    shares = (down[:, :, None] * across[:, None]).flatten(1, 2)
    parts = torch.unflatten(picked(x, index.flatten(1, 3)), 2, (4, -1)).unbind(2)
    total = parts[0] * shares[:, None, 0]
    for corner in range(1, 4):
        total = total + parts[corner] * shares[:, None, corner]
    return total


def picked(x: Tensor, index: Tensor) -> Tensor:
    """Return pixels of images [N, C, H, W] by numbers int64 [N, H', W'] in reading order, as [N, C, H', W'].

    The gradient adds up in a fixed order: on a GPU that of sorted indices, which is what indexing does there and
    ``gather`` does not; on a CPU that of the pixels, which is what ``gather`` does and indexing by threads does not.
    """
    n, c = x.shape[:2]
    if x.device.type == "cuda":
        return by_sorted_rows(x, index)
    return x.flatten(2).gather(2, index.flatten(1)[:, None].expand(n, c, -1)).view(n, c, *index.shape[1:])


def by_sorted_rows(x: Tensor, index: Tensor) -> Tensor:
    """Return what :func:`picked` does, by indexing pixels as the rows of one table."""
    n, c, h, w = x.shape
    first = torch.arange(n, device=x.device)[:, None] * (h * w)
    table = x.permute(0, 2, 3, 1).reshape(n * h * w, c)
    return table[(index.flatten(1) + first).flatten()].view(n, *index.shape[1:], c).permute(0, 3, 1, 2)


def _reflected(position: Tensor, length: int) -> Tensor:
    """Return where in 0 ... ``length`` - 1 a position lies, the row going on mirrored at its outermost pixels."""
    period = max(2 * (length - 1), 1)
    position = position.remainder(period)
    return torch.where(position < length, position, period - position)
