"""What a number was measured by: one typed record, made in one place, and the one judge of what may be compared.

Imports no torch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Annotated, Literal

from biggan.foundation.config import differences, to_json
from biggan.foundation.limits import Ge, Le, MaxLen
from biggan.foundation.records import Count, Name
from biggan.sampling.statistics import NormStatistics

PRECISION = "float32 features without TF32, float64 statistics"
Side = Annotated[int, Ge(1), Le(2**20)]
Resolution = tuple[Side, Side]


LabelFrequencies = Literal["as the real images", "all alike"]
"""How often classes are drawn."""


@dataclass(frozen=True, kw_only=True)
class FeatureProtocol:
    """What turned images into rows."""

    name: Name
    """As in the registry."""
    text: Name
    """Network, resize, and whether it sees bytes: ``inception-bilinear299-uint8``."""
    weights: Name
    """Hash of its weights, or how they came about; a published one may be the beginning of a hash."""
    dimensions: Count | None = None
    """d; None if a published description does not say."""


@dataclass(frozen=True, kw_only=True)
class ReferenceProtocol:
    """The real images."""

    data: Name | None
    """Key of the images' content; None if it is not known which they are."""
    title: Name
    """``all``, or the stem of the file of statistics that was given."""
    file: Name | None = None
    """Hash of that file; None if statistics were computed from the images themselves."""
    count: Count | None = None
    """Images whose statistics these are; None where a foreign file does not say."""
    unreadable: Count = 0
    """Images that could not be read and are missing from them."""
    resolution: Resolution | None = None
    """(height, width) at which they are compared."""
    channels: Count | None = None
    handling: Name | None = None
    """How they became images of that size: crop, filter, background."""
    classes: Count | None = None
    """Number of classes, 0 without."""

    def text(self, used: int | None) -> str:
        """Return the part of a protocol's text; ``used`` images went into the number, if less than all."""
        if self.file is not None:
            found = f"given-{self.title}-{self.file[:8]}"
        else:
            found = f"{self.title}{self.count}" if used in (None, self.count) else f"{used}of{self.count}"
        return found + (f"-{self.unreadable}unreadable" if self.unreadable else "")


@dataclass(frozen=True, kw_only=True)
class JudgedProtocol:
    """The images that were judged."""

    kind: Literal["generator", "images"]
    weights: Name | None = None
    """Of a generator: ``ema`` or ``generator``."""
    statistics: NormStatistics | None = None
    """Of its batch norm, and its truncation."""
    labels: LabelFrequencies | None = None
    """How often each class is drawn; None without classes, or where a published description does not say."""
    refinement: Name | None = None
    """How D's judgement chose latents; None where it did not."""
    refinement_fit: Name | None = None
    """What was fitted for that: it belongs to the model."""
    first_seed: Count | None = None
    data: Name | None = None
    """Of images: the key of their content."""
    unreadable: Count = 0

    @property
    def text(self) -> str:
        """Return the part of a protocol's text: ``ema-running``, ``images``."""
        missing = f"-{self.unreadable}unreadable" if self.unreadable else ""
        if self.statistics is None:
            return f"{self.kind}{missing}"
        refined = f"-{self.refinement}" if self.refinement else ""
        return f"{self.weights}-{self.statistics.text}{refined}{missing}"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Everything that decides a number, but the model."""

    metric: Name
    """The number's name, such as ``fid``."""
    count: Count
    """Judged images that went into it."""
    real_count: Count | None
    """Real images that went into it; None if it asks for none, or if a foreign file does not say."""
    reference: ReferenceProtocol | None
    judged: JudgedProtocol
    features: FeatureProtocol | None
    """None if it looks at images themselves."""
    parameters: Annotated[dict[Name, int | float | bool | Name | None], MaxLen(64)] = field(default_factory=dict)
    """Of the metric: subsets, neighbours, splits."""
    precision: Name = PRECISION

    def __str__(self) -> str:
        """Return it on one line, as people quote it; the record itself says more."""
        features = self.features.text if self.features else "max32-uint8"
        reference = self.reference.text(self.real_count) if self.reference else "noreference"
        return f"{self.metric}_{self.count}_{reference}_{features}_{self.judged.text}"

    @property
    def digest(self) -> str:
        """Return eight digits that two protocols share if their numbers may be compared."""
        facts = to_json(_relevant(self))
        del facts["judged"]["refinement_fit"]
        if self.judged.refinement is None:  # as the digests under which best checkpoints have long been kept
            del facts["judged"]["refinement"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]


def comparable(one: Protocol, other: Protocol) -> list[str]:
    """Return why two numbers may not be compared; an empty list if they may.

    Seeds, batches, processes and, of judged images, which they are, do not stand in the way: these are what is
    compared, or cannot matter.
    """
    reasons = _reference_reasons(one.reference, other.reference)
    a, b = _relevant(one), _relevant(other)
    b = dataclasses.replace(b, reference=a.reference)  # said already
    if a.features is not None and b.features is not None:
        reasons += feature_reasons(a.features, b.features)
        b = dataclasses.replace(b, features=a.features)
    if None in (a.judged.labels, b.judged.labels):  # a published number does not say
        b = dataclasses.replace(b, judged=dataclasses.replace(b.judged, labels=a.judged.labels))
    found = differences(a, b)
    return reasons + [f"{_words(name)}: {_shown(old)}, and {_shown(new)}" for name, (old, new) in found.items()]


def feature_reasons(one: FeatureProtocol, other: FeatureProtocol) -> list[str]:
    """Return in what features differ, so that nothing made by the one may be put beside what the other made."""
    reasons = []
    if (one.name, one.text) != (other.name, other.text):
        reasons.append(f"features: {one.text}, and {other.text}")
    elif not (one.weights.startswith(other.weights) or other.weights.startswith(one.weights)):
        reasons.append(f"weights of the features {one.name}: {one.weights[:16]}, and {other.weights[:16]}")
    if None not in (one.dimensions, other.dimensions) and one.dimensions != other.dimensions:
        reasons.append(f"dimensions of the features: {one.dimensions}, and {other.dimensions}")
    return reasons


def _reference_reasons(one: ReferenceProtocol | None, other: ReferenceProtocol | None) -> list[str]:
    if one is None or other is None:
        return [] if one is other else ["one is measured against real images, and one is not"]
    known = None not in (one.data, other.data)
    if not known and one.file is not None and one.file == other.file:
        return []
    fields: dict[str, tuple[object, object]] = {
        "the number of real images": (one.count, other.count),
        "the size at which images are compared": (one.resolution, other.resolution),
        "the number of classes of the real images": (one.classes, other.classes),
        "unreadable real images": (one.unreadable, other.unreadable),
    }
    if known:
        fields["channels"] = (one.channels, other.channels)
        fields["the way in which real images are prepared"] = (one.handling, other.handling)
    reasons = [f"{name}: {_shown(a)}, and {_shown(b)}" for name, (a, b) in fields.items() if a != b]
    if not known and not reasons and None in (one.count, one.resolution, one.classes):
        reasons.append("it is not known of which real images the statistics are")
    if known and one.data != other.data and not reasons:
        reasons.append("other real images: as many, but not the same files, or files that changed since")
    return reasons


def _relevant(protocol: Protocol) -> Protocol:
    """Return ``protocol`` without what may differ between numbers that are compared."""
    judged = dataclasses.replace(protocol.judged, first_seed=None, data=None, refinement_fit=None)
    reference = protocol.reference
    if reference is not None and reference.data is not None:  # whose statistics they are matters, not where they lay
        reference = dataclasses.replace(reference, title="all", file=None)
    return dataclasses.replace(protocol, judged=judged, reference=reference)


_NAMES = {
    "metric": "the number itself",
    "count": "judged images",
    "real_count": "real images that went into it",
    "judged.statistics": "statistics of batch norm",
    "judged.weights": "weights of the generator",
    "judged.statistics.kind": "statistics of batch norm",
    "judged.statistics.asked": "truncation",
    "judged.statistics.asked_kind": "kind of truncation",
    "judged.statistics.truncation": "truncation of the statistics of batch norm",
    "judged.refinement": "how D's judgement chose latents",
    "judged.labels": "how often classes are drawn",
}


def _words(name: str) -> str:
    return _NAMES.get(name, name.replace(".", " ").replace("_", " "))


def _shown(value: object) -> str:
    if value is None:
        return "none or not known"
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
