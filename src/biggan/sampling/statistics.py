"""Which statistics of batch norm images are drawn with: one record, for everybody who names them. Imports no torch."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Annotated, Literal

from biggan.foundation.limits import Ge, MaxLen
from biggan.models.norm_records import StandingStatistics, TruncationBank, TruncationKind

Statistics = Literal["none", "running", "standing", "bank", "batch"]


@dataclass(frozen=True, kw_only=True)
class NormStatistics:
    """Statistics of batch norm, and the truncation of the images that they are used for."""

    kind: Statistics
    """``none``: there is no batch norm. ``running``: gathered by untruncated training. ``standing``: estimated anew,
    for one truncation. ``bank``: estimated for several, the file's. ``batch``: those of each batch that is drawn."""
    asked: float | None = None
    """T of the images; None for the whole prior."""
    asked_kind: TruncationKind | None = None
    """How their latents are truncated; None without a truncation."""
    truncation: float | None = None
    """T that the statistics were estimated for; None for the whole prior."""
    truncation_kind: TruncationKind | None = None
    """How latents were truncated for that; None without a truncation."""
    between: Annotated[tuple[float, ...], MaxLen(2)] = ()
    """The truncations of a bank between which they were interpolated."""
    batches: Annotated[int, Ge(1)] | None = None
    """Batches that were averaged over."""
    batch: Annotated[int, Ge(1)] | None = None
    """Images of each batch."""

    @property
    def fit(self) -> bool:
        """Whether they were made for such images."""
        if self.kind in ("none", "batch"):
            return True
        return _meaning(self.truncation, self.truncation_kind) == _meaning(self.asked, self.asked_kind)

    @property
    def text(self) -> str:
        """Return the part of a protocol's text: ``running``, ``standing100x64-resample0.5``, ``batch64``."""
        words: list[str] = [self.kind if self.kind != "none" else "nobatchnorm"]
        if self.batches is not None:
            words[0] += f"{self.batches}x{self.batch}"
        elif self.kind in ("standing", "bank"):
            words[0] += "-of-the-file"
        elif self.kind == "batch":
            words[0] += f"{self.batch}"
        if self.between:
            words.append(f"between{self.between[0]:g}and{self.between[1]:g}")
        if not self.fit and self.kind != "running":
            whole = self.truncation is None
            words.append("of-untruncated" if whole else f"of-{self.truncation_kind}{self.truncation:g}")
        if self.asked is not None:
            words.append(f"{self.asked_kind}{self.asked:g}")
        elif not self.fit:
            words.append("untruncated")
        return "-".join(words)

    def __str__(self) -> str:
        """Return a sentence without its stop: what they are, and whether they fit."""
        return self.sentence()

    def sentence(self, estimates: str = "") -> str:
        """Return a sentence without its stop: what they are, whether they fit, and where fitting ones come from.

        Args:
            estimates: the option of the command at hand that estimates fitting ones; empty where it has none.
        """
        if self.kind == "none":
            return "no batch norm, so no statistics"
        if self.kind == "batch":
            return f"statistics of each batch of {self.batch} images"
        images = "untruncated images" if self.asked is None else f"truncation {self.asked:g}"
        if self.asked is not None and self.truncation_kind not in (None, self.asked_kind):
            images += f" by {self.asked_kind}"
        way = f" --truncation-kind {self.asked_kind}" if self.asked_kind not in (None, "resample") else ""
        calibrate = f"'biggan calibrate FILE --out NEW.safetensors{way}' writes a file with fitting ones"
        calibrate += f", {estimates} estimates them" if estimates else ""
        if self.kind == "running":
            misfit = f" of untruncated training, which fit {images} badly: {calibrate}"
            return "running statistics" + ("" if self.fit else misfit)
        found = "standing statistics of "
        found += "untruncated images" if self.truncation is None else f"truncation {self.truncation:g}"
        if self.truncation_kind not in (None, "resample"):
            found += f" by {self.truncation_kind}"
        if self.kind == "bank":
            found += ", from the file's bank"
        if self.between:
            found += f" (interpolated between {self.between[0]:g} and {self.between[1]:g})"
        if self.fit:
            return found
        remedy = calibrate if self.kind == "bank" else "draw what they were made for, or use the file they came from"
        return f"{found}, which do not fit {images}: {remedy}"


def norm_statistics(
    *,
    batch_norm: bool,
    standing: StandingStatistics | None,
    bank: TruncationBank | None,
    truncation: float | None,
    kind: TruncationKind = "resample",
) -> NormStatistics:
    """Return the statistics that images are drawn with.

    Args:
        batch_norm: whether the generator has batch norm at all.
        standing: of the file's own weights; None if these carry running statistics.
        bank: what the file holds besides; None if nothing.
        truncation: T of the images; None for the whole prior.
        kind: how their latents are truncated.
    """
    asked_kind = None if truncation is None else kind
    if not batch_norm:
        return NormStatistics(kind="none", asked=truncation, asked_kind=asked_kind)
    if truncation is not None and bank is not None and bank.kind == kind:
        points = bank.truncations
        above = bisect.bisect_left(points, truncation)
        inside = 0 < above < len(points) and points[above] != truncation
        return NormStatistics(
            kind="bank",
            asked=truncation,
            asked_kind=asked_kind,
            truncation=min(max(truncation, points[0]), points[-1]),  # beyond its ends those of the end
            truncation_kind=bank.kind,
            between=(points[above - 1], points[above]) if inside else (),
            batches=bank.batches,
            batch=bank.batch,
        )
    if standing is not None:
        return NormStatistics(
            kind="standing",
            asked=truncation,
            asked_kind=asked_kind,
            truncation=standing.truncation,
            truncation_kind=None if standing.kind == "none" else standing.kind,
            batches=standing.batches,
            batch=standing.batch,
        )
    return NormStatistics(kind="running", asked=truncation, asked_kind=asked_kind)


def _meaning(truncation: float | None, kind: TruncationKind | None) -> tuple[float | None, TruncationKind | None]:
    """Return a truncation such that equal ones mean the same latents: scaled by 1 they are those of the whole prior."""
    return (None, None) if kind == "scale" and truncation == 1 else (truncation, kind)
