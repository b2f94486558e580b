"""How much of the fakes lies among the real images, and how much of these is reached: counts of balls.

A ball around a row reaches to its k-th nearest neighbour of the same set. Kynkäänniemi et al. 2019, "Improved precision
and recall metric for assessing generative models"; Naeem et al. 2020, "Reliable fidelity and diversity metrics for
generative models".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.metrics.distances import Points, common_points, own_radii, tiles
from biggan.metrics.rows import BLOCK, Rows, as_pair


@dataclass(frozen=True, kw_only=True)
class PrecisionRecall:
    """Shares between 0 and 1."""

    precision: float
    """Fakes that lie in a ball of a real row."""
    recall: float
    """Real rows that lie in a ball of a fake."""
    k: int

    @property
    def f_score(self) -> float:
        """Harmonic mean; 0 where both are."""
        return 2.0 * self.precision * self.recall / max(1e-5, self.precision + self.recall)


@dataclass(frozen=True, kw_only=True)
class PRDC:
    """Precision, recall, density, coverage."""

    precision: float
    """Fakes inside a ball of a real row, as a share."""
    recall: float
    """Real rows inside a ball of a fake, as a share."""
    density: float
    """Real balls around a fake, over k, on average; may pass 1."""
    coverage: float
    """Balls of real rows that hold a fake, as a share."""
    k: int
    radii: tuple[Tensor, Tensor]
    """Radii of the real and of the fake balls, float64 [n] and [m]."""


def precision_recall(real: Rows, fake: Rows, *, k: int = 3, block: int = BLOCK) -> PrecisionRecall:
    """Return precision and recall as torch-fidelity: distances in float32, the rim belongs to the ball.

    Args:
        real: [n, d], float32 or float64.
        fake: [m, d], likewise.
        k: which neighbour gives the radius.
        block: rows of a tile; memory is a few tiles of ``block`` x ``block``.

    Raises:
        ValueError: k below 1, or see :func:`~biggan.metrics.rows.as_pair`.
        UserError: k rows or fewer on a side, or numbers that are not finite.
    """
    a, b = common_points(*as_pair(real, fake), dtype=torch.float32)
    counts = _Counts(a, b, own_radii(a, k, block), own_radii(b, k, block), block, rim=True)
    return PrecisionRecall(precision=_share(counts.around_fake), recall=_share(counts.around_real), k=k)


def prdc(real: Rows, fake: Rows, *, k: int = 5, block: int = BLOCK) -> PRDC:
    """Return precision, recall, density and coverage as their paper: distances in float64, the rim is outside.

    Args:
        real: [n, d], float32 or float64.
        fake: [m, d], likewise.
        k: which neighbour gives the radius.
        block: rows of a tile; memory is a few tiles of ``block`` x ``block``.

    Raises:
        ValueError: k below 1, or see :func:`~biggan.metrics.rows.as_pair`.
        UserError: k rows or fewer on a side, or numbers that are not finite.
    """
    a, b = common_points(*as_pair(real, fake), dtype=torch.float64)
    radii = own_radii(a, k, block), own_radii(b, k, block)
    counts = _Counts(a, b, *radii, block, rim=False)
    return PRDC(
        precision=_share(counts.around_fake),
        recall=_share(counts.around_real),
        density=int(counts.around_fake.sum()) / (k * len(b)),
        coverage=_share(counts.inside_real),
        k=k,
        radii=radii,
    )


class _Counts:
    """Which rows lie in how many balls of the other set.

    Attributes:
        around_fake: real balls that hold each fake, int64 [m].
        around_real: fake balls that hold each real row, int64 [n].
        inside_real: fakes that each real ball holds, int64 [n].
    """

    def __init__(
        self, real: Points, fake: Points, real_radii: Tensor, fake_radii: Tensor, block: int, *, rim: bool
    ) -> None:
        device = real_radii.device
        self.around_fake = torch.zeros(len(fake), dtype=torch.int64, device=device)
        self.around_real = torch.zeros(len(real), dtype=torch.int64, device=device)
        self.inside_real = torch.zeros_like(self.around_real)
        within = torch.le if rim else torch.lt
        for i, j, tile in tiles(real, fake, block):
            in_real = within(tile, real_radii[i, None])
            self.around_fake[j] += in_real.sum(dim=0)
            self.inside_real[i] += in_real.sum(dim=1)
            self.around_real[i] += within(tile, fake_radii[None, j]).sum(dim=1)


def _share(counts: Tensor) -> float:
    """Return the share of counts that are not zero."""
    return int(counts.count_nonzero()) / len(counts)
