"""Normalisations of the generator, without affine parameters, and the two ways of adding gain and bias.

A normalisation is a child of its own, so that another kind can be put in its place without touching the blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.precision import at_least_float32

RUNNING_STATISTICS = ("running_mean", "running_var")


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015): [N, C, H, W] -> [N, C, H, W], mean 0 and variance 1 a channel.

    Buffers ``running_mean`` [C] and ``running_var`` [C] (with Bessel's correction, as is PyTorch's custom).
    """

    running_mean: Tensor
    running_var: Tensor
    still: bool = False
    """While passes move nothing, see :mod:`biggan.layers.standing_still`."""
    gathered: Tensor | None
    """While moments are gathered over a phase, their sums, see :mod:`biggan.layers.gathered_statistics`: means and
    variances times images [C] each, images, forwards."""

    def __init__(self, channels: int, eps: float, momentum: float) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gathered = None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise by the batch in training (and move the running statistics), by these in evaluation."""
        mean, variance, momentum = self._moving()
        y = F.batch_norm(x, mean, variance, None, None, self.training, momentum, self.eps)
        if self.gathered is not None and self.training:
            self._gather(mean, variance, x)
        return y

    def _moving(self) -> tuple[Tensor, Tensor, float]:
        """Return what a kernel moves, and how far: the running statistics, or empty ones that become the batch's."""
        if not self.training or (self.gathered is None and not self.still):
            return self.running_mean, self.running_var, self.momentum
        return torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var), 1.0

    @torch.no_grad()
    def _gather(self, mean: Tensor, variance: Tensor, x: Tensor) -> None:
        """Add the moments of a batch ``x``, as they move running statistics, to what is gathered."""
        assert self.gathered is not None
        if self.still:
            return
        images = len(x)
        one = self.gathered.new_ones(2)
        one[1] /= images
        self.gathered.add_(torch.cat([mean, variance, one]), alpha=images)

    def batch_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean [C] and variance [C] (biased: the one that normalises) over N, H and W."""
        variance, mean = torch.var_mean(at_least_float32(x), dim=(0, 2, 3), correction=0)
        return mean, variance


class BiasedBatchNorm(BatchNorm):
    """The reference's second batch norm: variance as E[x^2] - E[x]^2, stored without Bessel's correction.

    Moments are computed in float32 whatever x is, a habit that belongs to what is reproduced.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        if not self.training:
            return super().forward(x)
        mean, variance = self.batch_moments(x)
        if self.gathered is not None:
            self._gather(mean, variance, x)
        elif not self.still:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
        scale = torch.rsqrt(variance + self.eps)[:, None, None]
        return ((x - mean[:, None, None]) * scale).to(x.dtype)

    def batch_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean [C] and biased variance [C]."""
        single = x.float()
        mean = single.mean(dim=(0, 2, 3))
        variance = single.square().mean(dim=(0, 2, 3)) - mean.square()
        kept = torch.promote_types(x.dtype, torch.float32)
        return mean.to(kept), variance.to(kept)


class InstanceNorm(nn.Module):
    """Instance normalisation (Ulyanov et al. 2016): each image and channel by its own moments, in both modes."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return F.instance_norm(x, eps=self.eps)


class RunningInstanceNorm(BatchNorm):
    """The reference's instance norm: it keeps running statistics and normalises by them in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        mean, variance, momentum = self._moving()
        y = F.instance_norm(x, mean, variance, None, None, self.training, momentum, self.eps)
        if self.gathered is not None and self.training:
            self._gather(mean, variance, x)
        return y


class GroupNorm(nn.Module):
    """Group normalisation (Wu and He 2018), at most 32 groups of at least 4 channels."""

    def __init__(self, channels: int, eps: float, groups: int | None = None) -> None:
        super().__init__()
        most = max(min(32, channels // 4), 1)
        self.groups = groups or max(g for g in range(1, most + 1) if channels % g == 0)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return F.group_norm(x, self.groups, eps=self.eps)


class AffineNorm(nn.Module):
    """norm(x) * gain + bias with learnt gain [C] and bias [C]."""

    def __init__(self, norm: nn.Module, channels: int) -> None:
        super().__init__()
        self.norm = norm
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:  # noqa: ARG002 - one call for both kinds
        """Normalise, scale and shift; ``condition`` is not used."""
        return torch.addcmul(self.bias[:, None, None], self.norm(x), self.gain[:, None, None])


class ConditionalNorm(nn.Module):
    """norm(x) * (centre + gain(condition)) + bias(condition) (Dumoulin et al. 2017; centre 1 by BigGAN app. B).

    ``gain`` and ``bias`` are linear in the condition: float [N, n], or class labels int64 [N] for class tables.
    """

    def __init__(self, norm: nn.Module, gain: nn.Module, bias: nn.Module, centre: float = 1.0) -> None:
        super().__init__()
        self.norm = norm
        self.centre = centre
        self.gain = gain
        self.bias = bias

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise, scale and shift x [N, C, H, W]."""
        gain = self.centre + self.gain(condition)[:, :, None, None]
        bias = self.bias(condition)[:, :, None, None]
        return torch.addcmul(bias, self.norm(x), gain)


@dataclass(frozen=True, kw_only=True)
class NormOptions:
    """Which normalisation a generator uses."""

    kind: str = "batch"
    eps: float = 1e-5
    momentum: float = 0.1
    biased: bool = False
    running_instance: bool = False

    def make(self, channels: int) -> nn.Module:
        """Return the normalisation for ``channels`` channels."""
        kinds: dict[str, Callable[[], nn.Module]] = {
            "batch": lambda: (BiasedBatchNorm if self.biased else BatchNorm)(channels, self.eps, self.momentum),
            "instance": lambda: (
                RunningInstanceNorm(channels, self.eps, self.momentum)
                if self.running_instance
                else InstanceNorm(self.eps)
            ),
            "group": lambda: GroupNorm(channels, self.eps),
            "layer": lambda: GroupNorm(channels, self.eps, groups=1),
            "none": nn.Identity,
        }
        return kinds[self.kind]()


def batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """Return the layers of ``network`` that keep running statistics, by name."""
    return {name: layer for name, layer in network.named_modules() if isinstance(layer, BatchNorm)}
