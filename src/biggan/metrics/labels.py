"""Quantities of one class at a time: the distance of its fakes from its real images, and how much they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.metrics.distances import common_points, own_tiles
from biggan.metrics.frechet import frechet_distance_of_rows
from biggan.metrics.rows import BLOCK, Rows, as_labels, as_pair, as_rows

Labels = Tensor | npt.NDArray[np.integer]


@dataclass(frozen=True, kw_only=True)
class ByClass:
    """One number a class, and their mean."""

    values: Tensor
    """float64 [K]; nan where a class had too few images."""
    mean: float
    """Over the classes that have a number; nan if none has."""
    too_few: int
    """How many classes have none."""
    minimum: int
    """Fewest images of a class that gives a number."""


def frechet_by_class(
    real: Rows, real_labels: Labels, fake: Rows, fake_labels: Labels, *, classes: int, minimum: int
) -> ByClass:
    """Return the Fréchet distance between the real and the fake images of each class.

    Few images bias a Fréchet distance upwards, the more the more dimensions there are: numbers are comparable at equal
    counts only.

    Args:
        real: [n, d], float32 or float64.
        real_labels: integers [n].
        fake: [m, d], like ``real``.
        fake_labels: integers [m].
        classes: K; labels are below it.
        minimum: fewest images, of either set, of a class that gets a number; 2 or more.

    Raises:
        ValueError: labels that do not fit, a minimum below 2, or see :func:`~biggan.metrics.rows.as_pair`.
        UserError: numbers that are not finite.
    """
    if minimum < 2:
        raise ValueError(f"minimum {minimum}: a covariance needs 2 or more images")
    one, other = as_pair(real, fake)
    values = torch.full((classes,), torch.nan, dtype=torch.float64)
    of_real = _rows_of(real_labels, len(one), classes, "real labels")
    of_fake = _rows_of(fake_labels, len(other), classes, "fake labels")
    for label, (a, b) in enumerate(zip(of_real, of_fake, strict=True)):
        if min(len(a), len(b)) >= minimum:
            values[label] = frechet_distance_of_rows(one[a.to(one.device)], other[b.to(other.device)]).distance
    return _by_class(values, minimum)


def intra_class_diversity(rows: Rows, labels: Labels, *, classes: int, block: int = BLOCK) -> ByClass:
    """Return the mean distance between two different rows of each class, in float64.

    To be read beside that of the real images: a class of which all samples look alike has far less.

    Args:
        rows: [n, d], float32 or float64.
        labels: integers [n].
        classes: K; labels are below it.
        block: rows of a tile; memory is a few tiles of ``block`` x ``block``.

    Raises:
        ValueError: labels that do not fit, or see :func:`~biggan.metrics.rows.as_rows`.
        UserError: numbers that are not finite.
    """
    tensor = as_rows(rows, "features")
    values = torch.full((classes,), torch.nan, dtype=torch.float64)
    for label, chosen in enumerate(_rows_of(labels, len(tensor), classes, "labels")):
        n = len(chosen)
        if n >= 2:
            (points,) = common_points(tensor[chosen.to(tensor.device)], dtype=torch.float64)
            # A tile on the diagonal holds each of its pairs twice.
            sums = [float(tile.sum()) / (2 if i == j else 1) for i, j, tile in own_tiles(points, block)]
            values[label] = math.fsum(sums) / (n * (n - 1) / 2)
    return _by_class(values, 2)


def _rows_of(labels: Labels, count: int, classes: int, what: str) -> Iterator[Tensor]:
    """Return, for each class, the indices of its rows, ascending."""
    tensor = as_labels(labels, count, what)
    if count and int(tensor.max()) >= classes:
        raise ValueError(f"{what}: class {int(tensor.max())} among {classes} classes")
    order = tensor.argsort(stable=True)
    return iter(torch.split(order, torch.bincount(tensor, minlength=classes).tolist()))


def _by_class(values: Tensor, minimum: int) -> ByClass:
    given = values[~values.isnan()]
    mean = float(given.mean()) if len(given) else math.nan
    return ByClass(values=values, mean=mean, too_few=len(values) - len(given), minimum=minimum)
