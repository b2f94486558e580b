"""Initial weights of convolutions, linear layers and embeddings; biases keep PyTorch's custom, or are 0 (he)."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

INITIALIZATIONS: dict[str, Callable[[Tensor], object]] = {
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014; BigGAN
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),  # DCGAN, BigGAN's CIFAR recipe
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010; SNGAN, SAGAN
}
_RELU = math.sqrt(2)


def with_gain(layer: nn.Module, gain: float) -> nn.Module:
    """Return ``layer``, whose weights begin ``gain`` times as large as those that keep variances (``he`` only)."""
    layer.initial_gain = gain  # type: ignore[assignment]  # no parameter
    return layer


def initialize(network: nn.Module, how: str) -> None:
    """Overwrite the weights of ``network`` from the global generator of torch."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            if how == "he":
                _normal_by_fan_in(layer)
            else:
                INITIALIZATIONS[how](layer.weight)


def _normal_by_fan_in(layer: nn.Conv2d | nn.Linear | nn.Embedding) -> None:
    """Draw weights from N(0, gain^2 / fan-in), gain sqrt(2) unless the layer says another (He et al. 2015); biases 0.

    Classes are what goes into an embedding.
    """
    fan_in = len(layer.weight) if isinstance(layer, nn.Embedding) else layer.weight[0].numel()
    gain = float(getattr(layer, "initial_gain", _RELU))
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
