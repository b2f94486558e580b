"""Standing statistics for many truncations, so that sampling at any of them is calibrated."""

from __future__ import annotations

import bisect
import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.errors import CorruptFileError
from biggan.layers.normalization import RUNNING_STATISTICS, batch_norms
from biggan.models.contract import Generator
from biggan.models.norm_records import TruncationBank


@dataclass(frozen=True, kw_only=True, eq=False)
class Bank:
    """The statistics of a generator's batch norms at each of some truncations.

    Made by :func:`checked_bank`, so that every tensor is there and fits.
    """

    record: TruncationBank
    """The truncations, and how the statistics came about."""
    tensors: Mapping[str, Tensor]
    """``<place in the list of truncations>/<name of the buffer>``, float [C] on the CPU."""

    @torch.no_grad()
    def at(self, generator: Generator, truncation: float) -> Generator:
        """Return a copy of ``generator`` with the statistics of ``truncation``.

        Between two truncations these are the linear interpolation of theirs, beyond the ends those of the end; see
        :class:`~biggan.models.norm_records.TruncationBank` for the one exception.
        """
        found = copy.deepcopy(generator)
        low, high, share = self.between(truncation)
        for name, norm in batch_norms(found).items():
            for kind in RUNNING_STATISTICS:
                one, other = self.tensors[f"{low}/{name}.{kind}"], self.tensors[f"{high}/{name}.{kind}"]
                getattr(norm, kind).copy_(torch.lerp(one, other, share))
        return found

    def between(self, truncation: float) -> tuple[int, int, float]:
        """Return the places of the two levels that are mixed, and the share of the second."""
        truncations = self.record.truncations
        if self.record.compatibility == "pytorch-pretrained-biggan":
            # Its own arithmetic: which levels are met exactly depends on how the quotient is rounded.
            rest, whole = math.modf(min(truncation, truncations[-1]) / (1.0 / (len(truncations) - 1)))
            low = int(whole)
            return (low, low + 1, 1 - rest) if rest else (low, low, 0.0)
        above = bisect.bisect_left(truncations, truncation)
        low, high = max(above - 1, 0), min(above, len(truncations) - 1)
        span = truncations[high] - truncations[low]
        return low, high, min(max((truncation - truncations[low]) / span, 0.0), 1.0) if span else 0.0


def checked_bank(record: TruncationBank, tensors: Mapping[str, Tensor], generator: Generator, where: str) -> Bank:
    """Return the bank that ``tensors`` are, if they are exactly those of ``generator`` at the record's truncations.

    Args:
        record: what the file says about its bank.
        tensors: all that the file holds of it, see :class:`Bank`.
        generator: whose statistics they are.
        where: the file, for messages.

    Raises:
        CorruptFileError: one is missing, left over, of another shape, or not of floating point.
    """
    statistics = {
        f"{name}.{kind}": getattr(norm, kind)
        for name, norm in batch_norms(generator).items()
        for kind in RUNNING_STATISTICS
    }
    expected = {
        f"{place}/{name}": value for place in range(len(record.truncations)) for name, value in statistics.items()
    }
    missing, extra = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    wrong = sorted(
        name
        for name in expected.keys() & tensors.keys()
        if tensors[name].shape != expected[name].shape or not tensors[name].is_floating_point()
    )
    if missing or extra or wrong:
        parts = [
            f"{len(names)} {what}, first {names[0]}"
            for names, what in ((missing, "missing"), (extra, "unknown"), (wrong, "of another shape or type"))
            if names
        ]
        raise CorruptFileError(
            f"{where}: its statistics for {len(record.truncations)} truncations do not fit the generator: "
            f"{'; '.join(parts)}"
        )
    return Bank(record=record, tensors=dict(tensors))
