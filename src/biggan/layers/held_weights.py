"""Spectral norm by phase: each layer's W / sigma is made once an update and held for all of its forwards.

Weights change between updates only, so within one there is nothing that a second power iteration could follow. What is
held is a leaf: its gradient gathers over forwards and micro-batches and is pulled back through the division once. With
N = W / sigma and sigma = u W v', u and v held constant,

    dW = (dN - <dN, N> u' v) / sigma.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn

from biggan.layers.spectral_norm import (
    Division,
    SpectralConv2d,
    SpectrallyNormalized,
    at_least_float32,
    spectrally_normalized,
)


@contextlib.contextmanager
def held_weights(networks: Iterable[nn.Module], narrow: torch.dtype | None = None) -> Iterator[Callable[[], None]]:
    """Hold the normalised weights of ``networks``; at the end their gradients become those of the weights.

    Networks in training make their power iterations at the start, and none within. An exception loses the gradients.

    Args:
        networks: all that an update calls. Weights that require gradients get them.
        narrow: the type in which filters of convolutions are held; None for their own.

    Yields:
        a function that pulls back what has gathered so far, for who needs the weights' gradients before the end.
    """
    layers = [layer for network in networks for layer in spectrally_normalized(network).values()]
    divisions = [_hold(layer, narrow) for layer in layers]

    def pull_back() -> None:
        for layer, division in zip(layers, divisions, strict=True):
            _pull_back(layer, division)

    try:
        yield pull_back
        pull_back()
    finally:
        for layer in layers:
            layer.held = None


@torch.no_grad()
def _hold(layer: SpectrallyNormalized, narrow: torch.dtype | None) -> Division:
    division = layer.divided()
    convolves = isinstance(layer, SpectralConv2d)
    held = division.weight.to(narrow) if narrow is not None and convolves else division.weight
    layer.held = held.requires_grad_(layer.weight.requires_grad)
    return division


@torch.no_grad()
def _pull_back(layer: SpectrallyNormalized, division: Division) -> None:
    """Add the gradient of what is held to that of the weight."""
    if layer.held is None or layer.held.grad is None:
        return
    taken, layer.held.grad = layer.held.grad, None
    weight, W = layer.weight, layer.matrix(at_least_float32(layer.weight))
    gradient = layer.matrix(at_least_float32(taken))
    along = (gradient * W).sum() / division.sigma  # <dN, N>
    matrix = torch.addr(gradient, division.u[0] * along, division.v[0], alpha=-1).div_(division.sigma)
    found = layer.unfolded(matrix).to(weight.dtype)
    if weight.grad is not None:
        weight.grad.add_(found)
    elif found.stride() == weight.stride():
        weight.grad = found
    else:  # sides of length 1 may lie in any way; Adam's fused kernels want them as the weight's
        weight.grad = torch.empty_like(weight).copy_(found)
