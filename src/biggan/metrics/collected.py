"""What is kept of a stream of images, for metrics to be computed from, in the order of the images."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from biggan.metrics.moments import Gaussian, Moments

MOMENTS, ROWS, CLASS_ROWS, LOGITS, THUMBNAILS = "moments", "rows", "class rows", "logits", "thumbnails"
"""What a metric may need of a stream. The first does not grow with it."""


@dataclass(frozen=True, kw_only=True)
class RowsOfClasses:
    """Rows for what is computed a class at a time, of every class that has images."""

    rows: Tensor
    """float32 [N, d], in order of the images' index."""
    labels: Tensor
    """int64 [N], likewise."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """One stream, whole; what was not asked for is None."""

    count: int
    """Images that could be read."""
    unreadable: tuple[str, ...] = ()
    """What was wrong with the others."""
    gaussian: Gaussian | None = None
    rows: Tensor | None = None
    """float32 [N, d], in order of the images' index."""
    logits: Tensor | None = None
    """float32 [N, K], likewise."""
    thumbnails: Tensor | None = None
    """uint8 [N, C, h, w], likewise."""
    labels: Tensor | None = None
    """int64 [N], likewise, of the rows that were kept."""
    indices: Tensor | None = None
    """int64 [N]: which image each row is."""
    of_classes: RowsOfClasses | None = None


@dataclass(frozen=True, kw_only=True)
class Part:
    """A block of images as one process has measured it, on the CPU."""

    indices: Tensor
    """int64 [B], those that could be read."""
    labels: Tensor
    """int64 [B]."""
    rows: Tensor | None = None
    """float32 [B, d]."""
    logits: Tensor | None = None
    """float32 [B, K]."""
    thumbnails: Tensor | None = None
    """uint8 [B, C, h, w]."""
    unreadable: tuple[str, ...] = ()
    """What was wrong with the others."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Of which images single rows are kept; moments take all."""

    rows: Tensor
    """bool [N]."""
    of_classes: Tensor
    """bool [N]: for what is computed a class at a time."""

    @classmethod
    def all(cls, count: int) -> Choice:
        """Return the choice of every image."""
        every = torch.ones(count, dtype=torch.bool)
        return cls(rows=every, of_classes=every)


@dataclass
class Collector:
    """Takes blocks in the order of the images, so that whoever measured them changes no digit of the result."""

    needs: frozenset[str]
    choice: Choice
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    """Where moments are summed, in float64."""
    _moments: Moments | None = None
    _parts: dict[str, list[Tensor]] = field(default_factory=dict)
    _count: int = 0
    _unreadable: list[str] = field(default_factory=list)

    def add(self, part: Part) -> None:
        """Add the next block."""
        self._count += len(part.indices)
        self._unreadable += part.unreadable
        keep, of_classes = self.choice.rows[part.indices], self.choice.of_classes[part.indices]
        self._keep("indices", part.indices, keep)
        self._keep("labels", part.labels, keep)
        if part.rows is not None:
            if MOMENTS in self.needs:
                self._moments = self._moments or Moments(part.rows.shape[1], self.device)
                self._moments.add(part.rows)
            if ROWS in self.needs:
                self._keep("rows", part.rows, keep)
            if CLASS_ROWS in self.needs:
                self._keep("class_rows", part.rows, of_classes)
                self._keep("class_labels", part.labels, of_classes)
        if part.logits is not None and LOGITS in self.needs:
            self._keep("logits", part.logits, keep)
        if part.thumbnails is not None:
            self._keep("thumbnails", part.thumbnails, keep)

    def _keep(self, name: str, tensor: Tensor, which: Tensor) -> None:
        self._parts.setdefault(name, []).append(tensor[which])

    def finish(self) -> Collected:
        """Return all of it."""
        joined = {name: torch.cat(parts) for name, parts in self._parts.items()}
        rows, labels = joined.pop("class_rows", None), joined.pop("class_labels", None)
        return Collected(
            count=self._count,
            unreadable=tuple(self._unreadable),
            gaussian=self._moments.finish() if self._moments is not None else None,
            of_classes=None if rows is None or labels is None else RowsOfClasses(rows=rows, labels=labels),
            **joined,
        )
