"""The images that are judged: of a generator, in the mode asked for, or as they lie there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import EvaluationConfig
from biggan.evaluation.protocol import JudgedProtocol, LabelFrequencies
from biggan.evaluation.streams import GeneratedStream, ImageStream, RealStream
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.layers.normalization import batch_norms
from biggan.models.contract import Generator
from biggan.models.snapshot import SnapshotInfo
from biggan.sampling.recording import Recorder
from biggan.sampling.refinement import Refiner
from biggan.sampling.sampler import Sampler
from biggan.sampling.standing import with_standing_statistics
from biggan.sampling.statistics import NormStatistics


@dataclass(frozen=True, kw_only=True)
class RealClasses:
    """The classes of the real images."""

    names: tuple[str, ...]
    counts: tuple[int, ...]
    """Images of each."""
    where: str
    """The option that gave them, for messages."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """The images that are judged."""

    stream: ImageStream
    judged: JudgedProtocol
    file: str | None = None
    images_seen: int | None = None
    iterations: int | None = None
    notes: tuple[str, ...] = ()
    """What is to be known about every number of them."""
    recorder: Recorder | None = None
    """Says how single ones were drawn; None of images that no generator drew."""
    drawn_again: bool = False
    """Whether a file holds the generator that drew them: its statistics of batch norm were not estimated for the
    evaluation, nor are those of each batch."""


def classes_of(source: ImageSource) -> RealClasses:
    """Return the classes of real images."""
    return RealClasses(names=source.class_names, counts=tuple(map(int, source.class_counts())), where="--data")


def generated(
    sampler: Sampler,
    config: EvaluationConfig,
    real: ImageSource | RealClasses | None,
    refine: Callable[[Generator], Refiner] | None = None,
) -> Side:
    """Return the images of a generator; all processes call this together.

    Args:
        sampler: never changed.
        config: mode, truncation, seeds, count.
        real: the real images (or their classes), whose frequencies are those of the samples; None draws all alike.
        refine: makes what chooses latents by D's judgement, for the generator as it is evaluated; all processes call
            it. None draws the latents of the seeds.

    Raises:
        UserError: the real images have other classes than the generator, or in another order; or images are to be
            refined that depend on their neighbours.
    """
    if isinstance(real, ImageSource):
        real = classes_of(real)
    architecture = sampler.info.architecture
    frequencies = None
    if real is not None:
        check_same_classes(sampler.class_names, architecture.classes, real)
        frequencies = np.asarray(real.counts, dtype=np.int64)
    generator, statistics = evaluated_generator(sampler, config)
    if refine is not None and statistics.kind == "batch":
        raise UserError(
            "--generator-mode batch: there an image depends on its neighbours, and D cannot choose its latent; leave "
            "out --refine, or take running or standing statistics"
        )
    refiner = None if refine is None else refine(generator)
    labels: LabelFrequencies | None = None
    if architecture.classes:
        labels = "all alike" if frequencies is None else "as the real images"
    return Side(
        stream=GeneratedStream(generator, config, frequencies, sampler.compiler, refiner),
        judged=JudgedProtocol(
            kind="generator",
            weights=sampler.info.weights,
            statistics=statistics,
            labels=labels,
            refinement=None if refiner is None else refiner.way,
            refinement_fit=None if refiner is None else refiner.fit,
            first_seed=config.seed,
        ),
        file=str(sampler.path) if sampler.path else None,
        images_seen=sampler.info.images_seen,
        iterations=sampler.info.iterations,
        notes=() if statistics.fit else (str(statistics),),
        recorder=_recorder(sampler, config, refiner),
        drawn_again=config.mode == "running",
    )


def _recorder(sampler: Sampler, config: EvaluationConfig, refiner: Refiner | None) -> Recorder:
    drawing = copy.copy(sampler)
    drawing.refiner = refiner
    return Recorder(drawing, config.truncation, config.truncation_kind, batch=1)


def stored(source: ImageSource) -> Side:
    """Return images as they lie there."""
    judged = JudgedProtocol(kind="images", data=source.key())
    return Side(stream=RealStream(source), judged=judged, file=source.notes().kind)


def check_same_classes(names: Sequence[str], classes: int, real: RealClasses) -> None:
    """Check that class i of a generator is class i of the real images.

    Nothing is reordered by name: labels that were shifted once would be shifted silently.

    Args:
        names: of the generator's classes; empty if they have none.
        classes: how many it has.
        real: those of the real images.

    Raises:
        UserError: other classes, or another order; names the first difference.
    """
    if len(real.names) != classes:
        raise UserError(
            f"{real.where} has {len(real.names)} classes, this generator was trained on {classes}; give the images "
            "that it was trained on, or others of the same classes"
        )
    for index, (own, other) in enumerate(zip(names, real.names, strict=False)):
        if own != other:
            order = "the same classes in another order" if set(names) == set(real.names) else "other classes"
            raise UserError(
                f"{real.where} has {order}: class {index} is '{other}' there and '{own}' in the generator. Give images "
                "whose classes have the generator's names, in its order (folders are sorted by name; arrays and HDF5 "
                "files name theirs in class_names)"
            )


def evaluated_generator(sampler: Sampler, config: EvaluationConfig) -> tuple[Generator, NormStatistics]:
    """Return the generator in the mode asked for, and what its batch norm uses; the sampler's own is never changed.

    Standing statistics are estimated by the first process and sent to the others.

    Raises:
        UserError: standing statistics of a generator without batch norm.
    """
    truncation, kind = config.truncation, config.truncation_kind
    if config.mode == "running":
        return sampler.at_truncation(truncation, kind), sampler.statistics(truncation, kind)
    if config.mode == "batch":
        generator = copy.deepcopy(sampler.generator)
        norms = batch_norms(generator)
        for norm in norms.values():
            norm.train()
        found = sampler.statistics(truncation, kind)
        if not norms:
            return generator, found
        return generator, NormStatistics(
            kind="batch", asked=found.asked, asked_kind=found.asked_kind, batch=config.batch
        )
    made = distributed.on_primary_only(
        lambda: with_standing_statistics(sampler, batches=config.standing_batches, truncation=truncation, kind=kind),
        "estimating standing statistics",
    )
    generator = copy.deepcopy(sampler.generator) if made is None else made.generator
    distributed.broadcast(generator.state_dict().values())
    info = cast(SnapshotInfo, distributed.broadcast_object(None if made is None else made.info))
    return generator, Sampler(generator, info).statistics(truncation, kind)
