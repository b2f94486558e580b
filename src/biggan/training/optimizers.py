"""Adam, fused, so that it can leave everything alone on a flag that stays on the device."""

from __future__ import annotations

from torch import nn
from torch.optim import Adam

from biggan.training.configuration import AdamConfig


def make_adam(network: nn.Module, config: AdamConfig) -> Adam:
    """Return Adam over the parameters of ``network``, in order of definition."""
    return Adam(
        network.parameters(),
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
