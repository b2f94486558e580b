"""What a snapshot says about batch-norm statistics that were estimated after training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from biggan.foundation.errors import UserError
from biggan.foundation.limits import Ge, Le, MaxLen, MinLen

TruncationKind = Literal["resample", "scale", "clamp", "tfhub"]
"""How latents are truncated; sampling/latents.py says what each means."""
MOST_TRUNCATIONS = 1000
"""Most truncations of one bank; people store twenty."""
MOST_BATCHES = 1_000_000
"""Most batches that statistics are averaged over; more change nothing that float32 could show."""

SMALLEST_TRUNCATION, LARGEST_TRUNCATION = 0.001, 1000.0
Truncation = Annotated[float, Ge(SMALLEST_TRUNCATION), Le(LARGEST_TRUNCATION)]
"""The bound T of latents."""
_Level = Annotated[float, Ge(0), Le(LARGEST_TRUNCATION)]
_Batches = Annotated[int, Ge(1), Le(MOST_BATCHES)]
_BatchSize = Annotated[int, Ge(1), Le(1_000_000)]


def check_batches(batches: int, option: str) -> None:
    """Check over how many batches statistics are to be averaged, before any work.

    Raises:
        UserError: none, or more than anybody needs.
    """
    if not 1 <= batches <= MOST_BATCHES:
        raise UserError(f"{option} {batches}: 1 to {MOST_BATCHES:,} batches of 64 images; a hundred are usual")


def check_range(truncation: float | None, option: str) -> None:
    """Check a truncation before any work; None is no truncation.

    Raises:
        UserError: T is out of range, or no number.
    """
    if truncation is not None and not SMALLEST_TRUNCATION <= truncation <= LARGEST_TRUNCATION:
        raise UserError(
            f"{option} {truncation}: must be at least {SMALLEST_TRUNCATION} and at most {LARGEST_TRUNCATION:g}"
        )


@dataclass(frozen=True, kw_only=True)
class StandingStatistics:
    """How the statistics that a file's weights carry were re-estimated."""

    batches: _Batches | None
    """Batches that were averaged over; None if the weights came without a word on it."""
    batch: _BatchSize | None
    """Images of each; likewise."""
    truncation: Truncation | None
    """T of their latents; None for the whole prior."""
    kind: Literal["resample", "scale", "clamp", "tfhub", "none"]
    """How they were truncated; ``none`` without a truncation."""

    def __post_init__(self) -> None:
        if (self.truncation is None) != (self.kind == "none"):
            raise ValueError(f"truncation {self.truncation} and kind '{self.kind}' contradict each other")

    def fits(self, truncation: float | None, kind: str) -> bool:
        """Return whether images of this truncation are what the statistics were estimated for."""
        return self.truncation == truncation and (truncation is None or self.kind == kind)


@dataclass(frozen=True, kw_only=True)
class TruncationBank:
    """For which truncations a file holds statistics, besides those that its weights carry."""

    truncations: Annotated[tuple[_Level, ...], MinLen(1), MaxLen(MOST_TRUNCATIONS)]
    """Rising; the first may be 0, which is what lies below the others."""
    kind: TruncationKind
    """How latents were truncated."""
    batches: _Batches | None
    """Batches that each was averaged over; None if the weights came without a word on it."""
    batch: _BatchSize | None
    """Images of each; likewise."""
    compatibility: Literal["none", "pytorch-pretrained-biggan"] = "none"
    """``pytorch-pretrained-biggan`` gives the nearer of two levels the smaller weight, as that package does."""

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.truncations, self.truncations[1:], strict=False)):
            raise ValueError("the truncations do not rise")
        evenly = [place / max(len(self.truncations) - 1, 1) for place in range(len(self.truncations))]
        if self.compatibility != "none" and list(self.truncations) != evenly:
            raise ValueError(f"with compatibility {self.compatibility} the truncations go evenly from 0 to 1")
