"""Spectral norm by phase: each layer's W / sigma is made once an update and held for all of its forwards.

Weights change between updates only, so within one there is nothing that a second power iteration could follow. What is
held is a leaf: its gradient gathers over forwards and micro-batches and is pulled back through the division once. With
N = W / sigma and sigma = u W v', u and v held constant,

    dW = (dN - <dN, N> u' v) / sigma.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from biggan.layers.spectral_norm import (
    SpectralConv2d,
    SpectrallyNormalized,
    at_least_float32,
    spectrally_normalized,
    without_autocast,
)


@dataclass(frozen=True)
class _Division:
    """How one weight was divided."""

    layer: SpectrallyNormalized
    held: Tensor
    u: Tensor
    v: Tensor
    sigma: Tensor

    def pull_back(self) -> None:
        """Add the gradient of what was held to that of the weight."""
        if self.held.grad is None:
            return
        weight, W = self.layer.weight, self.layer.matrix(at_least_float32(self.layer.weight))
        gradient = self.layer.matrix(at_least_float32(self.held.grad))
        along = (gradient * W).sum() / self.sigma  # <dN, N>
        found = torch.addr(gradient, self.u[0] * along, self.v[0], alpha=-1).div_(self.sigma)
        shaped = self.layer.unfolded(found).to(weight.dtype)
        if weight.grad is not None:
            weight.grad.add_(shaped)
        elif shaped.stride() == weight.stride():
            weight.grad = shaped
        else:  # sides of length 1 may lie in any way; Adam's fused kernels want them as the weight's
            weight.grad = torch.empty_like(weight).copy_(shaped)


@contextlib.contextmanager
def held_weights(networks: Iterable[nn.Module], narrow: torch.dtype | None = None) -> Iterator[None]:
    """Hold the normalised weights of ``networks``; at the end their gradients become those of the weights.

    Networks in training make their power iterations at the start, and none within. An exception loses the gradients.

    Args:
        networks: all that an update calls. Weights that require gradients get them.
        narrow: the type in which filters of convolutions are held; None for their own.
    """
    divisions = [_divide(layer, narrow) for network in networks for layer in spectrally_normalized(network).values()]
    try:
        yield
    finally:
        for division in divisions:
            division.layer.held = None
    with torch.no_grad():
        for division in divisions:
            division.pull_back()


@torch.no_grad()
def _divide(layer: SpectrallyNormalized, narrow: torch.dtype | None) -> _Division:
    with without_autocast(layer.weight):
        weight = at_least_float32(layer.weight)
        W = layer.matrix(weight)
        left, right = layer.vectors(W)
        u, v = left[0], right[0]
        sigma = torch.squeeze(v @ W.T @ u.T)
        layer.log(W, sigma, left, right)
        held = weight / sigma
    if narrow is not None and isinstance(layer, SpectralConv2d):
        held = held.to(narrow)
    layer.held = held.requires_grad_(layer.weight.requires_grad)
    return _Division(layer, held, u, v, sigma)
