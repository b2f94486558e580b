"""The whole of an evaluation: images on one side, real images on the other, records with their protocol.

All processes measure; the first one alone joins what they measured, computes the numbers and tells them to the others.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from biggan.data.contract import ImageSource
from biggan.evaluation.checking import PUBLISHED_METRICS, check_evaluation, features_name
from biggan.evaluation.collecting import OF_FEATURES, collect
from biggan.evaluation.configuration import PIPELINES, EvaluationConfig
from biggan.evaluation.memorisation import memorisation_sheet
from biggan.evaluation.numbers import Pair, numbers
from biggan.evaluation.records import MetricRecord
from biggan.evaluation.reference import Reference, feature_protocol, given_reference, reference_of
from biggan.evaluation.sides import Side, classes_of
from biggan.evaluation.statistics_files import GivenStatistics, read_statistics
from biggan.evaluation.streams import Progress
from biggan.foundation import distributed
from biggan.foundation.errors import NotDownloadedError, UserError
from biggan.foundation.files import write_picture
from biggan.metrics.collected import CLASS_ROWS, THUMBNAILS, Collected
from biggan.metrics.definitions import METRICS, Context, Metric
from biggan.metrics.features import Extractor, ExtractorOptions, make_extractor

MEMORISATION_PICTURE = "memorisation.png"


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One way from images to numbers: the standard one, or another implementation's."""

    features: str
    weights: str | None
    metrics: dict[str, Metric]
    inception_splits_equal: bool = False

    @property
    def real(self) -> frozenset[str]:
        """What it needs of the real images."""
        return frozenset(need for metric in self.metrics.values() for need in metric.real)

    @property
    def fake(self) -> frozenset[str]:
        """What it needs of the judged images."""
        return frozenset(need for metric in self.metrics.values() for need in metric.fake)


def pipelines(config: EvaluationConfig, source: ImageSource | None) -> list[Pipeline]:
    """Return the ways in which ``config`` measures; another implementation's adds the numbers that others published."""
    metrics = {name: METRICS[name] for name in config.metrics}
    found = [Pipeline(features=features_name(config, source), weights=config.weights, metrics=metrics)]
    published = {name: metric for name, metric in metrics.items() if name in PUBLISHED_METRICS}
    if config.protocol in PIPELINES and published:
        found.append(
            Pipeline(
                features=PIPELINES[config.protocol],
                weights=config.protocol_weights,
                metrics=published,
                inception_splits_equal=config.protocol == "biggan-pytorch",
            )
        )
    return found


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
) -> list[MetricRecord]:
    """Return a record for every number that was asked for; the same on all processes, which call this together.

    Args:
        side: what is judged: a generator or images, see ``biggan.evaluation.sides``.
        config: metrics, features, protocol.
        source: the real images; None if statistics are given.
        device: where features are computed.
        reference_file: statistics to use in place of the real images.
        handling: how the real images were prepared, for the cache.
        progress: makes a progress bar, given its title.
        out: folder for pictures, if a metric makes one.

    Raises:
        UserError: unknown names, weights that cannot be had, nothing to compare with, or any failure on any process.
    """
    began = time.monotonic()
    distributed.together(lambda: _check(side, config, source, reference_file), "checking what is asked for")
    ways = pipelines(config, source)
    extractors = [_extractor(way, device, source) for way in ways]
    given = None
    if reference_file is not None:
        given = distributed.on_primary_only(
            lambda: _fitting(read_statistics(reference_file), ways, extractors, side), "reading --reference"
        )
    records: list[MetricRecord] = []
    for place, (way, extractor) in enumerate(zip(ways, extractors, strict=True)):
        if reference_file is not None:
            reference = given[place] if given is not None else None
        else:
            reference = reference_of(
                cast(ImageSource, source),
                extractor,
                way.real,
                rows=config.count,
                handling=handling,
                block=config.batch,
                device=device,
                progress=progress("real images"),
            )
        fake = collect(
            side.stream, extractor, way.fake, block=config.batch, device=device, progress=progress("judged images")
        )

        def finish(
            way: Pipeline = way,
            extractor: Extractor | None = extractor,
            reference: Reference | None = reference,
            fake: Collected | None = fake,
        ) -> list[MetricRecord]:
            assert reference is not None
            assert fake is not None
            pair = Pair(side=side, fake=fake, reference=reference, extractor=extractor)
            if "memorisation" in way.metrics and out is not None and source is not None:
                _draw_memorisation(pair, source, out)
            names = reference.class_names
            context = Context(classes=len(names), class_names=names, inception_splits_equal=way.inception_splits_equal)
            return numbers(pair, way.metrics, context, began, device, notes=_notes(side, source))

        records += distributed.on_primary(finish, "computing the numbers")
    return records


def _check(side: Side, config: EvaluationConfig, source: ImageSource | None, reference_file: Path | None) -> None:
    if source is None and reference_file is None:
        raise UserError("give the real images with --data, or statistics of them with --reference")
    check_evaluation(config, source)
    judged = getattr(side.stream, "source", None)
    by_class = any({CLASS_ROWS, THUMBNAILS} & METRICS[name].real for name in config.metrics)
    if by_class and source is not None and judged is not None and judged.class_names != source.class_names:
        raise UserError(
            f"the judged images have the classes {', '.join(judged.class_names[:3])}... and --data "
            f"{', '.join(classes_of(source).names[:3])}...: metrics of classes need the same ones; leave class_fid, "
            "diversity and cas out, or name the classes alike"
        )


def _extractor(way: Pipeline, device: torch.device, source: ImageSource | None) -> Extractor | None:
    if not (way.real | way.fake) & OF_FEATURES:
        return None
    weights = None if way.weights is None else Path(way.weights)
    try:
        return make_extractor(way.features, ExtractorOptions(weights=weights, device=device, data=source))
    except NotDownloadedError as error:
        raise UserError(
            f"{error} That is --features.weights FILE here, --evaluation.weights in training; --features classifier "
            "needs no weights"
        ) from error


def _fitting(
    given: GivenStatistics, ways: list[Pipeline], extractors: list[Extractor | None], side: Side
) -> list[Reference]:
    """Return the given statistics for each pipeline that made them, and nothing to compare with for the others.

    Raises:
        UserError: no pipeline made them.
    """
    image = side.stream.images(torch.zeros(1, dtype=torch.int64))
    resolution = (image.shape[2], image.shape[3])
    found: list[Reference] = []
    refused: list[list[str]] = []
    for place, extractor in enumerate(extractors):
        if extractor is None:
            raise UserError("--reference: these metrics look at the real images themselves; give --data")
        pixels = side.stream.read(torch.zeros(1, dtype=torch.int64), floats=extractor.takes_floats).pixels
        features = feature_protocol(extractor, extractor(pixels).rows.shape[1])
        reference, reasons = given_reference(given, features, resolution)
        if given.mark is None and place + 1 < len(ways):
            reasons.append("it does not say by which features it was made, and is taken for those of --protocol")
        if reasons:
            nothing = Collected(count=0)
            notes = tuple(f"not comparable with {given.title}: {reason}" for reason in reasons)
            reference = dataclasses.replace(reference, collected=nothing, notes=notes)
            refused.append(reasons)
        found.append(reference)
    if len(refused) == len(ways):
        raise UserError(
            f"--reference {given.title}: these statistics cannot be put beside what is measured here: "
            f"{'; '.join(refused[0])}. Make them again with 'biggan evaluate reference', or choose the --features and "
            "the size that made them"
        )
    return found


def _draw_memorisation(pair: Pair, source: ImageSource, out: Path) -> None:
    assert pair.reference.collected is not None
    found = memorisation_sheet(pair.reference.collected, pair.fake, source, pair.side)
    if found is not None:
        picture, said = found
        out.mkdir(parents=True, exist_ok=True)
        write_picture(out / MEMORISATION_PICTURE, picture, pnginfo=said)


def _notes(side: Side, source: ImageSource | None) -> tuple[str, ...]:
    """Return what is to be known about all numbers."""
    if source is None or not source.enlarged:
        return side.notes
    height, width = source.resolution
    smaller = f"{source.enlarged} of the {source.notes().examined} real images that were examined"
    return (*side.notes, f"{smaller} are smaller than {height}x{width} and are enlarged")
