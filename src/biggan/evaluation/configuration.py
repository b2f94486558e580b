"""What is measured and how. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from biggan.foundation.durations import MaybeImages
from biggan.foundation.errors import UserError
from biggan.models.norm_records import check_batches, check_range

MOST_SAMPLES = 10_000_000
"""Most images that one evaluation draws."""
MOST_AT_ONCE = 65_536
LARGEST_SEED = 2**62
"""Largest seed of a first image; those of the others follow it."""
DEFAULT_METRICS = ("fid", "is", "kid", "precision_recall", "prdc")
PIPELINES = {"biggan-pytorch": "inception-torchvision", "mmgeneration": "inception-pillow-bicubic"}
"""Other implementations, and the features of theirs."""


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """One evaluation."""

    metrics: tuple[str, ...] = DEFAULT_METRICS
    """fid, is, kid, kid_full, precision_recall, prdc, class_fid, diversity, cas, memorisation; spaces or commas."""
    count: int = 50_000
    """Images to generate. Of the real images, moments take all, neighbours as many as this."""
    features: str = "auto"
    """inception, dinov2, clip, vgg16, classifier, random; auto takes classifier for digits, else inception."""
    weights: str | None = None
    """Weights file of the features, for machines without a network."""
    protocol: Literal["standard", "biggan-pytorch", "mmgeneration"] = "standard"
    """Also reproduce another implementation's pipeline, beside the standard numbers."""
    protocol_weights: str | None = None
    """Weights file of that pipeline's network."""
    truncation: float | None = None
    """T. By default the whole prior is drawn from."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    """How to truncate."""
    generator_mode: Literal["running", "batch", "standing"] = "running"
    """Statistics of batch norm: the running ones, those of each batch, or estimated anew at this truncation."""
    standing_statistics: bool = False
    """The same as --generator-mode standing."""
    standing_batches: int = 100
    """Batches of 64 over which standing statistics are estimated."""
    seed: int = 0
    """Seed of the first image; image i has seed + i."""
    batch: int = 64
    """Images at a time."""

    def __post_init__(self) -> None:
        if not 2 <= self.count <= MOST_SAMPLES:
            raise UserError(f"--count {self.count}: 2 to {MOST_SAMPLES:,} samples; fifty thousand are usual")
        if not 1 <= self.batch <= MOST_AT_ONCE:
            raise UserError(f"--batch {self.batch}: 1 to {MOST_AT_ONCE:,} images at a time")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise UserError(f"--seed {self.seed}: not negative, and at most {LARGEST_SEED}")
        check_batches(self.standing_batches, "--standing-batches")
        check_range(self.truncation, "--truncation")
        # fid,is and fid is are the same.
        names = tuple(name for word in self.metrics for name in word.split(",") if name)
        object.__setattr__(self, "metrics", names)

    @property
    def mode(self) -> str:
        """Where batch norm takes its statistics from."""
        return "standing" if self.standing_statistics else self.generator_mode


@dataclass(frozen=True, kw_only=True)
class TrainingEvaluation(EvaluationConfig):
    """Evaluation of the published generator while it trains."""

    every: MaybeImages = None
    """Interval; none by default, and none starts in a run that is shorter."""
    best_by: str | None = None
    """The number by which the best checkpoints are kept, such as fid; the first one that has a direction by default."""

    def __post_init__(self) -> None:
        EvaluationConfig.__post_init__(self)
        if self.every is not None and self.every < 1:
            raise UserError(f"--evaluation.every {self.every}: must be positive")
