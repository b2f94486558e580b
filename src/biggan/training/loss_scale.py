"""Loss scaling for float16 (Micikevicius et al. 2018): small gradients are lifted out of what float16 cannot hold.

Losses are multiplied by a number before the backward pass, gradients divided by it before they are used. Where they
overflow the update is skipped and the number halved; after enough updates without, it is doubled. All of it stays on
the device.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST = 2.0**16
PATIENCE = 2000
"""Updates without overflow after which the scale is doubled."""
LEAST = 1.0
"""Below this it is not the scale that makes gradients overflow."""


def new_scale(device: torch.device) -> Tensor:
    """Return the scale of one network, what it has come through since it changed, and all skipped updates, [3]."""
    return torch.tensor([FIRST, 0.0, 0.0]).to(device)


@torch.no_grad()
def move(scale: Tensor, finite: Tensor) -> Tensor:
    """Change ``scale`` [3] by whether an update's gradients were finite; return whether one that was not is excused."""
    value, clean, skipped = scale.unbind()
    excused = value >= LEAST
    clean = torch.where(finite, clean + 1, torch.zeros_like(clean))
    grown = clean >= PATIENCE
    value = torch.where(finite, torch.where(grown, value * 2, value), value / 2)
    scale.copy_(torch.stack([value, torch.where(grown, torch.zeros_like(clean), clean), skipped + (~finite)]))
    return excused
