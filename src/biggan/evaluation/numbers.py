"""From what was collected to records: the one place where a number meets its protocol."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

import torch

from biggan.evaluation.protocol import Protocol
from biggan.evaluation.records import MetricRecord
from biggan.evaluation.reference import Reference, feature_protocol
from biggan.evaluation.sides import Side
from biggan.foundation import distributed
from biggan.metrics.collected import CLASS_ROWS, LOGITS, MOMENTS, ROWS, THUMBNAILS, Collected
from biggan.metrics.definitions import Context, Measured, Metric, infinite, title
from biggan.metrics.features import Extractor


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Both sides of a comparison, on the first process."""

    side: Side
    fake: Collected
    reference: Reference
    extractor: Extractor | None


def numbers(
    pair: Pair,
    metrics: dict[str, Metric],
    context: Context,
    began: float,
    device: torch.device,
    notes: tuple[str, ...] = (),
) -> list[MetricRecord]:
    """Return a record for each number.

    Args:
        pair: what was collected.
        metrics: to compute, by name.
        context: what they may need beside.
        began: when the evaluation did, by ``time.monotonic``.
        device: where features were computed.
        notes: what is to be known about all of them.
    """
    real = pair.reference.collected or Collected(count=0)
    records = []
    for metric in metrics.values():
        missing = [*_missing(metric.real, real, "real"), *_missing(metric.fake, pair.fake, "judged")]
        if missing:
            name = next(iter(metric.larger_is_better))
            reason = "not computed, for want of " + " and ".join(missing)
            measured = Measured(
                values={name: float("nan")}, fake_count=pair.fake.count, real_count=None, notes=(reason,)
            )
        else:
            measured = metric.compute(real, pair.fake, context)
        records += _records(pair, metric, measured, began, device, notes)
    return records


def _records(
    pair: Pair, metric: Metric, measured: Measured, began: float, device: torch.device, notes: tuple[str, ...]
) -> list[MetricRecord]:
    bad = infinite(measured.values)
    extractor, side, reference = pair.extractor, pair.side, pair.reference
    said = [*measured.notes, *notes, *reference.notes]
    if pair.fake.unreadable:
        first = pair.fake.unreadable[0]
        said.append(f"{len(pair.fake.unreadable)} judged images cannot be read and are left out, such as {first}")
    if bad and measured.real_count is not None:
        said.insert(0, f"{', '.join(bad)} could not be computed")
    parameters = dict(measured.parameters)
    if CLASS_ROWS in metric.real:
        parameters["real_rows_per_class"] = reference.rows_per_class or "all"
    dimensions = next((rows.shape[1] for rows in (pair.fake.rows, _mean_row(pair.fake)) if rows is not None), None)
    found = []
    for value_name, value in measured.values.items():
        full = title(value_name, extractor.name if extractor else "images")
        protocol = Protocol(
            metric=full,
            count=measured.fake_count,
            real_count=measured.real_count,
            reference=reference.protocol,
            judged=dataclasses.replace(side.judged, unreadable=len(pair.fake.unreadable)),
            features=feature_protocol(extractor, dimensions) if extractor else None,
            parameters=parameters,
        )
        found.append(
            MetricRecord(
                metric=full,
                value=None if value_name in bad else value,
                protocol=str(protocol),
                conditions=protocol,
                file=side.file,
                images_seen=side.images_seen,
                iterations=side.iterations,
                reference_from_cache=reference.from_cache,
                seconds=round(time.monotonic() - began, 3),
                device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
                ranks=distributed.world_size(),
                notes=tuple(dict.fromkeys(said)),
            )
        )
    return found


def _mean_row(side: Collected) -> torch.Tensor | None:
    return None if side.gaussian is None else side.gaussian.mean[None]


def _missing(needs: frozenset[str], side: Collected, whose: str) -> list[str]:
    """Return what a metric needs and a side does not have."""
    has = {
        MOMENTS: (side.gaussian, "mean and covariance"),
        ROWS: (side.rows, "rows"),
        CLASS_ROWS: (side.of_classes, "rows of every class"),
        LOGITS: (side.logits, "a classifier's logits"),
        THUMBNAILS: (side.thumbnails, "images"),
    }
    return [f"{has[need][1]} of the {whose} images" for need in sorted(needs) if has[need][0] is None]
