"""The kernel distance: squared maximum mean discrepancy under a polynomial kernel, without bias.

The kernel is that of Bińkowski et al. 2018, the estimate equation 3 of Gretton et al. 2012. It may be negative, and
its expectation does not depend on the number of images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.metrics.rows import BLOCK, Rows, as_pair, blocks, wide

SUBSET_SEED = 2020
"""Seed of torch-fidelity's subsets."""


@dataclass(frozen=True, kw_only=True)
class PolynomialKernel:
    """k(x, y) = (gamma <x, y> + offset) ^ degree."""

    degree: int = 3
    gamma: float | None = None
    """None for 1 / d."""
    offset: float = 1.0

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Return k of all pairs of rows, [n, m] from [n, d] and [m, d]."""
        gamma = 1.0 / x.shape[1] if self.gamma is None else self.gamma
        return (x @ y.T).mul_(gamma).add_(self.offset).pow_(self.degree)


@dataclass(frozen=True, kw_only=True)
class KernelDistance:
    """Mean and spread over the subsets."""

    mean: float
    std: float
    """Standard deviation of the population of subsets (divisor: their number)."""
    subsets: int
    subset_size: int


def kid(
    real: Rows,
    fake: Rows,
    *,
    subsets: int = 100,
    subset_size: int = 1000,
    seed: int = SUBSET_SEED,
    kernel: PolynomialKernel | None = None,
    block: int = BLOCK,
) -> KernelDistance:
    """Return the kernel distance over random subsets, those of torch-fidelity, in float64.

    One ``numpy.random.RandomState(seed)`` draws for each subset first from the real and then from the fake rows,
    without replacement.

    Args:
        real: [n, d], float32 or float64, in the order of the images.
        fake: [m, d], likewise.
        subsets: how many.
        subset_size: rows of each side of a subset.
        seed: of the draws.
        kernel: another polynomial than ((x, y) / d + 1) ^ 3.
        block: rows of the tiles in which a subset is worked on.

    Raises:
        ValueError: see :func:`~biggan.metrics.rows.as_pair`.
        UserError: fewer rows than a subset needs, a subset of fewer than two, or numbers that are not finite.
    """
    if subsets < 1 or subset_size < 2:
        raise UserError(f"kid: {subsets} subsets of {subset_size}; use 1 or more, of 2 or more images")
    one, other = as_pair(real, fake)
    if min(len(one), len(other)) < subset_size:
        raise UserError(
            f"kid: subsets of {subset_size} images from {len(one)} real and {len(other)} fake ones; "
            f"use {subset_size} or more of each, or subset_size {min(len(one), len(other))}"
        )
    rng = np.random.RandomState(seed)
    distances = []
    for _ in range(subsets):
        chosen = [torch.from_numpy(rng.choice(len(x), subset_size, replace=False)) for x in (one, other)]
        x, y = (rows[rows_of.to(rows.device)] for rows, rows_of in zip((one, other), chosen, strict=True))
        distances.append(_unbiased(x, y, kernel or PolynomialKernel(), block))
    return KernelDistance(
        mean=float(np.mean(distances)), std=float(np.std(distances)), subsets=subsets, subset_size=subset_size
    )


def kid_full(real: Rows, fake: Rows, *, kernel: PolynomialKernel | None = None, block: int = BLOCK) -> float:
    """Return the kernel distance over all rows: no draw, no spread, the least variance.

    The means of the kernel over pairs of different real rows and of different fake rows, less twice that over all mixed
    pairs, in float64. The numbers of rows may differ. Memory holds tiles of ``block`` x ``block``.

    Args:
        real: [n, d], float32 or float64, n >= 2.
        fake: [m, d], likewise.
        kernel: another polynomial than ((x, y) / d + 1) ^ 3.
        block: rows of a tile.

    Raises:
        ValueError: see :func:`~biggan.metrics.rows.as_pair`.
        UserError: fewer than two rows, or numbers that are not finite.
    """
    one, other = as_pair(real, fake, least=2)
    return _unbiased(one, other, kernel or PolynomialKernel(), block)


def _unbiased(x: Tensor, y: Tensor, kernel: PolynomialKernel, block: int) -> float:
    n, m = len(x), len(y)
    within = _pairs_within(x, kernel, block) / (n * (n - 1) / 2) + _pairs_within(y, kernel, block) / (m * (m - 1) / 2)
    mixed = math.fsum(
        float(kernel(rows, wide(y[j])).sum())
        for i in blocks(n, block)
        for rows in [wide(x[i])]
        for j in blocks(m, block)
    )
    return within - 2.0 * mixed / (n * m)


def _pairs_within(x: Tensor, kernel: PolynomialKernel, block: int) -> float:
    """Return the sum of the kernel over all pairs i < j."""
    sums = []
    for i in blocks(len(x), block):
        rows = wide(x[i])
        own = kernel(rows, rows)
        sums.append(float(own.fill_diagonal_(0.0).sum()) / 2)
        sums += [float(kernel(rows, wide(x[j])).sum()) for j in blocks(len(x), block) if j.start > i.start]
    return math.fsum(sums)
