"""Features of a small network that was never trained: they stay the same for the whole of a run, and cost nothing.

That random convolutions tell sets of images apart which no trained network knows is what Naeem et al. 2020 found
("Reliable fidelity and diversity metrics", R64); these are much smaller, because they are asked for every few minutes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.foundation.seeding import normals

_SIDE = 32
"""Larger images are averaged down to this."""
_WIDTHS = (32, 64)
_GRID = 2
"""Features are means over so many parts of an image each way, so that place counts a little."""


def random_features(images: Tensor) -> Tensor:
    """Return features float32 [N, 64 * 4 + C * 16] of images float [N, C, H, W] in [-1, 1].

    Two convolutions with random filters, each over half as many places, and the image itself at 4x4.
    """
    x = images.detach().float()
    if max(x.shape[2:]) > _SIDE:
        x = F.adaptive_avg_pool2d(x, (min(x.shape[2], _SIDE), min(x.shape[3], _SIDE)))
    coarse = F.adaptive_avg_pool2d(x, 4).flatten(1)
    for number, width in enumerate(_WIDTHS):
        x = F.relu(F.conv2d(x, _filters(number, width, x.shape[1]).to(x.device), stride=2, padding=1))
    return torch.cat([F.adaptive_avg_pool2d(x, _GRID).flatten(1), coarse], dim=1)


def _filters(number: int, width: int, channels: int) -> Tensor:
    """Return float32 [width, channels, 3, 3] that keeps the size of what it is given."""
    rows = torch.from_numpy(normals(0, f"random filters {number}", 0, 0, width, channels * 9))
    return rows.view(width, channels, 3, 3) * (2.0 / (channels * 9)) ** 0.5
