"""What is written down about where a run began: ``init.json``. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from biggan.foundation.records import Count, Name
from biggan.foundation.terminal import one_line

_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class ClassOrigin:
    """What one class begins as."""

    how: Literal["name", "order", "file", "nearest", "mean", "fresh"]
    """``order``: the file names no classes and has as many."""
    old: Count | None = None
    """Index of the old class; None for the mean of all, and for fresh ones."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What became of every tensor of one network."""

    loaded: tuple[Name, ...] = ()
    """Taken as they are."""
    resized: tuple[Name, ...] = ()
    """Made from the old ones for other classes or channels."""
    fresh: tuple[Name, ...] = ()
    """Drawn at random."""
    unused: tuple[Name, ...] = ()
    """Of the file, and of no use here."""

    def lines(self, network: str) -> list[str]:
        """Return a line of numbers, and the names of all that was not simply taken over."""
        kinds = {"resized": self.resized, "fresh": self.fresh, "unused": self.unused}
        counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items())
        found = [f"  {network}: {len(self.loaded)} tensors loaded, {counts}"]
        for kind, names in kinds.items():
            if names and not (kind == "fresh" and not self.loaded and not self.resized):
                more = f", and {len(names) - _SHOWN} more (init.json)" if len(names) > _SHOWN else ""
                found.append(f"    {kind}: {', '.join(map(one_line, names[:_SHOWN]))}{more}")
        return found


@dataclass(frozen=True, kw_only=True)
class InitRecord:
    """Where a run began."""

    path: Name
    """What was asked for."""
    read_from: Name
    """The checkpoint or file that this meant."""
    digest: Name
    """Hash of the file's content; empty for a checkpoint."""
    images_seen: Count
    """Its clock; that of the new run begins at 0."""
    weights: Literal["ema", "raw"]
    """What G began as."""
    classes: tuple[ClassOrigin, ...]
    """By index of the new class."""
    generator: Listing
    discriminator: Listing
    moments: tuple[Literal["generator", "discriminator"], ...] = ()
    """Networks whose moments were taken over."""
    recalibrated: Count = 0
    """Batches of 64 over which the statistics of batch norm were estimated anew."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where the file says that it comes from."""

    def new_parts(self, network: str) -> frozenset[str]:
        """Return the tensors of a network that are new while others are not."""
        listing = self.generator if network == "generator" else self.discriminator
        return frozenset((*listing.resized, *listing.fresh)) if listing.loaded else frozenset()

    def origin(self) -> dict[str, Any]:
        """Return what a snapshot of the new run tells about it."""
        return {
            "from": self.read_from,
            "digest": self.digest,
            "images_seen": self.images_seen,
            "weights": self.weights,
            "discriminator": bool(self.discriminator.loaded),
            "provenance": self.provenance,
        }
