"""Self-attention over positions (Zhang et al. 2019, section 3), as its published code has it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.spectral_norm import LayerFactory

WIDEST_FLASH = 256
"""Channels beyond which no flash kernel goes."""
LARGE = 2**20
"""Pairs of positions from which the CPU's fused kernel is taken (64 x 64 positions have four times as many). Below, the
plain product stays: its matrix is small, and float32 training sequences were recorded with its rounding."""


class SelfAttention(nn.Module):
    """x + gamma * o(attention(theta(x), phi(x), g(x))), [N, C, H, W] -> [N, C, H, W].

    Queries see keys and values max-pooled 2x2; key channels are C/8, value channels C/2; there is no 1/sqrt(d).
    gamma starts at zero, so a new layer is the identity.
    """

    plain: bool = False
    """Compute by the formula, which can be differentiated twice, whatever kernels there are."""

    def __init__(self, channels: int, layers: LayerFactory) -> None:
        super().__init__()
        keys, values = max(channels // 8, 1), max(channels // 2, 1)
        self.gamma = nn.Parameter(torch.tensor(0.0))
        self.theta = layers.conv(channels, keys, 1, bias=False)
        self.phi = layers.conv(channels, keys, 1, bias=False)
        self.g = layers.conv(channels, values, 1, bias=False)
        self.o = layers.conv(values, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Attend."""
        n, _, height, width = x.shape
        queries = self.theta(x).flatten(2).transpose(1, 2)
        keys = F.max_pool2d(self.phi(x), 2).flatten(2).transpose(1, 2)
        # All that follows is linear in the values, so gamma may weigh them, an eighth of the numbers that o gives: its
        # gradient, a sum over all of them, took 9 of 239 ms on an H100 as one over the map.
        values = self.gamma * F.max_pool2d(self.g(x), 2).flatten(2).transpose(1, 2)
        attended = (spelt_out if self.plain else attend)(queries, keys, values)
        return x + self.o(attended.transpose(1, 2).reshape(n, -1, height, width))


def spelt_out(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return softmax(queries keys^T) values, as :func:`attend` does, with the matrix of all pairs."""
    return torch.softmax(queries @ keys.transpose(1, 2), dim=2) @ values


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return softmax(queries keys^T) values, without a scale, in a form that PyTorch's fused kernels take.

    Those never hold the matrix of all pairs of positions. They are particular about numbers of channels, which zeros
    make up: in queries and keys they add nothing to the products, and what they give in values is cut off again.

    Args:
        queries: [N, Q, k].
        keys: [N, K, k].
        values: [N, K, v].

    Returns:
        [N, Q, v], of the inputs' precision.
    """
    channels = values.shape[2]
    pairs = queries.shape[1] * keys.shape[1]
    for_keys, for_values = fused_widths(keys.shape[2], channels, pairs, queries.device.type, queries.dtype)
    attended = F.scaled_dot_product_attention(
        _as_heads(queries, for_keys), _as_heads(keys, for_keys), _as_heads(values, for_values), scale=1.0
    )
    return attended.squeeze(1)[..., :channels]


def fused_widths(keys: int, values: int, pairs: int, device: str, dtype: torch.dtype) -> tuple[int, int]:
    """Return how many channels keys and values must have for a fused kernel of the device to take them.

    The CPU's wants as many of both, and is worth it for :data:`LARGE` ``pairs`` of positions; CUDA's memory-efficient
    one, the only one for float32, wants multiples of 8; CUDA's flash, for narrow types, also as many of both.
    """
    widest = max(keys, values)
    if device == "cpu" and pairs >= LARGE:
        return widest, widest
    if device == "cuda":
        keys, values, widest = (-(-channels // 8) * 8 for channels in (keys, values, widest))
        if dtype in (torch.bfloat16, torch.float16) and widest <= WIDEST_FLASH:
            return widest, widest
    return keys, values


def _as_heads(rows: Tensor, width: int) -> Tensor:
    """Return [N, positions, c] as one head [N, 1, positions, width]; a kernel wants channels innermost in memory."""
    missing = width - rows.shape[2]
    if missing:
        rows = F.pad(rows, (0, missing))
    return (rows if rows.stride(2) == 1 else rows.contiguous()).unsqueeze(1)
