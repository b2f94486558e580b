"""``--no-metadata``: what commands share that write pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MetadataOption:
    """What commands offer that write pictures."""

    metadata: bool = True
    """Whether pictures say how they were drawn (seed, class, truncation, statistics, hash of the generator), so that
    'biggan recreate' can draw them again."""
