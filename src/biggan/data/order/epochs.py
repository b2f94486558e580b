"""Which image is seen when: a function of (seed, epoch, position), stored nowhere.

All images that ever pass are one endless sequence of positions 0, 1, 2, ...; position p is entry p mod N of the
permutation of epoch p div N. Batches are consecutive positions, whatever their size, so none is ever partial and a
data set may be smaller than a batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource, Indices
from biggan.foundation.errors import UserError
from biggan.foundation.seeding import permutation

_ROUND = 65_536  # positions after which the strata have had exactly their shares


class Order(ABC):
    """A sequence of images."""

    @abstractmethod
    def at(self, positions: Indices) -> Indices:
        """Return the image at each of ``positions``, int64 of the same length."""

    def indices(self, first: int, count: int) -> Indices:
        """Return the image at each of the positions ``first .. first + count``, int64 [count]."""
        return self.at(np.arange(first, first + count, dtype=np.int64))


class DataOrder(Order):
    """Every image once an epoch."""

    def __init__(self, length: int, seed: int, purpose: str = "data order") -> None:
        if length < 1:
            raise ValueError("a data set needs at least one image")
        self.length, self.seed, self.purpose = length, seed, purpose
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def at(self, positions: Indices) -> Indices:
        """Return the images at ``positions``."""
        epochs, places = np.divmod(positions, self.length)
        found = np.empty(len(positions), dtype=np.int64)
        for epoch in np.unique(epochs):
            inside = epochs == epoch
            found[inside] = self._epoch(int(epoch))[places[inside]]
        return found

    def _permutation(self, epoch: int) -> Indices:
        return permutation(self.seed, self.purpose, epoch, self.length)


class ShardOrder(DataOrder):
    """Every image once an epoch, and only a few shards in use at any time.

    An epoch permutes the shards, takes them in groups, and permutes the images of each group.
    """

    def __init__(self, shards: Indices, seed: int, group: int) -> None:
        super().__init__(len(shards), seed)
        self.shards, self.group = shards, group

    def _permutation(self, epoch: int) -> Indices:
        names, shard = np.unique(self.shards, return_inverse=True)
        rank = np.argsort(permutation(self.seed, "shard order", epoch, len(names)))
        within = np.argsort(super()._permutation(epoch))
        return np.lexsort((within, rank[shard] // self.group)).astype(np.int64)


class StratifiedOrder(Order):
    """Strata (classes, mixed data sets) in given shares; the images of each pass in epochs of its own.

    Every round of 65,536 positions holds each stratum equally often (its share to the nearest whole number, at least
    once), in an order that belongs to the round. So how often a stratum has come before a position is known without
    looking back.
    """

    def __init__(
        self,
        members: list[Order],
        offsets: list[Indices],
        shares: npt.NDArray[np.float64],
        seed: int,
        length: int = _ROUND,
    ) -> None:
        """Prepare.

        Args:
            members: the order of each stratum, over its own images 0 .. n.
            offsets: the image of the whole data set that each of these is, a stratum.
            shares: how often each stratum is shown, [S], not normalised.
            seed: of the run.
            length: positions of a round.
        """
        self.members, self.offsets, self.seed, self.length = members, offsets, seed, length
        self.counts = _whole_shares(shares, length)
        self._round = lru_cache(maxsize=2)(self._strata_of_round)

    def at(self, positions: Indices) -> Indices:
        """Return the images at ``positions``."""
        rounds, places = np.divmod(positions, self.length)
        found = np.empty(len(positions), dtype=np.int64)
        for number in np.unique(rounds):
            inside = np.flatnonzero(rounds == number)
            strata, before = (column[places[inside]] for column in self._round(int(number)))
            for stratum in np.unique(strata):
                mine = strata == stratum
                turns = number * self.counts[stratum] + before[mine]
                found[inside[mine]] = self.offsets[stratum][self.members[stratum].at(turns)]
        return found

    def _strata_of_round(self, number: int) -> tuple[Indices, Indices]:
        """Return the stratum of each position of a round, and how often it came before in that round."""
        strata = np.repeat(np.arange(len(self.counts)), self.counts)
        order = permutation(self.seed, "strata", number, self.length)
        before = np.arange(self.length) - np.repeat(np.cumsum(self.counts) - self.counts, self.counts)
        # Which turn of its stratum a position is must grow with the position.
        shuffled = strata[order]
        turns = np.empty(self.length, dtype=np.int64)
        turns[np.argsort(shuffled, kind="stable")] = before
        return shuffled, turns


def _whole_shares(shares: npt.NDArray[np.float64], total: int) -> Indices:
    """Return whole numbers that sum to ``total`` in proportion to ``shares``, each at least 1 (largest remainders)."""
    if len(shares) > total // 2:
        raise UserError(f"{len(shares)} classes are too many for sampling by class; at most {total // 2}")
    exact = shares / shares.sum() * (total - len(shares))
    counts = np.floor(exact).astype(np.int64)
    left = total - len(shares) - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:left]] += 1
    return counts + 1


def make_order(source: ImageSource, config: DataConfig, seed: int) -> Order:
    """Return the order in which a run sees the images of ``source``.

    Raises:
        UserError: sampling by class from shards.
    """
    by_class = config.label_sampling != "data" and len(source.class_names) > 1
    weighted = source.parts is not None and bool(source.part_weights)
    if by_class and source.shards is not None:
        raise UserError(
            f"--data.label-sampling {config.label_sampling}: shards are read one after the other, not by class; pack "
            "them with 'biggan data prepare', or use --data.label-sampling data"
        )
    if not by_class and not weighted:
        return _plain(source, np.arange(len(source)), config, seed, "data order")
    parts = source.parts if weighted and source.parts is not None else np.zeros(len(source), dtype=np.int64)
    weights = np.asarray(source.part_weights) if weighted else np.ones(1)
    members, offsets, shares = [], [], []
    for part in np.unique(parts):
        inside = np.flatnonzero(parts == part)
        labels = source.labels[inside] if by_class else np.zeros(len(inside), dtype=np.int64)
        names, counts = np.unique(labels, return_counts=True)
        frequencies = class_frequencies(counts, config.label_sampling if by_class else "data")
        for name, frequency in zip(names, frequencies / frequencies.sum(), strict=True):
            offsets.append(inside[labels == name])
            members.append(_plain(source, offsets[-1], config, seed, f"data order {part} {name}"))
            shares.append(float(weights[part] * frequency))
    return StratifiedOrder(members, offsets, np.asarray(shares), seed)


def class_frequencies(counts: npt.NDArray[np.int64], sampling: str) -> npt.NDArray[np.float64]:
    """Return how often each class is drawn, float64 [K], not normalised; a class without images never is."""
    exponent = {"data": 1.0, "sqrt": 0.5, "uniform": 0.0}[sampling]
    return np.where(counts > 0, counts.astype(np.float64) ** exponent, 0.0)


def real_frequencies(source: ImageSource, config: DataConfig) -> npt.NDArray[np.float64]:
    """Return how often real images of each class are seen, float64 [K], not normalised; [1] without classes."""
    parts = source.parts
    if parts is None or not source.part_weights:
        return class_frequencies(source.class_counts(), config.label_sampling)
    total = np.zeros(max(len(source.class_names), 1))
    for part, weight in enumerate(source.part_weights):
        counts = np.bincount(source.labels[parts == part], minlength=len(total)).astype(np.int64)
        if counts.sum():
            found = class_frequencies(counts, config.label_sampling)
            total += weight * found / found.sum()
    return total


def _plain(source: ImageSource, images: Indices, config: DataConfig, seed: int, purpose: str) -> Order:
    if source.shards is not None:
        return ShardOrder(source.shards[images], seed, config.shard_group)
    return DataOrder(len(images), seed, purpose)
