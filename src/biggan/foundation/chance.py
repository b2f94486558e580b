"""Random numbers by position, on the device: for what is done to images while D looks at them.

A number is a function of (seed, purpose, clock, position in the global batch, column). Micro-batches and ranks get what
belongs to their positions, a resumed run what belongs to its clock, and no generator has a state. They are computed
where the tensors are, by arithmetic on integers, which is the same on every device (normal numbers are made of uniform
ones by a logarithm and a cosine, which may round otherwise there): the counter (position, column) is
hashed under a key of the rest by the finaliser of SplitMix64 (Steele, Lea and Flood 2014), which is applied twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation.seeding import derive_seed

_GAMMA = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_BITS = 24
"""Of a uniform number: what float32 can hold of it exactly."""


@dataclass(frozen=True)
class Chance:
    """The random numbers of some images of a batch."""

    seed: int
    clock: int
    places: Tensor
    """int64 [N]: of the images in the global batch, on the device where numbers are needed."""

    def apart(self, name: str) -> Chance:
        """Return other numbers for the same positions."""
        return Chance(derive_seed(self.seed, name), self.clock, self.places)

    def of(self, rows: Tensor) -> Chance:
        """Return the numbers of some of the images, int64 [k]."""
        return Chance(self.seed, self.clock, self.places[rows])

    def uniform(self, purpose: str, columns: int) -> Tensor:
        """Return float32 [N, columns], uniform in [0, 1), multiples of 2^-24.

        Args:
            purpose: what for; another one gives others.
            columns: how many numbers an image.
        """
        return self._words(purpose, columns).float() * 2.0**-_BITS

    def integers(self, purpose: str, columns: int, below: int) -> Tensor:
        """Return int64 [N, columns], uniform in 0 ... ``below`` - 1, for ``below`` up to 2^24 (biased by 2^-24)."""
        return (self._words(purpose, columns) * below) >> _BITS

    def normal(self, purpose: str, columns: int) -> Tensor:
        """Return standard normal float32 [N, columns] (Box and Muller 1958), in float64 where it can be."""
        pairs = -(-columns // 2)
        wide = torch.float32 if self.places.device.type == "mps" else torch.float64
        u = self._words(purpose, 2 * pairs).to(wide) * 2.0**-_BITS
        radius = torch.sqrt(-2.0 * torch.log1p(-u[:, 0::2]))
        angle = 2.0 * math.pi * u[:, 1::2]
        both = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=2).flatten(1)
        return both[:, :columns].float()

    def _words(self, purpose: str, columns: int) -> Tensor:
        """Return int64 [N, columns], 24 random bits each."""
        key = derive_seed(self.seed, purpose, self.clock, bits=64)
        column = torch.arange(columns, device=self.places.device)
        counter = self.places[:, None] * 2**32 + column
        return _shifted(_mixed(_mixed(counter * _signed(_GAMMA) + _signed(key)) + _signed(key)), 64 - _BITS)


def _mixed(x: Tensor) -> Tensor:
    """Return the finaliser of SplitMix64 of int64 ``x``: arithmetic modulo 2^64, as integers overflow."""
    x = (x ^ _shifted(x, 30)) * _signed(_MIX[0])
    x = (x ^ _shifted(x, 27)) * _signed(_MIX[1])
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift int64 ``x`` to the right as if it had no sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    """Return a word of 64 bits as int64 reads it."""
    return word - 2**64 if word >= 2**63 else word
