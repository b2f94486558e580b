"""Passes beside the one that trains: they move nothing, and can be differentiated twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

from biggan.layers.attention import SelfAttention
from biggan.layers.normalization import BatchNorm
from biggan.layers.spectral_norm import SpectrallyNormalized


@contextlib.contextmanager
def still(network: nn.Module) -> Iterator[None]:
    """Let passes through ``network`` leave power iterations and running statistics where they are.

    It computes as it does in its mode all the same: in training by the moments of the batch.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, (SpectrallyNormalized, BatchNorm))]
    for layer in layers:
        layer.still = True
    try:
        yield
    finally:
        for layer in layers:
            layer.still = False


@contextlib.contextmanager
def plain_attention(network: nn.Module) -> Iterator[None]:
    """Let attention in ``network`` be computed by its formula: fused kernels have no second derivative."""
    layers = [layer for layer in network.modules() if isinstance(layer, SelfAttention)]
    for layer in layers:
        layer.plain = True
    try:
        yield
    finally:
        for layer in layers:
            layer.plain = False
