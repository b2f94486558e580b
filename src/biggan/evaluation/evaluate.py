"""The whole of an evaluation: images on one side, real images on the other, records with their protocol."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from biggan.data.contract import ImageSource
from biggan.evaluation.checking import check_evaluation, features_name
from biggan.evaluation.configuration import PIPELINES, EvaluationConfig
from biggan.evaluation.memorisation import memorisation_sheet
from biggan.evaluation.reference import Reference, given_reference, reference_of
from biggan.evaluation.streams import GeneratedStream, ImageStream, Progress, RealStream, collect, evaluated_generator
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.metrics.collected import MOMENTS
from biggan.metrics.definitions import METRICS, Context, infinite, title
from biggan.metrics.features import EXTRACTORS, Extractor, ExtractorOptions
from biggan.sampling.sampler import Sampler

Record = dict[str, Any]
METRICS_FILE = "metrics.jsonl"
MEMORISATION_PICTURE = "memorisation.png"


@dataclass(frozen=True, kw_only=True)
class Side:
    """The images that are judged."""

    stream: ImageStream
    what: str
    """Part of the protocol: weights and mode, or that they are images as they lie there."""
    facts: dict[str, Any]
    """Goes into every record."""


def generated(sampler: Sampler, config: EvaluationConfig, source: ImageSource | None) -> Side:
    """Return the images of a generator.

    Args:
        sampler: never changed.
        config: mode, truncation, seeds, count.
        source: the real images, whose class frequencies are those of the samples; None draws all classes alike.

    Raises:
        UserError: the data have other classes than the generator.
    """
    architecture = sampler.info.architecture
    frequencies: np.ndarray[Any, Any] | None = None
    if source is not None:
        if len(source.class_names) != architecture.classes:
            raise UserError(
                f"--data has {len(source.class_names)} classes, this generator was trained on {architecture.classes}"
            )
        frequencies = source.class_counts()
    truncated = "" if config.truncation is None else f"-{config.truncation_kind}{config.truncation:g}"
    mode = config.mode + (f"{config.standing_batches}x64" if config.mode == "standing" else "")
    mode += f"{config.batch}" if config.mode == "batch" else ""
    return Side(
        stream=GeneratedStream(evaluated_generator(sampler, config), config, frequencies),
        what=f"{sampler.info.weights}-{mode}{truncated}",
        facts={
            "file": str(sampler.path) if sampler.path else None,
            "images_seen": sampler.info.images_seen,
            "iterations": sampler.info.iterations,
            "weights": sampler.info.weights,
            "generator_mode": mode,
            "truncation": config.truncation,
            "truncation_kind": config.truncation_kind if config.truncation is not None else None,
            "first_seed": config.seed,
        },
    )


def stored(source: ImageSource) -> Side:
    """Return images as they lie there."""
    return Side(stream=RealStream(source), what="images", facts={"file": source.notes().kind})


def make_extractor(name: str, weights: str | None, device: torch.device, source: ImageSource | None) -> Extractor:
    """Return an extractor by its name.

    Raises:
        UserError: unknown, or its weights cannot be had.
    """
    options = ExtractorOptions(weights=None if weights is None else Path(weights), device=device, data=source)
    return EXTRACTORS[name](options)  # type: ignore[call-arg]


def evaluate(
    side: Side,
    config: EvaluationConfig,
    *,
    source: ImageSource | None,
    device: torch.device,
    reference_file: Path | None = None,
    handling: str = "",
    progress: Callable[[str], Progress] = lambda _: lambda *_: None,
    out: Path | None = None,
) -> list[Record]:
    """Return a record for every number that was asked for; the same on all ranks.

    Args:
        side: what is judged.
        config: metrics, features, protocol.
        source: the real images; None if statistics are given.
        device: where features are computed.
        reference_file: statistics to use in place of the real images.
        handling: how the real images were prepared, for the cache.
        progress: makes a progress bar of a title.
        out: folder for pictures, if a metric makes one.

    Raises:
        UserError: unknown names, weights that cannot be had, or nothing to compare with.
    """
    metrics = {name: METRICS[name] for name in config.metrics}
    if source is None and reference_file is None:
        raise UserError("give the real images with --data, or statistics of them with --reference")
    check_evaluation(config, source)
    name = features_name(config, source)
    pipelines = [(name, config.weights, False)]
    if config.protocol != "standard":
        pipelines.append((PIPELINES[config.protocol], config.protocol_weights, config.protocol == "biggan-pytorch"))
    records: list[Record] = []
    for number, (features, weights, equal_splits) in enumerate(pipelines):
        # The second pipeline adds the two numbers that others published.
        chosen = metrics if number == 0 else {n: m for n, m in metrics.items() if n in ("fid", "is")}
        needs_features = any((m.real | m.fake) - {"thumbnails"} for m in chosen.values())
        extractor = make_extractor(features, weights, device, source) if needs_features else None
        began = time.monotonic()
        real_needs = frozenset(need for metric in chosen.values() for need in metric.real)
        if reference_file is not None:
            reference = given_reference(reference_file)
        else:
            assert source is not None
            reference = reference_of(
                source,
                extractor,
                real_needs,
                rows=config.count,
                handling=handling,
                batch=config.batch,
                progress=progress("real images"),
            )
        fake_needs = frozenset(need for metric in chosen.values() for need in metric.fake)
        fake = collect(side.stream, extractor, fake_needs, batch=config.batch, progress=progress("judged images"))
        context = Context(classes=len(source.class_names) if source else 0, inception_splits_equal=equal_splits)
        records += _records(chosen, reference, fake, context, extractor, side, began, device)
        if "memorisation" in chosen and out is not None and source is not None and distributed.is_primary():
            picture = memorisation_sheet(reference.collected, fake, source, side.stream)
            if picture is not None:
                out.mkdir(parents=True, exist_ok=True)
                picture.save(out / MEMORISATION_PICTURE)
    return records


def _records(
    chosen: dict[str, Any],
    reference: Reference,
    fake: Any,
    context: Context,
    extractor: Extractor | None,
    side: Side,
    began: float,
    device: torch.device,
) -> list[Record]:
    found: list[Record] = []
    for name, metric in chosen.items():
        if reference.collected.count == 0 and metric.real - {MOMENTS}:
            found.append({"metric": name, "value": None, "notes": ["given statistics hold moments only"]})
            continue
        measured = metric.compute(reference.collected, fake, context)
        bad = infinite(measured.values)
        notes = [*measured.notes, *([f"{', '.join(bad)} could not be computed"] if bad else [])]
        for value_name, value in measured.values.items():
            full = title(value_name, extractor.name if extractor else "images")
            features = extractor.protocol if extractor else f"max32-{'uint8'}"
            found.append(
                {
                    "metric": full,
                    "value": None if value_name in bad else value,
                    "protocol": f"{full}_{fake.count}_{reference.origin}_{features}_{side.what}",
                    "count": fake.count,
                    "real_count": reference.collected.count or None,
                    "reference": reference.origin,
                    "reference_from_cache": reference.from_cache,
                    "features": extractor.name if extractor else None,
                    "features_weights": extractor.weights_hash if extractor else None,
                    "precision": "float32 features, float64 statistics",
                    **side.facts,
                    "seconds": round(time.monotonic() - began, 3),
                    "device": _device_name(device),
                    "ranks": distributed.world_size(),
                    "notes": notes,
                }
            )
    return found


def best_value(records: list[Record], name: str | None) -> tuple[str, float] | None:
    """Return the number that chooses checkpoints, larger is better.

    Args:
        records: of one evaluation.
        name: of the number; None takes the first that has a direction.

    Raises:
        UserError: no such number was measured, or it has no direction.
    """
    directions = {
        title(value, record["features"] or "images"): better
        for metric in METRICS
        for value, better in METRICS[metric].larger_is_better.items()
        for record in records
    }
    for record in records:
        if record["metric"] in directions and name in (None, record["metric"]) and record["value"] is not None:
            return record["metric"], record["value"] if directions[record["metric"]] else -record["value"]
    if name is not None:
        names = ", ".join(r["metric"] for r in records if r["metric"] in directions)
        raise UserError(f"--evaluation.best-by {name}: not among what was measured: {names or 'nothing'}")
    return None


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def table(records: list[Record]) -> str:
    """Return records as lines for a person."""
    width = max((len(record["metric"]) for record in records), default=6)
    lines = []
    for record in records:
        value = record["value"]
        shown = "not computed" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:.1f}"
        lines.append(f"{record['metric']:{width}}  {shown:>12}  {record.get('protocol', '')}")
    notes = dict.fromkeys(f"note: {record['metric']}: {note}" for record in records for note in record.get("notes", []))
    return "\n".join([*lines, *notes])
