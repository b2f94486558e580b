"""``--size`` of sheets: what commands share that show small images to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SheetSizeOption:
    """How large images stand on a sheet."""

    size: int = 64
    """Pixels of the shorter side of an image on a sheet, at least: smaller ones are enlarged by a whole number (as far
    as the sheet stays below 20 million pixels); 1 leaves them as they are."""
