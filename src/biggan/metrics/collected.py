"""What is kept of a stream of images, for metrics to be computed from: mergeable, and in the order of the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.metrics.features import Features
from biggan.metrics.moments import Gaussian, Moments

MOMENTS, ROWS, LOGITS, THUMBNAILS = "moments", "rows", "logits", "thumbnails"
"""What a metric may need of a stream. The first does not grow with it."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """One stream, whole; what was not asked for is None."""

    count: int
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


class Collector:
    """Takes features in any order and from any rank."""

    def __init__(self, needs: frozenset[str]) -> None:
        self.needs = needs
        self._moments: Moments | None = None
        self._parts: dict[str, list[Tensor]] = {}
        self._count = 0

    def add(
        self, indices: Tensor, labels: Tensor, features: Features | None, thumbnails: Tensor | None, keep: Tensor
    ) -> None:
        """Add some images.

        Args:
            indices: int64 [B], which images they are.
            labels: int64 [B].
            features: of them; None where no metric needs any.
            thumbnails: uint8 [B, C, h, w], or None.
            keep: bool [B], of which of them rows are kept; moments take all.
        """
        self._count += len(indices)
        kept: dict[str, Tensor] = {"indices": indices, "labels": labels}
        if features is not None:
            if MOMENTS in self.needs:
                self._moments = self._moments or Moments(features.rows.shape[1])
                self._moments.add(features.rows.cpu())
            if ROWS in self.needs:
                kept["rows"] = features.rows.cpu()
            if LOGITS in self.needs and features.logits is not None:
                kept["logits"] = features.logits.cpu()
        if thumbnails is not None:
            kept["thumbnails"] = thumbnails
        for name, tensor in kept.items():
            self._parts.setdefault(name, []).append(tensor[keep])

    def finish(self) -> Collected:
        """Return what all ranks have seen; every rank gets the same."""
        own: dict[str, Any] = {name: torch.cat(parts) for name, parts in self._parts.items()}
        gathered = distributed.gather_objects((self._count, own, self._moments))
        everyone: list[tuple[int, dict[str, Tensor], Moments | None]] = gathered  # type: ignore[assignment]
        merged: Moments | None = None
        for _, _, moments in everyone:
            if moments is not None:
                merged = merged or Moments(len(moments.mean))
                merged.merge(moments)
        names = dict.fromkeys(name for _, parts, _ in everyone for name in parts)
        joined = {name: torch.cat([parts[name] for _, parts, _ in everyone if name in parts]) for name in names}
        order = joined["indices"].argsort() if "indices" in joined else torch.empty(0, dtype=torch.int64)
        return Collected(
            count=sum(count for count, _, _ in everyone),
            gaussian=merged.finish() if merged is not None else None,
            **{name: tensor[order] for name, tensor in joined.items()},
        )
