"""A generator with the statistics of a whole bank, so that one program draws at any truncation as sampling does.

Its last input, ``shares`` float32 [1 + K], says how much of each set of statistics is taken: of those that the weights
carry, then of the K of the bank. What is linear in the bank (:class:`~biggan.sampling.bank.Bank`) stays so here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from biggan.layers.normalization import RUNNING_STATISTICS, batch_norms
from biggan.sampling.bank import Bank

INPUT = "shares"


class BankedProgram(nn.Module):
    """``program``, whose generator's statistics of batch norm are mixed for each call.

    Args:
        program: has the generator as its child ``generator``.
        bank: of that generator.
    """

    table: Tensor
    """Float32 [1 + K, all channels of all statistics]."""

    def __init__(self, program: nn.Module, bank: Bank) -> None:
        super().__init__()
        self.program = program
        norms = batch_norms(program.get_submodule("generator"))
        names = [f"{name}.{kind}" for name in norms for kind in RUNNING_STATISTICS]
        own = [getattr(norm, kind) for norm in norms.values() for kind in RUNNING_STATISTICS]
        levels = [[bank.tensors[f"{place}/{name}"] for name in names] for place in range(len(bank.record.truncations))]
        self.names = [f"generator.{name}" for name in names]
        self.sizes = [len(one) for one in own]
        self.register_buffer("table", torch.stack([torch.cat(row).float() for row in (own, *levels)]))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what ``program`` gives for all inputs but the last, which is ``shares``."""
        *inner, shares = inputs
        mixed = dict(zip(self.names, torch.split_with_sizes(shares @ self.table, self.sizes), strict=True))
        images: Tensor = torch.func.functional_call(self.program, mixed, tuple(inner))
        return images


class BankedReference(nn.Module):
    """What sampling draws with at each of some truncations, one a number of images; ``shares`` is not looked at.

    Args:
        programs: by the number of images.
    """

    def __init__(self, programs: dict[int, nn.Module]) -> None:
        super().__init__()
        self.programs = nn.ModuleDict({str(count): program for count, program in programs.items()})

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return images."""
        images: Tensor = self.programs[str(len(inputs[0]))](*inputs[:-1])
        return images


def shares_at(bank: Bank, truncation: float | None) -> Tensor:
    """Return ``shares`` float32 [1 + K] for a truncation of the bank's kind; None for the weights' own statistics."""
    found = torch.zeros(1 + len(bank.record.truncations))
    if truncation is None:
        found[0] = 1
        return found
    low, high, share = bank.between(truncation)
    found[1 + low] += 1 - share
    found[1 + high] += share
    return found


def checked_at(bank: Bank, counts: Sequence[int]) -> dict[int, float | None]:
    """Return with which truncation a batch of each size is checked: none, the lowest, then between levels."""
    levels = bank.record.truncations
    middle = len(levels) // 2
    between = (levels[middle - 1] + levels[middle]) / 2 if middle else levels[0]
    return {count: (None, levels[0], between)[min(place, 2)] for place, count in enumerate(sorted(counts))}
