"""``--no-metadata``: what commands share that write pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MetadataOption:
    """What commands offer that write PNG files."""

    metadata: bool = True
    """Whether PNG files say how they were drawn (seed, class, truncation, statistics, hash of the generator), so that
    'biggan recreate' can draw them again."""
