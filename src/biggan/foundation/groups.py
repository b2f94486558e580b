"""How a global batch is cut: into numbered groups, which ranks take in turn.

A group is a micro-batch of one rank: the images that share statistics of batch norm. Groups depend on the batch and
their number alone, so 8 ranks with one group each, 2 with four and 1 with eight see the same ones. Imports no torch.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt


def split_evenly(total: int, parts: int) -> list[int]:
    """Return ``parts`` sizes that sum to ``total`` and differ by at most one, larger ones first."""
    size, rest = divmod(total, parts)
    return [size + (i < rest) for i in range(parts)]


class Share:
    """What one rank sees of a batch: groups ``rank``, ``rank + ranks``, ... of ``ranks * groups``.

    Attributes:
        total: images of the batch.
        size: images of this rank's share.
        runs: (first place in the batch, images) of each of its groups.
        places: of all its images in the batch, int64 [size].
    """

    def __init__(self, total: int, rank: int = 0, ranks: int = 1, groups: int = 1) -> None:
        """Cut.

        Args:
            total: images of the batch, at least one a group.
            rank: whose share this is.
            ranks: how many there are.
            groups: of each rank.
        """
        sizes = split_evenly(total, ranks * groups)
        firsts = itertools.accumulate(sizes, initial=0)
        self.runs = list(zip(firsts, sizes, strict=False))[rank::ranks]
        self.total, self.size = total, sum(size for _, size in self.runs)
        self.places: npt.NDArray[np.int64] = np.concatenate(
            [np.arange(first, first + size, dtype=np.int64) for first, size in self.runs]
        )
