"""What was measured of a run at one clock, and what was found. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from biggan.foundation.records import Count, Name
from biggan.training.health.constants import LONG_RUNNING

Kind = Literal[
    "collapse",
    "nothing learnt",
    "memorisation",
    "labels ignored",
    "z ignored",
    "leak of augmentation",
    "average at rest",
    "data repeat",
]

NUMBERS = {
    "score_real": "mean of D's scores of real images",
    "score_held": "the same of held-out ones",
    "score_fake": "the same of fakes",
    "gap": "score_real - score_fake",
    "accuracy": "share of reals above 0 and of fakes below, the mean of both",
    "accuracy_real": "share of reals above 0",
    "accuracy_fake": "share of fakes below 0",
    "separation": "how often a real is scored above a fake; 1/2 where D cannot tell",
    "separation_held": "how often a held-out real is scored above a fake",
    "memory": "how often a real is scored above a held-out one; 1/2 where D knows none by heart",
    "label_use": "how often D scores an image higher under its label than under another (held-out ones, if there are)",
    "shuffled_label_loss": "by how much D's loss rises where reals have labels of others",
    "diversity": "variance within classes of published fakes, relative to reals, in random features",
    "diversity_raw": "the same of G itself",
    "feature_diversity": "the same of G itself in D's features",
    "distance": "squared distance of published fakes to reals, by means and deviations, over the variance of reals",
    "distance_raw": "the same of G itself",
    "z_use": "variance over z of images of one class, relative to the reals' variance",
    "within_real": "variance within classes of reals, relative to all of it",
    "class_use": "variance over classes of images of one z, relative to the reals' variance",
    "saturation": "share of pixels of fakes at the ends of the range",
    "saturation_real": "the same of reals",
    "average_distance": "distance of the average's weights from G's, relative to the length of these",
    "average_trace": "a sum of the average's weights that any change of them changes",
    "G_trace": "the same of G",
    "G_sigma": "largest singular value of G's weights",
    "D_sigma": "the same of D",
    "G_sigma_growth": "times as large as at the look before, of the same attempt",
    "D_sigma_growth": "the same of D",
    "G_gradient_norm": "of G's latest update",
    "D_gradient_norm": "of D's latest update",
    "judge_slope": "change of the value by which checkpoints are kept since the look before",
    "epochs": "how often each image has been seen",
    "distinct": "about how many different images the data have",
    "different": "share of different images among those that were looked at",
    "leak": "estimated share of fakes that look augmented, where D sees augmented images",
}
"""The names of what is measured; a number that is unknown is absent."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong."""

    kind: Kind
    text: Name
    """A sentence: what, and by how much."""


@dataclass(frozen=True, kw_only=True)
class HealthRecord:
    """One look."""

    images_seen: Count
    numbers: dict[Name, float]
    findings: tuple[Finding, ...] = field(default=())
    attempt: Count = 0
    """How often the run had gone back: an attempt is judged by its own looks."""

    def has(self, kind: Kind) -> bool:
        """Tell whether something of this kind was found."""
        return any(finding.kind == kind for finding in self.findings)


def growth(numbers: Mapping[str, float], earlier: Sequence[HealthRecord], attempt: int) -> dict[str, float]:
    """Return how many times as large singular values are as they were at the look before, of the same attempt."""
    before = earlier[-1].numbers if earlier and earlier[-1].attempt == attempt else {}
    names = [name for name in ("G_sigma", "D_sigma") if name in numbers and before.get(name)]
    return {f"{name}_growth": numbers[name] / before[name] for name in names}


MOST_RECORDS = 400
"""Of one run, in each of its checkpoints."""


def kept(records: Sequence[HealthRecord]) -> list[HealthRecord]:
    """Return the records to keep: where there are too many, every second of the older half goes."""
    if len(records) <= MOST_RECORDS:
        return list(records)
    half = len(records) // 2
    return [*records[:half:2], *records[half:]]


def last_healthy(records: Sequence[HealthRecord]) -> int | None:
    """Return the clock of the latest record at which networks were healthy beyond doubt; None if there is none.

    The last few are not: an alarm that comes next would rest on them.
    """
    earlier = records[:-LONG_RUNNING]
    return max((record.images_seen for record in earlier if not record.has("collapse")), default=None)
