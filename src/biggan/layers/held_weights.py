"""Spectral norm by phase: each layer's W / sigma is made once an update and held for all of its forwards.

Weights change between updates only, so within one there is nothing that a second power iteration could follow. What is
held is a leaf: its gradient gathers over forwards and micro-batches and is pulled back through the division once. With
N = W / sigma and sigma = u W v', u and v held constant,

    dW = (dN - <dN, N> u' v) / sigma.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from biggan.layers.precision import at_least_float32, without_autocast
from biggan.layers.spectral_norm import (
    Division,
    SpectralConv2d,
    SpectrallyNormalized,
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
    divisions = _divided(layers)
    for layer, division in zip(layers, divisions, strict=True):
        _hold(layer, division, narrow)

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
def _divided(layers: Sequence[SpectrallyNormalized]) -> list[Division]:
    """Divide all, once each: the usual ones in training together, any other as it does itself.

    In evaluation what is held is to the bit what a forward would divide.
    """
    alike = [layer for layer in layers if layer.training and layer.v is None]
    usual = [layer for layer in alike if layer.power.iterations == len(layer.u) == 1]
    together = dict(zip(usual, _divided_together(usual), strict=True)) if usual else {}
    return [together[layer] if layer in together else layer.divided() for layer in layers]


@torch.no_grad()
def _divided_together(layers: Sequence[SpectrallyNormalized]) -> list[Division]:
    """Divide layers in training that track one singular value by one iteration.

    Two products a layer are left; what follows them is one kernel for all layers. With r = v W', u = r / |r|, sigma is
    u r', which saves the third product.
    """
    with without_autocast(layers[0].weight):
        weights = [at_least_float32(layer.weight) for layer in layers]
        matrices = [layer.matrix(weight) for layer, weight in zip(layers, weights, strict=True)]
        eps = [layer.power.eps for layer in layers]
        right = _normalized([layer.u.to(W.dtype) @ W for layer, W in zip(layers, matrices, strict=True)], eps)
        reached = [v @ W.T for v, W in zip(right, matrices, strict=True)]
        left = _normalized(reached, eps)
        sigmas = [product.sum() for product in torch._foreach_mul(left, reached)]
        found = [
            Division(weight / sigma, u, v, sigma)
            for weight, u, v, sigma in zip(weights, left, right, sigmas, strict=True)
        ]
    torch._foreach_copy_([layer.u for layer in layers], left)
    torch._foreach_copy_([layer.sigma for layer in layers], [sigma.view(1) for sigma in sigmas])
    return found


def _normalized(vectors: list[Tensor], eps: list[float]) -> list[Tensor]:
    """Return each of ``vectors`` over its length, which is taken for ``eps`` at least."""
    lengths = torch._foreach_clamp_min(torch._foreach_norm(vectors), eps)
    return list(torch._foreach_div(vectors, lengths))


@torch.no_grad()
def _hold(layer: SpectrallyNormalized, division: Division, narrow: torch.dtype | None) -> None:
    convolves = isinstance(layer, SpectralConv2d)
    held = division.weight.to(narrow) if narrow is not None and convolves else division.weight
    layer.held = held.requires_grad_(layer.weight.requires_grad)


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
