"""Initial weights of convolutions, linear layers and embeddings; biases keep PyTorch's custom."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

INITIALIZATIONS: dict[str, Callable[[Tensor], object]] = {
    "orthogonal": nn.init.orthogonal_,  # Saxe et al. 2014; BigGAN
    "normal": lambda weight: nn.init.normal_(weight, 0.0, 0.02),  # DCGAN, BigGAN's CIFAR recipe
    "xavier": nn.init.xavier_uniform_,  # Glorot and Bengio 2010; SNGAN, SAGAN
}


def initialize(network: nn.Module, how: str) -> None:
    """Overwrite the weights of ``network`` from the global generator of torch."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.Embedding):
            INITIALIZATIONS[how](layer.weight)
