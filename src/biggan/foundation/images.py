"""The two conversions between bytes and numbers. uint8 [N, C, H, W] is the only image that crosses a room."""

from __future__ import annotations

import torch
from torch import Tensor

from biggan.foundation.errors import UserError


def to_float(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return ``images / 127.5 - 1``.

    Args:
        images: uint8 [...].
        dtype: of the result. The conversion itself is made in float32, and widened or narrowed afterwards,
            so that every precision sees the same numbers.

    Returns:
        ``dtype`` [...], in [-1, 1].
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, not {images.dtype}")
    return (images.to(torch.float32) / 127.5 - 1.0).to(dtype)


def to_bytes(images: Tensor) -> Tensor:
    """Return the nearest byte of each value, uint8 [...], for ``images`` in [-1, 1] (values beyond are clamped).

    Rounds to nearest; the reference implementations truncate, which darkens by half a level on average.
    """
    return images.detach().float().add(1.0).mul(127.5).round().clamp_(0, 255).to(torch.uint8)


def three_channels(images: Tensor) -> Tensor:
    """Return images [B, 3, H, W] of any type: gray ones become three equal channels.

    Raises:
        UserError: neither 1 nor 3 channels.
    """
    if images.shape[1] == 1:
        return images.expand(-1, 3, -1, -1)
    if images.shape[1] != 3:
        raise UserError(
            f"these features know colour images; the images have {images.shape[1]} channels: choose the features "
            "'classifier'"
        )
    return images
