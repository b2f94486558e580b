"""The gradient noise scale (McCandlish et al. 2018, "An empirical model of large-batch training", appendix A.1).

With g_b the mean gradient over b images and g_B that over B > b that contain them,

    S = (|g_b|^2 - |g_B|^2) / (1/b - 1/B)      estimates the trace of the covariance of one image's gradient,
    G2 = (B |g_B|^2 - b |g_b|^2) / (B - b)     estimates the squared length of the true gradient,

each averaged over many updates, and their ratio is the batch at which noise and signal are alike. Nothing is computed
twice for it: g_b is what has gathered after the first group of an update, g_B what there is at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class NoiseScale:
    """Both estimates for one network, summed up on the device since they were last taken, and over an interval."""

    def __init__(self, device: torch.device, interval: Sequence[float] = (0.0, 0.0, 0.0)) -> None:
        """Begin.

        Args:
            device: where the sums are.
            interval: the sums over what has passed of the interval, of a run that goes on.
        """
        self.sums = torch.zeros(2, 3, device=device)
        """S and G2 times images, and images, [2, 3]: since they were last taken, and since the interval began. Two
        rows, because a sum depends on its order, and the intervals of the log are no part of a run."""
        if any(interval):
            self.sums[1] = torch.tensor(interval).to(device)

    @torch.no_grad()
    def add(self, first: Tensor, whole: Tensor, batch: int) -> None:
        """Add one update.

        Args:
            first: [3] of the first group of each rank, summed over ranks: |g_b|^2, 1/b, and 1 a rank.
            whole: |g_B|^2, a number.
            batch: B.
        """
        squared, inverse, ranks = first.unbind()
        squared, small = squared / ranks, ranks / inverse
        noise = (squared - whole) / (1 / small - 1 / batch)
        signal = (batch * whole - small * squared) / (batch - small)
        found = torch.stack([noise, signal, torch.ones_like(noise)]) * batch
        # An update that overflowed, and is skipped, says nothing.
        self.sums += torch.where(torch.isfinite(found).all(), found, torch.zeros_like(found)).to(self.sums.dtype)

    def take(self) -> Tensor:
        """Return the sums since they were last taken, [3], and begin anew."""
        taken = self.sums[0].clone()
        self.sums[0].zero_()
        return taken

    def interval(self) -> Tensor:
        """Return the sums since the interval began, [3], finite."""
        return torch.nan_to_num(self.sums[1])

    def begin_interval(self) -> None:
        """Begin another one."""
        self.sums[1].zero_()


def ratio(sums: Sequence[float]) -> float | None:
    """Return the noise scale in images; None where nothing was added or the signal drowned."""
    noise, signal, images = sums
    return noise / signal if images and noise > 0 and signal > 0 else None


def exceeds(sums: Sequence[float], batch: int) -> bool:
    """Tell whether the noise scale is above ``batch``; so it is where the signal drowned in the noise."""
    noise, signal, _ = sums
    return noise > 0 and noise > batch * signal
