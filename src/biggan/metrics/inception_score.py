"""The Inception Score: confident about each image, undecided over all (Salimans et al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.metrics.rows import Rows, as_rows, wide

SHUFFLE_SEED = 2020
"""Seed of torch-fidelity's shuffle."""


@dataclass(frozen=True, kw_only=True)
class InceptionScore:
    """Mean and spread over the splits."""

    mean: float
    """Between 1 and the number of classes, larger is better."""
    std: float
    """Standard deviation of the population of splits (divisor: their number)."""
    splits: int
    """How many parts the images were cut into."""
    count: int
    """Images that were used."""


def inception_score(
    logits: Rows, *, splits: int = 10, seed: int | None = SHUFFLE_SEED, equal_splits: bool = False
) -> InceptionScore:
    """Return exp of the mean divergence of p(class | image) from p(class), over parts of the images, in float64.

    As torch-fidelity: rows are shuffled by numpy's ``RandomState(2020).permutation`` and cut at ``i * N // splits``, so
    that all are used. As BigGAN-PyTorch: ``seed=None, equal_splits=True``.

    The divergence is taken as H(p(class)) - mean H(p(class | image)), which is the same (Barratt and Sharma 2018, as
    mutual information) and has a value where a probability is zero.

    Args:
        logits: [N, K] before the softmax, float32 or float64, in the order of the images.
        splits: number of parts.
        seed: of the shuffle; None leaves the order as it is. Images that lie sorted by class must be shuffled.
        equal_splits: parts of ``N // splits`` rows; the rest is dropped.

    Raises:
        ValueError: see :func:`~biggan.metrics.rows.as_rows`.
        UserError: fewer images than parts, or logits that are not finite.
    """
    if splits < 1:
        raise UserError(f"inception_score: {splits} splits, use 1 or more")
    rows = as_rows(logits, "logits", least=splits)
    n = len(rows)
    if seed is not None:
        order = torch.from_numpy(np.random.RandomState(seed).permutation(n))
        rows = rows[order.to(rows.device)]
    edges = [i * (n // splits) if equal_splits else i * n // splits for i in range(splits + 1)]
    scores = [_score(rows[start:end]) for start, end in pairwise(edges)]
    return InceptionScore(mean=float(np.mean(scores)), std=float(np.std(scores)), splits=splits, count=edges[-1])


def _score(logits: Tensor) -> float:
    """Return the score of one part."""
    chances = wide(logits).softmax(dim=1)
    undecided = torch.special.entr(chances.mean(dim=0)).sum()
    unsure = torch.special.entr(chances).sum(dim=1).mean()
    return float((undecided - unsure).exp())
