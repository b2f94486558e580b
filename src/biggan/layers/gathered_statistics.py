"""Running statistics by phase: they move once an update, by the moments of all its groups.

A group is a micro-batch of one rank. With n forwards of a layer in the phase, over all ranks, and m the momentum,

    running <- (1 - m)^n running + (1 - (1 - m)^n) mean of the groups' moments, weighted by images:

as far as n steps of the momentum would go, and in no order. Sums of moments are what ranks add up, so that what comes
out does not depend on which of them saw which group.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from biggan.layers.normalization import BatchNorm, batch_norms


@contextlib.contextmanager
def gathered_statistics(networks: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """Let the normalisations of ``networks`` gather moments instead of moving their running statistics.

    Yields:
        the sums, [2 C + 2] each: ranks add theirs up, within the context. At its end the running statistics move.
    """
    layers = [layer for network in networks for layer in batch_norms(network).values()]
    for layer in layers:
        layer.gathered = layer.running_mean.new_zeros(2 * len(layer.running_mean) + 2)
    try:
        yield [layer.gathered for layer in layers if layer.gathered is not None]
        for layer in layers:
            _move(layer)
    finally:
        for layer in layers:
            layer.gathered = None


@torch.no_grad()
def _move(layer: BatchNorm) -> None:
    """Move the running statistics by what was gathered; not at all by nothing."""
    if layer.gathered is None:
        return
    channels = len(layer.running_mean)
    means, variances, (images, forwards) = torch.split(layer.gathered, [channels, channels, 2])
    share = 1 - torch.pow(1 - layer.momentum, forwards)
    images = images.clamp(min=1)
    layer.running_mean.lerp_(means / images, share)
    layer.running_var.lerp_(variances / images, share)
