"""Adam, fused, so that it can leave everything alone on a flag that stays on the device."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn
from torch.optim import Adam

from biggan.training.configuration import AdamConfig


def make_adam(network: nn.Module, config: AdamConfig, new: Collection[str] = (), factor: float = 1.0) -> Adam:
    """Return Adam over the parameters of ``network``, in order of definition; the ``new`` ones learn at another rate.

    Args:
        network: what learns.
        config: how.
        new: names of parameters; others than the network's are no matter.
        factor: their learning rate relative to the others'.
    """
    rest = [parameter for name, parameter in network.named_parameters() if factor == 1.0 or name not in new]
    apart = [parameter for name, parameter in network.named_parameters() if factor != 1.0 and name in new]
    groups: list[dict[str, Any]] = [
        {"params": rest},
        *([{"params": apart, "lr": factor * config.learning_rate}] if apart else []),
    ]
    return Adam(
        groups,
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
        fused=True,
    )
