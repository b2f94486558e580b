"""Directions in the space of latents: what they are, how they are called, and going along them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from biggan.foundation.errors import UserError, suggested
from biggan.foundation.limits import Ge, Le, MaxLen, MinLen
from biggan.foundation.records import Count
from biggan.foundation.terminal import one_line

Kind = Literal["sefa", "ganspace"]
KINDS: tuple[Kind, ...] = ("sefa", "ganspace")
MOST_DIRECTIONS = 4096
LONGEST_NAME = 80
Which = str | int
"""A direction: its number, from 0, or its name."""


@dataclass(frozen=True, kw_only=True)
class DirectionsRecord:
    """Everything about directions but the vectors."""

    kind: Kind
    """``sefa``: by the weights; ``ganspace``: by activations."""
    layer: Annotated[str, MinLen(1), MaxLen(40)]
    """See :mod:`biggan.exploring.layers`."""
    generator: Annotated[str, MinLen(1), MaxLen(128)]
    """Hash of the generator whose directions they are, see :func:`biggan.sampling.identity.network_hash`."""
    names: Annotated[tuple[Annotated[str, MaxLen(LONGEST_NAME)], ...], MinLen(1), MaxLen(MOST_DIRECTIONS)]
    """By number; empty where nobody gave one."""
    shares: Annotated[tuple[Annotated[float, Ge(0), Le(1.000001)], ...], MaxLen(MOST_DIRECTIONS)]
    """Of the variance of what was looked at, by number, falling."""
    samples: Count = 0
    """Latents that were drawn; 0 where none were."""
    seed: Count = 0
    """Of these latents."""
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        if len(self.names) != len(self.shares):
            raise ValueError(f"{len(self.names)} names for {len(self.shares)} shares of variance")


@dataclass(frozen=True, kw_only=True, eq=False)
class Directions:
    """Directions of one generator, most important first."""

    record: DirectionsRecord
    vectors: Tensor
    """float64 [K, z_size] on the CPU, each of length 1, so that 1 along it is one deviation of the prior."""

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def names(self) -> tuple[str, ...]:
        """By number; empty where nobody gave one."""
        return self.record.names

    @property
    def label(self) -> str:
        """What they are, in a word: ``sefa first``."""
        return f"{self.record.kind} {self.record.layer}"

    def index(self, which: Which) -> int:
        """Return the number of a direction.

        Args:
            which: its number, from 0, or its name. Digits in a string are a number.

        Raises:
            UserError: no such direction; says what there is.
        """
        found = self.find(which)
        if found is None:
            raise self.missing(which)
        return found

    def missing(self, which: Which, option: str = "direction") -> UserError:
        """Return the error that there is no such direction, and what there is.

        Args:
            which: number or name.
            option: where it was named.
        """
        what = f"{option} {one_line(str(which), LONGEST_NAME)}"
        if isinstance(which, int) or re.fullmatch("[0-9]+", which):
            more = "'biggan explore directions RUN --count N --overwrite' finds more"
            return UserError(f"{what}: there are {len(self)} of {self.label}, from 0; {more}")
        given = [name for name in self.names if name]
        known = suggested(which, given, "names are ") if given else "none has a name yet, name it by its number"
        return UserError(f"{what}: no direction of {self.label} has this name; {known}")

    def find(self, which: Which) -> int | None:
        """Return the number of a direction as :meth:`index` does; None if there is none."""
        if isinstance(which, str) and not re.fullmatch("[0-9]{1,9}", which):
            return self.names.index(which) if which and which in self.names else None
        return int(which) if 0 <= int(which) < len(self) else None

    def title(self, number: int) -> str:
        """Return what a direction is called: its name, or its number."""
        return self.names[number] or str(number)

    def named(self, which: Which, name: str) -> Directions:
        """Return the same directions, one of which has another name; an empty one takes its name away.

        Raises:
            UserError: no such direction, or a name that is a number, too long, or another's.
        """
        number = self.index(which)
        name = " ".join(name.split())
        if re.fullmatch("[0-9]+", name):
            raise UserError(f"'{one_line(name, 40)}': a name that is a number would be taken for one; add a letter")
        if len(name) > LONGEST_NAME:
            raise UserError(f"'{one_line(name, 40)}': a name has at most {LONGEST_NAME} characters")
        if name and name in self.names and self.names.index(name) != number:
            raise UserError(f"'{one_line(name)}' is direction {self.names.index(name)} already; take another name")
        names = (*self.names[:number], name, *self.names[number + 1 :])
        return dataclasses.replace(self, record=dataclasses.replace(self.record, names=names))


def move(z: Tensor, directions: Directions, amounts: Mapping[Which, float]) -> Tensor:
    """Return z + the sum of amount times direction, in the type and on the device of z.

    Args:
        z: float [..., z_size].
        directions: those of the generator that z is for.
        amounts: by number or name; 1 is one deviation of the prior.

    Raises:
        UserError: no such direction, or latents of another length.
    """
    if z.shape[-1] != directions.vectors.shape[1]:
        raise UserError(f"latents have {z.shape[-1]} numbers, these directions {directions.vectors.shape[1]}")
    step = torch.zeros(directions.vectors.shape[1], dtype=torch.float64)
    for which, amount in amounts.items():
        step += amount * directions.vectors[directions.index(which)]
    return z + step.to(z.device, z.dtype)


def oriented(vectors: Tensor) -> Tensor:
    """Return vectors [K, n], each with the sign by which its largest number is positive: a convention, no meaning."""
    largest = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * torch.where(vectors.gather(1, largest) < 0, -1.0, 1.0).to(vectors.dtype)
