"""Which image is seen when: a function of (seed, epoch, position), stored nowhere.

All images that ever pass are one endless sequence of positions 0, 1, 2, ...; position p is entry p mod N of the
permutation of epoch p div N. Batches are consecutive positions, whatever their size, so none is ever partial and a
data set may be smaller than a batch.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from biggan.foundation.seeding import permutation, uniforms


class DataOrder:
    """The sequence for a data set of ``length`` images."""

    def __init__(self, length: int, seed: int) -> None:
        if length < 1:
            raise ValueError("a data set needs at least one image")
        self.length, self.seed = length, seed
        self._epoch = lru_cache(maxsize=2)(lambda epoch: permutation(seed, "data order", epoch, length))

    def indices(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Return the image at each of the positions ``first .. first + count``, int64 [count]."""
        positions = np.arange(first, first + count, dtype=np.int64)
        epochs = positions // self.length
        found = np.empty(count, dtype=np.int64)
        for epoch in range(first // self.length, (first + count - 1) // self.length + 1):
            inside = epochs == epoch
            found[inside] = self._epoch(epoch)[positions[inside] % self.length]
        return found

    def flips(self, first: int, count: int) -> npt.NDArray[np.bool_]:
        """Return whether the image at each position is mirrored, bool [count]; half of them are."""
        return uniforms(self.seed, "flip", 0, first, count, 1)[:, 0] < 0.5
