"""The vision transformer of DINOv2 (Oquab et al. 2023), by the names of its published weights.

It is written here because its makers' code comes from a repository's newest commit, and would be run unseen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_EPSILON = 1e-6
_OFFSET = 0.1
"""Added to the sides of the grid when places are interpolated: the published features have this factor's rounding."""


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """How large a network is; the defaults are ViT-L/14, trained at 518 px."""

    width: int = 1024
    depth: int = 24
    heads: int = 16
    patch: int = 14
    side: int = 37
    """Patches a side for which places were trained."""


class VisionTransformer(nn.Module):
    """Images float [B, 3, H, W], normalized, to the class token [B, width]; H and W are multiples of the patch."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.shape = shape
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.mask_token = nn.Parameter(torch.zeros(1, shape.width))  # of training; part of the weights' names only
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + shape.side**2, shape.width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, shape.width, shape.patch, shape.patch)})
        self.blocks = nn.ModuleList(_Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network says of whole images."""
        x = self.patch_embed["proj"](x)
        grid = (x.shape[2], x.shape[3])
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2)], dim=1)
        tokens = tokens + self._places(grid)
        for block in self.blocks:
            tokens = block(tokens)
        rows: Tensor = self.norm(tokens)[:, 0]
        return rows

    def _places(self, grid: tuple[int, int]) -> Tensor:
        """Return the trained places, [1, 1 + patches, width], interpolated to a grid of another size."""
        side = self.shape.side
        if grid == (side, side):
            return self.pos_embed
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        square = of_patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
        factors = ((grid[0] + _OFFSET) / side, (grid[1] + _OFFSET) / side)
        found = F.interpolate(square, scale_factor=factors, mode="bicubic")
        return torch.cat([of_class, found.flatten(2).transpose(1, 2)], dim=1)


class _Block(nn.Module):
    """Attention, then a perceptron, each scaled by channel and added."""

    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.attn = _Attention(shape)
        self.ls1 = _Scale(shape.width)
        self.norm2 = nn.LayerNorm(shape.width, eps=_EPSILON)
        self.mlp = _Perceptron(shape.width)
        self.ls2 = _Scale(shape.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class _Attention(nn.Module):
    def __init__(self, shape: TransformerShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.proj = nn.Linear(shape.width, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        parts = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        seen = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(seen.transpose(1, 2).reshape(n, tokens, width))


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))
