"""Activations that are forgotten in the forward pass and computed again in the backward pass (Chen et al. 2016).

A block that is recomputed keeps its inputs alone. Its second pass must be its first: it divides by the same singular
values, and moves nothing. So weights are divided before the first pass and enter both as inputs; running statistics,
which normalise nothing in training, are put aside in the second.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from biggan.layers.normalization import batch_norms
from biggan.layers.spectral_norm import SpectrallyNormalized, spectrally_normalized

Context = contextlib.AbstractContextManager[object]


@dataclass(frozen=True)
class Recomputation:
    """How blocks are recomputed."""

    first: Callable[[], Context] = contextlib.nullcontext
    """Makes a context for the first pass of a block, within which what it saves can be watched."""

    def __call__(self, function: Callable[..., Tensor], parts: Sequence[nn.Module], *inputs: Tensor) -> Tensor:
        """Return ``function(*inputs)``, of which the backward pass keeps the inputs.

        Args:
            function: calls each of ``parts`` at most once, and draws nothing at random.
            parts: the modules that it calls.
            inputs: tensors.
        """
        layers = [layer for part in parts for layer in spectrally_normalized(part).values()]
        weights = [layer.normalized_weight() for layer in layers]

        again = False

        def run(*tensors: Tensor) -> Tensor:
            nonlocal again
            context = _statistics_aside(parts) if again else self.first()
            again = True
            with context, _holding(layers, tensors[len(inputs) :]):
                return function(*tensors[: len(inputs)])

        output: Tensor = checkpoint(run, *inputs, *weights, use_reentrant=False, preserve_rng_state=False)
        return output


class Recomputing(nn.Module):
    """A network whose blocks can be recomputed."""

    recompute: Recomputation | None = None
    """How its blocks are, where gradients are asked for; None to keep everything that the backward pass needs."""

    def through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """Return ``block(*inputs)``."""
        return self.through_parts(block, (block,), *inputs)

    def through_parts(self, function: Callable[..., Tensor], parts: Sequence[nn.Module], *inputs: Tensor) -> Tensor:
        """Return ``function(*inputs)``, which calls each of ``parts`` once."""
        if self.recompute is None or not torch.is_grad_enabled():
            return function(*inputs)
        return self.recompute(function, parts, *inputs)


@contextlib.contextmanager
def _holding(layers: Sequence[SpectrallyNormalized], weights: Sequence[Tensor]) -> Iterator[None]:
    """Let ``layers`` compute with these normalised weights, whatever they hold."""
    before = [layer.held for layer in layers]
    try:
        for layer, weight in zip(layers, weights, strict=True):
            layer.held = weight
        yield
    finally:
        for layer, held in zip(layers, before, strict=True):
            layer.held = held


@contextlib.contextmanager
def _statistics_aside(parts: Sequence[nn.Module]) -> Iterator[None]:
    """Let running statistics move in copies that are thrown away, and gather nothing."""
    norms = [norm for part in parts for norm in batch_norms(part).values()]
    kept = [(norm.running_mean, norm.running_var, norm.gathered) for norm in norms]
    try:
        for norm, (mean, variance, _) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var, norm.gathered = mean.clone(), variance.clone(), None
        yield
    finally:
        for norm, (mean, variance, gathered) in zip(norms, kept, strict=True):
            norm.running_mean, norm.running_var, norm.gathered = mean, variance, gathered
