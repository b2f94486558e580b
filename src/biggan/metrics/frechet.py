"""The Fréchet distance between two Gaussians, exact also where samples are fewer than dimensions.

For means m and covariances A, B (Dowson and Landau 1982; as a metric of images Heusel et al. 2017, equation 6):

    |m_a - m_b|^2 + tr A + tr B - 2 tr (A B)^(1/2)

With any factors A = F F^T and B = H H^T, the trace of the root is the nuclear norm of F^T H: the squares of the
singular values of F^T H are the eigenvalues of A B. The usual ways take roots of eigenvalues of A B, so a zero
eigenvalue that comes out as 1e-16 contributes 1e-8. Factors have no such roots, and know their rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg
from torch import Tensor

from biggan.metrics.moments import Gaussian, Moments
from biggan.metrics.rows import Rows, as_pair, wide

Matrix = npt.NDArray[np.float64]

EPSILON = 2.0**-52
NOISE_OF = 1000
"""What is left of a column after all others is zero below ``max(d, 1000)`` roundings: many batches leave that much."""
CONSTANT = 32
"""A standard deviation of so many roundings of the mean is that of a constant column."""
ALLOWED = 1e-11
"""Largest estimated relative error with which roots of eigenvalues may stand for singular values."""


@dataclass(frozen=True, kw_only=True)
class Frechet:
    """A distance and what it is made of."""

    distance: float
    """The value, squared as all call it; never negative."""
    mean_term: float
    """|m_a - m_b|^2."""
    traces: tuple[float, float]
    """tr A and tr B."""
    root_trace: float
    """tr (A B)^(1/2)."""
    ranks: tuple[int, int]
    """Numerical ranks of A and B; of rows that are no more than dimensions, their number less one."""
    dimensions: int
    """d."""

    @property
    def rank_deficient(self) -> bool:
        """Whether a covariance misses dimensions: the value is exact, but of few samples it says little."""
        return min(self.ranks) < self.dimensions


@dataclass(frozen=True)
class _Side:
    """One Gaussian with a factor [d, rank] of its covariance."""

    mean: Matrix
    factor: Matrix
    trace: float
    rank: int


def frechet_distance(a: Gaussian, b: Gaussian) -> Frechet:
    """Return the Fréchet distance between two Gaussians, in float64 on the CPU.

    Ranks are free: fewer samples than dimensions, dependent and constant columns. A covariance that rounding left
    slightly indefinite (a file in float32) loses the directions that are only noise. Where a count is known, the rank
    is at most that less one.

    Args:
        a: mean [d] and covariance [d, d].
        b: the same of the other set; the order does not matter.

    Raises:
        ValueError: different numbers of dimensions.
    """
    if a.dimensions != b.dimensions:
        raise ValueError(f"Gaussians of {a.dimensions} and of {b.dimensions} dimensions")
    return _between(_side(a), _side(b))


def frechet_distance_of_rows(real: Rows, fake: Rows) -> Frechet:
    """Return the Fréchet distance between the Gaussians of two sets of rows, [n, d] and [m, d], float32 or float64.

    Where rows are no more than dimensions, the centred rows themselves are the factor and no [d, d] matrix is made:
    cheap for small sets of many dimensions, such as the images of one class.

    Raises:
        ValueError: see :func:`~biggan.metrics.rows.as_pair`.
        UserError: fewer than two rows, or numbers that are not finite.
    """
    one, other = as_pair(real, fake, least=2)
    return _between(_side_of_rows(one), _side_of_rows(other))


def _between(a: _Side, b: _Side) -> Frechet:
    step = a.mean - b.mean
    mean_term = float(step @ step)
    root = _nuclear_norm(linalg.blas.dgemm(1.0, a.factor, b.factor, trans_a=True)) if a.rank and b.rank else 0.0
    return Frechet(
        # The distance of two equal sets is the rounding of their traces, which may fall on either side.
        distance=max(mean_term + a.trace + b.trace - 2.0 * root, 0.0),
        mean_term=mean_term,
        traces=(a.trace, b.trace),
        root_trace=root,
        ranks=(a.rank, b.rank),
        dimensions=len(a.mean),
    )


def _side_of_rows(rows: Tensor) -> _Side:
    n, d = rows.shape
    if n > d:
        moments = Moments(d)
        moments.add(rows)
        return _side(moments.finish())
    values = wide(rows).cpu().numpy()
    mean = values.mean(axis=0)
    factor = np.asfortranarray((values - mean).T / np.sqrt(n - 1))
    return _Side(mean, factor, float(np.sum(factor * factor)), n - 1)


def _side(gaussian: Gaussian) -> _Side:
    """Factor a covariance by Cholesky with complete pivoting, which finds the rank on its way (Higham 1990).

    The matrix of correlations is factored, so that a column of small numbers counts as much as one of large numbers.
    """
    mean = np.asarray(gaussian.mean.cpu().double().numpy())
    covariance = gaussian.covariance.cpu().double().numpy()
    variance = covariance.diagonal()
    varies = variance > (CONSTANT * EPSILON * mean) ** 2
    scale = np.sqrt(variance, where=varies, out=np.ones_like(variance))
    correlation = covariance / scale[:, None] / scale
    correlation[~varies] = 0.0
    correlation[:, ~varies] = 0.0
    lower, order, rank = _pivoted_cholesky(correlation.T)
    rank = rank if gaussian.count is None else min(rank, gaussian.count - 1)
    columns = lower.T[:rank]
    for i in range(1, rank):
        columns[i, :i] = 0.0  # LAPACK leaves there what it found
    factor = np.take(columns, np.argsort(order), axis=1)
    factor *= scale
    return _Side(mean, factor.T, float(variance.sum()), rank)


def _pivoted_cholesky(matrix: Matrix) -> tuple[Matrix, npt.NDArray[np.int64], int]:
    """Return L in the lower triangle, the order of its rows, and the rank of a matrix with ones on its diagonal.

    ``matrix`` lies in columns (Fortran order), only its lower triangle is read, and it is overwritten.
    """
    tolerance = max(len(matrix), NOISE_OF) * EPSILON
    lower, pivots, rank, _ = linalg.lapack.dpstrf(matrix, tol=tolerance, lower=1, overwrite_a=1)
    return lower, pivots.astype(np.int64) - 1, int(rank)


def _nuclear_norm(product: Matrix) -> float:
    """Return the sum of the singular values of a matrix.

    Roots of the eigenvalues of its Gram matrix cost a third, and lose digits only where rows nearly depend on each
    other: different sizes of rows, which a pivoted factor has, do no harm (Demmel and Veselić 1992). With row norms d
    and the diagonal l of the Cholesky factor of the Gram matrix, the sum of d^2 / l counts the roundings. Where they
    are too many, as where the subspaces of two sets meet in part, singular values are computed.
    """
    rows, columns = product.shape
    gram = linalg.blas.dsyrk(1.0, product, trans=int(rows > columns), lower=1)
    squares = gram.diagonal()
    lower, failed = linalg.lapack.dpotrf(gram, lower=1, clean=0)
    # The nuclear norm is at least the Frobenius norm, the root of the trace.
    if not failed and EPSILON * np.sum(squares / lower.diagonal()) <= ALLOWED * np.sqrt(squares.sum()):
        values = linalg.eigh(gram, eigvals_only=True, overwrite_a=True, check_finite=False, driver="evd")
        return float(np.sum(np.sqrt(np.maximum(values, 0.0))))
    return float(np.sum(linalg.svd(product, compute_uv=False, check_finite=False)))
