"""What a configuration comes to: everything written out that data, size and ranks decide, and its summary."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Literal

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource
from biggan.evaluation.checking import check_evaluation
from biggan.foundation.compatibility import expand
from biggan.foundation.config import to_json
from biggan.foundation.courses import Course
from biggan.foundation.durations import format_images
from biggan.foundation.errors import UserError
from biggan.foundation.schedules import batch_factor
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.stored_terms import written_out
from biggan.losses.terms import Seen, described, parse_terms
from biggan.metrics.judges import JUDGES
from biggan.models.architecture import Architecture
from biggan.models.contract import build_on_meta, count_parameters
from biggan.training.batches import (
    SCHEDULES,
    Doublings,
    check_schedules,
    doubling_batches,
    given_schedules,
    group,
    iterations,
    largest_plan,
    plan,
    plan_batch,
    schedules,
)
from biggan.training.configuration import TrainingConfig
from biggan.training.head_needs import check_needed_heads
from biggan.training.hooks.samples import check_sheets
from biggan.training.optimizers import with_an_end
from biggan.training.planning import plan_memory
from biggan.training.term_needs import check_terms
from biggan.training.warm_up import least_images


def check_names(config: TrainingConfig, source: ImageSource | None) -> None:
    """Check that whatever is named exists.

    Args:
        config: the run.
        source: the images, if they are open.

    Raises:
        UserError: an unknown loss, term, option of a term, judge, metric, features, or number by which the best are
            chosen.
    """
    ADVERSARIAL_LOSSES[config.loss]
    parse_terms(config.terms)
    if config.log.judge != "none":
        JUDGES[config.log.judge]
    evaluation = config.evaluation
    if evaluation.every is not None and (source is not None or evaluation.features != "auto"):
        check_evaluation(evaluation, source)


def resolve(config: TrainingConfig, source: ImageSource | None, ranks: int) -> TrainingConfig:
    """Return ``config`` with everything written out that data, size and number of ranks decide.

    Raises:
        UserError: parts that do not fit together.
    """
    begun = config.init.path is not None  # then the architecture is that of a file, and all its differences are
    network = expand((*config.model.compatibility, *(() if begun else config.compatibility)), "network")
    model = dataclasses.replace(config.model, compatibility=network)
    if config.resolution is not None:
        model = dataclasses.replace(model, resolution=config.resolution)
    log = config.log
    if source is not None:
        model = _for_data(model, source, begun=begun)
        if log.judge == "digits" and (config.data.path != "digits" or len(source.class_names) != 10):
            log = dataclasses.replace(log, judge="none")  # it knows these ten classes only
    model.validate()
    if config.freeze_old and not model.grown.stages:
        raise UserError(
            f"--freeze-old {config.freeze_old}: only networks that biggan grow made, with their skip, have old and new "
            "parts; leave it out"
        )
    check_sheets(log, model.resolution)
    check_terms(config)
    check_needed_heads(config)
    rises, waits = config.generator_adam.schedule.warmup, least_images(config.d_warmup or 0)
    if 0 < rises <= waits:
        raise UserError(
            f"--generator-adam.schedule.warmup {rises}: G learns only when D has warmed up (--d-warmup "
            f"{config.d_warmup}), after {waits} images at the earliest, and by then its rate has risen unused; choose "
            "a longer one, or leave it out"
        )
    resolved = dataclasses.replace(
        config,
        terms=config.terms if source is None else written_out(config.terms, len(source)),
        model=model,
        log=log,
        health=config.health.resolved(config.duration),
        resolution=None,
        compatibility=expand(config.compatibility, "training"),
        recompute=_recomputed(config),
        generator_adam=with_an_end("--generator-adam", config.generator_adam, config.duration),
        discriminator_adam=with_an_end("--discriminator-adam", config.discriminator_adam, config.duration),
    )
    if resolved.micro_batch != "auto":  # which is found by trying, when the run is set up
        resolved = dataclasses.replace(resolved, micro_batch=_micro_batch(resolved, ranks))
        check_schedules(resolved, ranks)
    return _with_half_life(resolved)


def _recomputed(config: TrainingConfig) -> tuple[Literal["generator", "discriminator"], ...]:
    """Return the networks that are recomputed: G among them where it sees a rank's whole share at once.

    Raises:
        UserError: singular values would differ between micro-batches, so that nothing could be exact.
    """
    if config.statistics != "exact":
        return config.recompute
    if config.spectral_norm != "phase":
        raise UserError(
            f"--statistics exact: with --spectral-norm {config.spectral_norm} each micro-batch is divided by other "
            "singular values, and several are not one batch; add --spectral-norm phase"
        )
    return ("generator", *(name for name in config.recompute if name != "generator"))


def _micro_batch(config: TrainingConfig, ranks: int) -> int:
    """Return the images that a rank handles at once: those of the smallest batch of D, if nothing was said.

    What was given is evened out over a batch, but not where batches change: there it is what all must be multiples of.
    """
    given = group(config)
    if given is not None and given_schedules(config):
        return given
    smallest = min(schedules(config)["discriminator"].batches)
    return plan_batch("--batch", smallest, group(config), ranks).micro_batch


def _with_half_life(config: TrainingConfig) -> TrainingConfig:
    """Give the average a half-life in images where batches change: a decay an update would change with them."""
    ema = config.ema
    if (config.batch_schedule is None) or ema.half_life is not None or not 0 < ema.decay < 1:
        return config
    images = schedules(config)["discriminator"].at(0) * config.discriminator_steps
    half_life = round(images * math.log(0.5) / math.log(ema.decay))
    return dataclasses.replace(config, ema=dataclasses.replace(ema, half_life=max(half_life, 1)))


def _for_data(model: Architecture, source: ImageSource, *, begun: bool) -> Architecture:
    """Return an architecture for the channels and classes of the data.

    To networks that have ``begun`` with classes, data without are one class.
    """
    classes = len(source.class_names)
    if not begun:
        return dataclasses.replace(model, channels=source.channels, classes=classes)
    if classes and not model.classes and model.hierarchical_latent and not model.shared_embedding:
        model = dataclasses.replace(model, shared_embedding=Architecture.shared_embedding)
    return dataclasses.replace(
        model,
        channels=source.channels,
        classes=classes or min(model.classes, 1),
        output_width=model.output_width if model.channels == source.channels else None,
    )


def rates(config: TrainingConfig) -> list[str]:
    """Return a line for each network whose learning rate or beta is not the same for all batches and clocks."""
    lines = []
    of = schedules(config)
    for letter, adam, batch in (
        ("G", config.generator_adam, of["generator"].at(0)),
        ("D", config.discriminator_adam, of["discriminator"].at(0)),
    ):
        if not adam.constant:
            full = adam.full_rate
            stated = f" ({full:g} for batch {adam.reference_batch})" if adam.reference_batch is not None else ""
            scaled = full * (batch_factor(batch, adam.reference_batch) if adam.reference_batch is not None else 1)
            course = adam.learning_rate if isinstance(adam.learning_rate, Course) else adam.schedule
            lines.append(f"learning rate of {letter}: {scaled:.4g}{stated}, {course}")
        if isinstance(adam.beta2, Course):
            lines.append(f"second beta of {letter}: {adam.beta2}")
    return lines


def batches(config: TrainingConfig, doublings: Doublings | None = None) -> list[str]:
    """Return a line for each network whose batch changes, and one for the average, which then goes by images.

    Args:
        config: the run.
        doublings: how far batches have come that follow the noise scale.
    """
    of, doubling, lines = schedules(config, doublings), doubling_batches(config), []
    every = config.checkpoint.every
    for letter, name in zip("DG", SCHEDULES, strict=True):
        if name in doubling:
            lines.append(
                f"batch of {letter}: {of[name]}; at a checkpoint (every {format_images(every)} images) before which "
                f"its noise scale was above that, twice as large from the next one on, at most {doubling[name].high}"
            )
            if 2 * every >= config.duration:
                lines.append(f"batch of {letter}: no time to double, with --checkpoint.every {format_images(every)}")
        elif doubling and of[name] == of["discriminator"]:
            lines.append(f"batch of {letter}: always that of D")
        elif len(of[name].steps) > 1:
            lines.append(f"batches of {letter} by images seen: {of[name]}")
    if lines and config.ema.enabled and config.ema.half_life is not None:
        half_life = config.ema.half_life
        shown = str(half_life) if isinstance(half_life, Course) else f"{half_life:,}"
        lines.append(f"the average has a half-life of {shown} images, whatever the batch")
    return lines


def _to_be_found(config: TrainingConfig) -> list[str]:
    """Return a line if the plans above are not final."""
    later = config.micro_batch == "auto"
    return ["micro-batch: the largest that fits, to be found when training starts"] if later else []


def _iterations(config: TrainingConfig) -> str:
    most, fewest = iterations(config), iterations(config, largest=True)
    return f"{most:,}" if most == fewest else f"{fewest:,} to {most:,}"


def terms(config: TrainingConfig) -> list[str]:
    """Say what is added to the loss."""
    model, updates = config.model, iterations(config) * config.discriminator_steps
    seen = Seen(model.channels, model.resolution, config.data.flip, config.duration, updates)
    given = parse_terms(config.terms)
    twice = [
        f"{option} {strength:g} and --terms {name} add up"
        for name, option, strength in (
            ("orthogonal", "--generator-orthogonal", config.generator_orthogonal),
            ("d-orthogonal", "--discriminator-orthogonal", config.discriminator_orthogonal),
        )
        if strength and name in given
    ]
    return described(given, seen) + twice


def remarks(config: TrainingConfig) -> list[str]:
    """Return a sentence for each option that was given and changes nothing, of a resolved configuration."""
    data, whole = config.data, TrainingConfig
    given = [
        ("data.fraction-draw", data.fraction_draw, DataConfig.fraction_draw, "data.fraction", data.fraction != 1),
        ("data.crop-margin", data.crop_margin, DataConfig.crop_margin, "data.random-crop", data.random_crop),
        ("pretrain-features", config.pretrain_features, whole.pretrain_features, "pretrain", config.pretrain),
        ("pretrain-weights", config.pretrain_weights, whole.pretrain_weights, "pretrain", config.pretrain),
    ]
    idle = [
        f"--{option} {value}: changes nothing without --{needed}"
        for option, value, default, needed, there in given
        if value != default and not there
    ]
    alone = [
        f"--terms {name}: compares the images of a micro-batch, and --micro-batch 1 leaves none to compare; raise it"
        for name, term in parse_terms(config.terms).items()
        if term.batch_relative and config.micro_batch == 1
    ]
    return idle + alone + config.health.remarks(config.on_collapse, config.duration)


def summary(config: TrainingConfig, ranks: int, *, whole: bool = True) -> str:
    """Return what ``--dry-run`` prints: configuration (if ``whole``), parameters, batches, memory."""
    model, plans = config.model, plan(config, ranks)
    networks = build_on_meta(model)
    height, width = model.resolution
    lines = [
        *([json.dumps(to_json(config), indent=2)] if whole else []),
        f"{model.family}, {model.channels} x {height} x {width}, {model.classes or 'no'} classes, grown from "
        f"{model.grid[0]} x {model.grid[1]}; z has {model.z_size} numbers"
        + (f" (of {model.latent_size} asked for)" if model.z_size != model.latent_size else ""),
        f"parameters: G {count_parameters(networks.generator):,}, D {count_parameters(networks.discriminator):,}",
        f"D batch: {plans['discriminator']}, {config.discriminator_steps} step(s) for each G step",
        f"G batch: {plans['generator']}",
        *_to_be_found(config),
        *batches(config),
        f"duration: {format_images(config.duration)} images = {_iterations(config)} iterations",
        *rates(config),
        *terms(config),
        *remarks(config),
        f"memory: {plan_memory(config, largest_plan(config, ranks))}",
    ]
    return "\n".join(lines)
