"""Rows to measure, and distances between them by formulas written out at length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import settings
from hypothesis import strategies as st

from biggan.metrics.frechet import frechet_distance
from biggan.metrics.moments import Gaussian, Moments

Array = npt.NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None, derandomize=True)


def draw(seed: int, n: int, d: int, spread: float = 1.0, offset: float = 0.0) -> torch.Tensor:
    """Return correlated rows; the deviations of their principal axes fall from 1 to ``spread``."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))[0]
    return torch.from_numpy((rng.standard_normal((n, d)) * np.geomspace(1.0, spread, d)) @ axes.T + offset)


def gaussian(rows: torch.Tensor, batch: int = 1000) -> Gaussian:
    moments = Moments(rows.shape[1])
    for part in rows.split(batch):
        moments.add(part)
    return moments.finish()


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    return frechet_distance(gaussian(a), gaussian(b)).distance


def exact(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the distance by singular values of the product of centred rows, or of their triangles, no covariance."""
    means, factors = [], []
    for rows in (a.numpy(), b.numpy()):
        means.append(rows.mean(axis=0))
        centred = (rows - means[-1]) / np.sqrt(len(rows) - 1)
        factors.append(centred if len(rows) <= rows.shape[1] else np.linalg.qr(centred, mode="r"))
    root = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
    return float(np.sum((means[0] - means[1]) ** 2) + sum(np.sum(f * f) for f in factors) - 2 * root)


def by_eigenvalues(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the distance as the libraries compute it."""
    x, y = np.cov(a.T.numpy()), np.cov(b.T.numpy())
    root = np.sqrt(np.linalg.eigvals(x @ y).astype(complex)).real.sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + np.trace(x) + np.trace(y) - 2 * root)


def all_distances(x: torch.Tensor, y: torch.Tensor) -> Array:
    difference: Array = x.double().numpy()[:, None] - y.double().numpy()[None]
    return np.sqrt((difference**2).sum(axis=-1))


def accumulated(rows: torch.Tensor) -> Moments:
    moments = Moments(rows.shape[1])
    moments.add(rows)
    return moments
