"""Mean and covariance of a stream of rows, in float64 and in memory that does not grow with the stream."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.metrics.rows import Rows, as_rows, blocks, wide


@dataclass(frozen=True)
class Gaussian:
    """The normal distribution that has the first two moments of a set of rows.

    Attributes:
        mean: float64 [d].
        covariance: float64 [d, d], symmetric, divisor N - 1.
        count: rows that it was made of; None where a foreign file does not say.
    """

    mean: Tensor
    covariance: Tensor
    count: int | None = None

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.mean.shape != (d,) or self.covariance.shape != (d, d):
            raise ValueError(f"a mean {list(self.mean.shape)} and a covariance {list(self.covariance.shape)}")
        if not bool(torch.isfinite(self.mean).all() and torch.isfinite(self.covariance).all()):
            raise UserError("mean and covariance hold numbers that are not finite; make the statistics again")

    @property
    def dimensions(self) -> int:
        """Return d."""
        return len(self.mean)

    @property
    def too_few(self) -> bool:
        """Whether N rows cannot span all d dimensions: N - 1 < d."""
        return self.count is not None and self.count <= self.dimensions


class Moments:
    """Accumulates count, mean [d] and scatter [d, d] (the sum of outer products of centred rows), float64.

    Sets are joined by the pairwise update of Chan, Golub and LeVeque 1983 ("Algorithms for computing the sample
    variance"): nothing large is ever subtracted, so means far from zero cost no digits, and any order
    of batches, ranks and merges gives the same up to rounding.
    """

    def __init__(self, dimensions: int, device: torch.device | str = "cpu") -> None:
        if dimensions < 1:
            raise ValueError(f"{dimensions} dimensions: use 1 or more")
        self.count = 0
        self.mean = torch.zeros(dimensions, dtype=torch.float64, device=device)
        self.scatter = torch.zeros(dimensions, dimensions, dtype=torch.float64, device=device)

    def add(self, rows: Rows) -> None:
        """Add rows [n, d], float32 or float64, n >= 0, from any device.

        Raises:
            ValueError: rows of another length, or see :func:`~biggan.metrics.rows.as_rows`.
            UserError: numbers that are not finite; nothing was added.
        """
        tensor = as_rows(rows, "features", least=0)
        self._same_length(tensor.shape[1])
        for part in blocks(len(tensor)):
            block = wide(tensor[part]).to(self.mean.device)
            mean = block.mean(dim=0)
            self._join(len(block), mean, block - mean)

    def merge(self, other: Moments) -> None:
        """Add what ``other`` has seen; ``other`` stays as it is.

        Raises:
            ValueError: rows of another length.
        """
        self._same_length(len(other.mean))
        if other.count:
            self.scatter += other.scatter.to(self.scatter.device)
            self._join(other.count, other.mean.to(self.mean.device), None)

    def finish(self) -> Gaussian:
        """Return mean and covariance, divisor N - 1; more may be added afterwards.

        Raises:
            UserError: fewer than two rows.
        """
        if self.count < 2:
            raise UserError(f"a covariance of {self.count} images has no meaning, use 2 or more")
        covariance = self.scatter / (self.count - 1)
        return Gaussian(self.mean.clone(), (covariance + covariance.T) / 2, self.count)

    def _join(self, count: int, mean: Tensor, centred: Tensor | None) -> None:
        """Move mean and scatter as ``count`` rows around ``mean`` demand; ``centred`` are these rows if not yet in."""
        total = self.count + count
        step = mean - self.mean
        between = (step * (self.count * count / total) ** 0.5)[None]
        spread = between if centred is None else torch.cat([centred, between])
        self.scatter.addmm_(spread.T, spread)
        self.mean += step * (count / total)
        self.count = total

    def _same_length(self, dimensions: int) -> None:
        if dimensions != len(self.mean):
            raise ValueError(f"rows of {dimensions} dimensions among rows of {len(self.mean)}")
