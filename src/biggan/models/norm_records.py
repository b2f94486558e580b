"""What a snapshot says about batch-norm statistics that were estimated after training. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

TruncationKind = Literal["resample", "scale", "clamp", "tfhub"]
"""How latents are truncated; sampling/latents.py says what each means."""
MOST_TRUNCATIONS = 1000
"""Most truncations of one bank; people store twenty."""
MOST_BATCHES = 1_000_000
"""Most batches that statistics are averaged over; more change nothing that float32 could show."""

Truncation = Annotated[float, Field(ge=0.001, le=1000.0, allow_inf_nan=False)]
"""The bound T of latents."""
_Batches = Annotated[int, Field(ge=1, le=MOST_BATCHES)]
_BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True, kw_only=True)
class StandingStatistics:
    """How the statistics that a file's weights carry were re-estimated."""

    batches: _Batches
    """Batches that were averaged over."""
    batch: _BatchSize
    """Images of each."""
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

    truncations: Annotated[tuple[Truncation, ...], Field(min_length=1, max_length=MOST_TRUNCATIONS)]
    """Rising."""
    kind: TruncationKind
    """How latents were truncated."""
    batches: _Batches
    """Batches that each was averaged over."""
    batch: _BatchSize
    """Images of each."""

    def __post_init__(self) -> None:
        if any(low >= high for low, high in zip(self.truncations, self.truncations[1:], strict=False)):
            raise ValueError("the truncations do not rise")
