"""``--refine``: what commands share that choose latents by D's judgement."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from biggan.data.configuration import DataConfig
from biggan.foundation.errors import UserError
from biggan.foundation.names import CHECKPOINTS
from biggan.foundation.terminal import one_line, say

if TYPE_CHECKING:
    from torch import Tensor

    from biggan.data.contract import ImageSource
    from biggan.models.contract import Discriminator, Generator
    from biggan.sampling.log_ratio import LogRatio
    from biggan.sampling.refinement import Refiner
    from biggan.sampling.sampler import Sampler

MOST_REALS = 10_000
"""Real images by which D's score is calibrated, at most."""
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class RefineOption:
    """What commands offer that draw images."""

    refine: str | None = None
    """Let D choose: ddls (latents walk towards what it takes for real) or drs (of several images the first that it
    accepts), with options behind commas, as in ddls,steps=100. Needs a run, a checkpoint, or an export with D."""
    refine_data: str | None = None
    """Real images by which D's score is calibrated; of a run by default those that were held out, or else those of its
    training."""


class Reals(NamedTuple):
    """Real images by which D's score is calibrated."""

    source: ImageSource
    words: str
    """Which they are."""


def check_refine(options: RefineOption, truncation: float | None, kind: str) -> None:
    """Check before any work what can be checked without a file.

    Raises:
        UserError: an unknown way, an option out of range, or a truncation that it does not go with.
    """
    from biggan.sampling.refinement import parse_refinement

    if options.refine is not None:
        name, refinement = parse_refinement(options.refine)
        refinement.check(name, truncation, kind)
    elif options.refine_data is not None:
        raise UserError("--refine-data: only with --refine")


def read_discriminator(file: str, sampler: Sampler) -> Discriminator:
    """Return the D that goes with what ``sampler`` draws with, on its device, in evaluation mode.

    Raises:
        UserError: there is none, or it is of another clock.
    """
    import torch

    from biggan.models.contract import build_discriminator
    from biggan.models.snapshot import load_exactly
    from biggan.sampling.sampler import placed
    from biggan.training.exportable import read_exportable

    export, found = read_exportable(Path(file))
    if export.discriminator is None:
        raise UserError(
            f"--refine: {found} holds no D; give the run, one of its checkpoints, or a file that "
            "'biggan export RUN --to safetensors --with-discriminator' wrote"
        )
    if export.info.images_seen != sampler.info.images_seen:
        raise UserError(
            f"--refine: the newest generator in {file} is of {sampler.info.images_seen:,} images, the newest D, in "
            f"{found}, of {export.info.images_seen:,}; give that checkpoint"
        )
    with torch.device("meta"):
        discriminator = build_discriminator(export.info.architecture)
    load_exactly(discriminator, dict(export.discriminator), f"{found}: D")
    device = next(sampler.generator.parameters()).device
    return placed(discriminator.eval().requires_grad_(False), device)


def calibration_reals(file: str, sampler: Sampler, path: str | None) -> Reals:
    """Return the real images by which D's score is calibrated: held-out ones where a run has some.

    Args:
        file: what is drawn from.
        sampler: read from it.
        path: what was given in their place.

    Raises:
        UserError: it is not known where they are, or they have other classes.
    """
    from biggan.cli.together import open_at
    from biggan.data.opening import open_apart
    from biggan.training.run_directory import RunDirectory

    folder = Path(file).resolve()
    run = folder.parent.parent if folder.parent.name == CHECKPOINTS else folder
    stored = RunDirectory(run).stored_run() if (run / "config.json").is_file() else None
    data = stored.config.data if stored is not None else DataConfig()
    config = data if path is None else dataclasses.replace(data, path=path)
    if config.path is None:
        raise UserError(f"--refine: {file} does not say where its real images are; name some with --refine-data")
    architecture = sampler.info.architecture
    config = dataclasses.replace(config, channels=architecture.channels, random_crop=False)
    if not architecture.classes:
        config = dataclasses.replace(config, labels="unconditional")
    if path is not None:
        source, words = open_at(config, architecture.resolution), f"the images of {one_line(path)}"
    else:
        of_training, held = open_apart(config, architecture.resolution)
        source, words = (of_training, "images that D was trained on") if held is None else (held, "held-out images")
    if architecture.classes and tuple(source.class_names) != tuple(sampler.class_names):
        raise UserError(
            f"--refine-data {config.path}: other classes than the generator's, or another order; give images of those"
        )
    return Reals(source, words)


def real_batches(source: ImageSource) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield real images float [N, C, H, W] in [-1, 1] and their labels int64 [N].

    Of many evenly chosen ones; those that cannot be read are left out.
    """
    import numpy as np
    import torch

    from biggan.data.reading import read_those_that_can_be
    from biggan.foundation.images import to_float
    from biggan.foundation.seeding import permutation

    chosen = np.sort(permutation(0, "calibration reals", 0, len(source))[:MOST_REALS])
    for start in range(0, len(chosen), BATCH):
        found = read_those_that_can_be(source, chosen[start : start + BATCH])
        if len(found.indices):
            yield to_float(torch.from_numpy(found.images)), torch.from_numpy(source.labels[found.indices]).long()


def make_for(
    file: str, options: RefineOption, sampler: Sampler, generator: Generator, truncation: float | None, kind: str
) -> Refiner:
    """Return what chooses latents; all processes call this together, and get the same.

    Args:
        file: what is drawn from.
        options: with a way of refining.
        sampler: read from ``file``.
        generator: what draws, in the mode in which it does.
        truncation: T; None for the whole prior.
        kind: how to truncate.
    """
    from biggan.foundation import distributed
    from biggan.sampling.refinement import Critic, Refiner, calibrated, described, parse_refinement

    discriminator = distributed.together(lambda: read_discriminator(file, sampler), "reading D")
    critic = Critic(generator=generator, discriminator=discriminator, truncation=truncation, kind=kind)

    def calibrate() -> tuple[LogRatio, dict[str, float], str]:
        reals = calibration_reals(file, sampler, options.refine_data)
        return *calibrated(options.refine or "", critic, real_batches(reals.source)), reals.words

    ratio, known, words = distributed.on_primary(calibrate, "calibrating D's score")
    name, refinement = parse_refinement(options.refine or "")
    if distributed.is_primary():
        say(f"refined by {described(name, refinement)}: {ratio}; the reals are {words}")
    return Refiner(name, refinement, dataclasses.replace(critic, ratio=ratio), known)


def tell_counts(refiner: Refiner | None) -> None:
    """Say what is to be said of all images that were refined; all processes call this together."""
    from biggan.foundation import distributed

    if refiner is None:
        return
    counts: Counter[str] = Counter()
    for one in distributed.gather_objects(refiner.counts):
        counts.update(cast("Counter[str]", one))
    told = refiner.refinement.told(counts)
    if told and distributed.is_primary():
        say(told)
