"""Euclidean distances between rows, a tile at a time: the full matrix never exists."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.metrics.rows import BLOCK, Rows, as_pair, as_rows, blocks, full_precision, wide

INDISTINCT = 8
"""Squared distances below so many roundings of the squared lengths are zero: the rows cannot be told apart."""

Tile = tuple[slice, slice, Tensor]
"""Which rows, which columns, and their distances."""


class Points:
    """Rows [n, d] that give their blocks moved to a common centre, in one precision, on one device.

    Distances come from products, |x - y|^2 = |x|^2 + |y|^2 - 2 x y. Around a common centre the lengths are no larger
    than the distances, so that their difference keeps its digits.
    """

    def __init__(self, rows: Tensor, centre: Tensor, dtype: torch.dtype) -> None:
        self.rows = rows
        self.centre = centre
        self.dtype = dtype

    def __len__(self) -> int:
        return len(self.rows)

    def block(self, part: slice) -> tuple[Tensor, Tensor]:
        """Return rows ``part`` [b, d] around the centre, and their squared lengths [b]."""
        rows = (wide(self.rows[part]) - self.centre).to(self.dtype)
        return rows, (rows * rows).sum(dim=1)


def common_points(*sets: Tensor, dtype: torch.dtype) -> list[Points]:
    """Return sets of rows around the mean of the first, for distances in ``dtype``."""
    first = sets[0]
    total = torch.zeros_like(wide(first[:1])[0])
    for part in blocks(len(first)):
        total += wide(first[part]).sum(dim=0)
    return [Points(rows, total / len(first), dtype) for rows in sets]


def tiles(a: Points, b: Points, block: int = BLOCK) -> Iterator[Tile]:
    """Yield the distances [i, j] of all rows of ``a`` from all rows of ``b``, ascending in both."""
    for i in blocks(len(a), block):
        rows = a.block(i)
        for j in blocks(len(b), block):
            yield i, j, _distances(rows, b.block(j))


def own_tiles(a: Points, block: int = BLOCK) -> Iterator[Tile]:
    """Yield the tiles on and above the diagonal of the distances of ``a`` from itself, zero on the diagonal."""
    for i in blocks(len(a), block):
        rows = a.block(i)
        for j in blocks(len(a), block):
            if j.start == i.start:
                yield i, j, _distances(rows, rows).fill_diagonal_(0.0)
            elif j.start > i.start:
                yield i, j, _distances(rows, a.block(j))


def _distances(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
    (one, lengths), (other, other_lengths) = x, y
    with full_precision(one.device):
        sums = lengths[:, None] + other_lengths
        squared = torch.addmm(sums, one, other.T, alpha=-2.0)
        return squared.masked_fill_(squared <= sums.mul_(INDISTINCT * torch.finfo(one.dtype).eps), 0.0).sqrt_()


class Smallest:
    """Keeps the ``count`` smallest of the numbers that each row of a matrix turns out to have, and their columns."""

    def __init__(self, points: Points, count: int) -> None:
        shape, device = (len(points), count), points.centre.device
        self.values = torch.full(shape, torch.inf, dtype=points.dtype, device=device)
        self.columns = torch.full(shape, -1, dtype=torch.int64, device=device)

    def add(self, part: slice, tile: Tensor, first_column: int) -> None:
        """See the numbers of rows ``part``, from column ``first_column`` on."""
        count = self.values.shape[1]
        values, columns = tile.topk(min(count, tile.shape[1]), dim=1, largest=False)
        values = torch.cat([self.values[part], values], dim=1)
        columns = torch.cat([self.columns[part], columns + first_column], dim=1)
        self.values[part], kept = values.topk(count, dim=1, largest=False, sorted=True)
        self.columns[part] = columns.gather(1, kept)


def neighbour_radii(rows: Rows, k: int, *, dtype: torch.dtype = torch.float64, block: int = BLOCK) -> Tensor:
    """Return how far the k-th nearest neighbour of each row lies, [n], on the device of the rows.

    The (k + 1)-th smallest distance of a row from all, itself included.

    Args:
        rows: [n, d], float32 or float64.
        k: which neighbour, 1 for the nearest.
        dtype: float32 or float64, in which distances are computed.
        block: rows of a tile; memory is a few tiles of ``block`` x ``block``.

    Raises:
        ValueError: k below 1, or see :func:`~biggan.metrics.rows.as_rows`.
        UserError: k rows or fewer, or numbers that are not finite.
    """
    return own_radii(common_points(as_rows(rows, "features"), dtype=dtype)[0], k, block)


def own_radii(points: Points, k: int, block: int) -> Tensor:
    """Return what :func:`neighbour_radii` does, of points."""
    if k < 1:
        raise ValueError(f"neighbour {k}: use 1 or more")
    if len(points) <= k:
        raise UserError(f"{len(points)} images have no neighbour number {k}; use {k + 1} or more images")
    smallest = Smallest(points, k + 1)
    for i, j, tile in own_tiles(points, block):
        smallest.add(i, tile, j.start)
        if j.start > i.start:
            smallest.add(j, tile.T, i.start)
    return smallest.values[:, k].clone()


def nearest(queries: Rows, bank: Rows, k: int = 1, *, block: int = BLOCK) -> tuple[Tensor, Tensor]:
    """Return the k rows of ``bank`` nearest to each query, such as the real images that a fake might repeat.

    Candidates are found by products, their distances computed anew from differences: that of an exact copy is zero.
    Of rows that are equally near any may be named.

    Args:
        queries: [m, d], float32 or float64.
        bank: [n, d], likewise.
        k: how many, at most n.
        block: rows of a tile; memory is a few tiles of ``block`` x ``block``.

    Returns:
        Distances float64 [m, k], ascending, and indices into ``bank`` int64 [m, k].

    Raises:
        ValueError: k below 1, or see :func:`~biggan.metrics.rows.as_pair`.
        UserError: fewer than k rows in the bank, or numbers that are not finite.
    """
    if k < 1:
        raise ValueError(f"{k} neighbours: use 1 or more")
    many, few = as_pair(bank, queries)
    if len(many) < k:
        raise UserError(f"{len(many)} real images have no {k} nearest ones; use {k} or more")
    points, asked = common_points(many, few, dtype=torch.float64)
    smallest = Smallest(asked, k)
    for i, j, tile in tiles(asked, points, block):
        smallest.add(i, tile, j.start)
    distances = torch.empty_like(smallest.values)
    for part in blocks(len(few), max(1, block // k)):
        columns = smallest.columns[part]
        difference = wide(few[part])[:, None] - wide(many[columns.flatten().to(many.device)]).view(*columns.shape, -1)
        distances[part] = difference.norm(dim=2)
    distances, order = distances.sort(dim=1, stable=True)
    return distances, smallest.columns.gather(1, order)
