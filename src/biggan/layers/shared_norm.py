"""Batch normalisation over several ranks: the moments of one group that lies on many devices.

Each rank takes count, mean and squared deviations of what it has; these are gathered and merged (Chan, Golub and
LeVeque 1979, equation 2.1b), without the difference of large numbers that E[x^2] - E[x]^2 is, and unequal shares weigh
as many images as they have. Gathering is differentiable, so that a gradient reaches the images of every rank.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from biggan.layers.normalization import BatchNorm, batch_norms
from biggan.layers.precision import at_least_float32

Gather = Callable[[Tensor], Tensor]
"""Takes a vector [n] of this rank, returns those of all ranks of its group [ranks, n], differentiably."""


class SharedBatchNorm(BatchNorm):
    """Batch normalisation by the moments of all ranks of a group; in evaluation the plain one."""

    def __init__(self, norm: BatchNorm, gather: Gather, ranks: int) -> None:
        """Take the place of ``norm``, with its running statistics.

        Args:
            norm: the plain one.
            gather: gathers moments from the ranks of the group.
            ranks: how many they are.
        """
        nn.Module.__init__(self)
        self.eps, self.momentum, self.gathered = norm.eps, norm.momentum, norm.gathered
        self.gather, self.ranks = gather, ranks
        self.register_buffer("running_mean", norm.running_mean)
        self.register_buffer("running_var", norm.running_var)
        self.train(norm.training)

    def __deepcopy__(self, memo: dict[int, object]) -> BatchNorm:
        """Return a plain one: a copy is called by one process, and the others would be waited for."""
        copied = BatchNorm(len(self.running_mean), self.eps, self.momentum)
        copied.running_mean, copied.running_var = self.running_mean.clone(), self.running_var.clone()
        memo[id(self)] = copied
        return copied.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the moments of all ranks in training."""
        if not self.training:
            return super().forward(x)
        wide = at_least_float32(x)
        variance, mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
        here = mean.new_full((1,), x.numel() // x.shape[1])
        counts, means, deviations = torch.split(
            self.gather(torch.cat([here, mean, variance * here])), [1, len(mean), len(mean)], dim=1
        )
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        variance = (deviations + counts * (means - mean).square()).sum(0) / count
        self._move(mean.detach(), variance.detach() * count / (count - 1), len(x))
        scale = torch.rsqrt(variance + self.eps)[:, None, None]
        return ((wide - mean[:, None, None]) * scale).to(x.dtype)

    @torch.no_grad()
    def _move(self, mean: Tensor, variance: Tensor, images: int) -> None:
        """Move the running statistics; of what is gathered, the ranks of a group make one forward together."""
        if self.still:
            return
        if self.gathered is None:
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            return
        once = self.gathered.new_full((2,), float(images))
        once[1] = 1 / self.ranks
        self.gathered.add_(torch.cat([mean * images, variance * images, once]))


def share_batch_norms(network: nn.Module, gather: Gather, ranks: int) -> int:
    """Let the batch norms of ``network`` share moments; return how many there are."""
    plain = {name: layer for name, layer in batch_norms(network).items() if type(layer) is BatchNorm}
    for name, layer in plain.items():
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, SharedBatchNorm(layer, gather, ranks))
    return len(plain)
