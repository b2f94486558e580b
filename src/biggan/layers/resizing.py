"""Twice the size and half of it: every pixel repeated 2x2, and the mean of every 2x2.

Each is the gradient of the other, but for a factor of 4, and that is how their gradients are computed here: to the bit
what PyTorch's are. PyTorch's own kernels know nothing of this. Of an iteration of BigGAN at 128 px on a GPU they took a
quarter: they look for the windows that hold a pixel, divide indices of 64 bits, and, compiled, add up in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.layers.precision import without_autocast


def upsample(x: Tensor) -> Tensor:
    """Repeat every pixel 2x2: [N, C, H, W] -> [N, C, 2H, 2W]."""
    with without_autocast(x):  # it would have it in float32, only for the next convolution to round it again
        if torch.compiler.is_dynamo_compiling():
            return _repeated(x)
        doubled: Tensor = _Doubling.apply(x)
    return doubled


def downsample(x: Tensor) -> Tensor:
    """Average every 2x2 pixels: [N, C, H, W] -> [N, C, H // 2, W // 2]; what is left of an odd side is dropped."""
    if x.shape[2] % 2 or x.shape[3] % 2:
        return F.avg_pool2d(x, 2)
    with without_autocast(x):
        if torch.compiler.is_dynamo_compiling():
            return _averaged(x)
        halved: Tensor = _Halving.apply(x)
    return halved


class _Doubling(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _repeated(x) if x.device.type == "cuda" else F.interpolate(x, scale_factor=2)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember nothing."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return downsample(gradient) * 4


class _Halving(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return _averaged(x) if x.device.type == "cuda" else F.avg_pool2d(x, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember nothing."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return upsample(gradient * 0.25)


# By views and one plain kernel: fast on GPUs, and compilers put what is around into the same kernel.


def _repeated(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    if _lies_channels_last(x):
        pixels = x.permute(0, 2, 3, 1)[:, :, None, :, None]
        return pixels.expand(n, h, 2, w, 2, c).reshape(n, 2 * h, 2 * w, c).permute(0, 3, 1, 2)
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def _averaged(x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    if _lies_channels_last(x):
        pixels = x.permute(0, 2, 3, 1).reshape(n, h // 2, 2, w // 2, 2, c)
        return pixels.mean(dim=(2, 4)).permute(0, 3, 1, 2)
    return x.reshape(n, c, h // 2, 2, w // 2, 2).mean(dim=(3, 5))


def _lies_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def upsample_with_zeros(x: Tensor) -> Tensor:
    """Put zeros right of and below every pixel: [N, C, H, W] -> [N, C, 2H, 2W] ("unpooling" of compare_gan)."""
    n, c, h, w = x.shape
    return F.pad(x.reshape(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).reshape(n, c, 2 * h, 2 * w)


UPSAMPLING: dict[str, Callable[[Tensor], Tensor]] = {"nearest": upsample, "zeros": upsample_with_zeros}
