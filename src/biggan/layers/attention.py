"""Self-attention over positions (Zhang et al. 2019, section 3), as its published code has it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.spectral_norm import LayerFactory


class SelfAttention(nn.Module):
    """x + gamma * o(attention(theta(x), phi(x), g(x))), [N, C, H, W] -> [N, C, H, W].

    Queries see keys and values max-pooled 2x2; key channels are C/8, value channels C/2; there is no 1/sqrt(d).
    gamma starts at zero, so a new layer is the identity.
    """

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
        values = F.max_pool2d(self.g(x), 2).flatten(2).transpose(1, 2)
        # The fused kernels take [N, heads, positions, channels].
        attended = F.scaled_dot_product_attention(
            queries.unsqueeze(1), keys.unsqueeze(1), values.unsqueeze(1), scale=1.0
        ).squeeze(1)
        return x + self.gamma * self.o(attended.transpose(1, 2).reshape(n, -1, height, width))
