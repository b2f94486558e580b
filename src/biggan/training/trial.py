"""Iterations of a run that does not exist: on random images, by networks that are thrown away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch

from biggan.layers.shared_norm import share_batch_norms
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.training.assembly import make_engine, make_state
from biggan.training.configuration import TrainingConfig
from biggan.training.own_step import OwnStep
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Objective,
    StepInputs,
    judge_separately,
    judge_together,
)

_PARTS = 3
"""Of a measurement of speed."""
FEWEST = 2
"""Images of the batch that a CPU is tried with first: what it needs for more is in proportion, and may be minutes."""


def trial(config: TrainingConfig, own: OwnStep, device: torch.device) -> Callable[[], None]:
    """Return a function that trains new networks for one iteration on random images, on this rank alone.

    Args:
        config: the run; its batches are those of one rank.
        own: the step.
        device: where.
    """
    state = make_state(config, device, own)
    state.train()
    sharing = config.norm_group or 1
    if sharing > 1:  # the same memory as with others, who are asked for nothing
        for network in state.networks.values():
            share_batch_norms(network, lambda vector: vector.expand(sharing, -1), sharing)
    model, batch = config.model, config.batch
    images = torch.randint(256, (batch, model.channels, *model.resolution), dtype=torch.uint8)
    labels = torch.randint(max(model.classes, 1), (batch,), device=device)
    latents = torch.randn(batch, model.z_size, device=device)
    inputs = StepInputs(
        discriminator=(DiscriminatorBatch(images, labels, latents, labels),) * config.discriminator_steps,
        generator=GeneratorBatch(latents, labels),
        batch=batch,
        generator_batch=batch,
        images_seen=batch * config.discriminator_steps,
    )
    objective = Objective(
        loss=ADVERSARIAL_LOSSES[config.loss](),
        judge=judge_separately if config.split_discriminator_pass else judge_together,
        seed=config.seed,
    )
    engine = make_engine(config, 1, state, device, tell=lambda _: None)  # the run itself says it
    engine.alone = True  # one rank may run out of memory where another does not

    def iterate() -> None:
        own.step(state, inputs, objective, engine)

    return iterate


def images_a_second(config: TrainingConfig, own: OwnStep, device: torch.device, seconds: float = 1.5) -> float:
    """Return how many real images a second training sees, without reading them, measured for about ``seconds``.

    The first iteration is not measured, and networks are not compiled, which would take a minute. Of three parts the
    fastest counts: what else a machine does for a moment says nothing about the hour to come. On a CPU, where a batch
    of large images alone takes longer than that, :data:`FEWEST` images tell the speed.

    Args:
        config: resolved.
        own: the step.
        device: where.
        seconds: how long, in whole iterations and at least three.
    """
    config = dataclasses.replace(config, compile="off", cuda_graphs=False)
    if device.type == "cpu" and config.batch > FEWEST:
        seen = FEWEST * config.discriminator_steps / _fastest_of_few(config, own, device, seconds)
        if config.batch * config.discriminator_steps / seen > seconds:
            return seen
    iterate = trial(config, own, device)
    iterate()
    _wait(device)
    return max(_measured(iterate, device, seconds / _PARTS) for _ in range(_PARTS)) * (
        config.batch * config.discriminator_steps
    )


def _fastest_of_few(config: TrainingConfig, own: OwnStep, device: torch.device, seconds: float) -> float:
    """Return the seconds of an iteration of :data:`FEWEST` images: of the first, if that is long enough."""
    few = dataclasses.replace(
        config,
        batch=FEWEST,
        micro_batch=FEWEST,
        generator_batch=None,
        batch_schedule=None,
        generator_batch_schedule=None,
    )
    iterate = trial(few, own, device)
    found = 1 / _measured(iterate, device, 0)
    return found if found > seconds else min(found, 1 / _measured(iterate, device, 0))


def _measured(iterate: Callable[[], None], device: torch.device, seconds: float) -> float:
    """Return iterations a second, of at least one."""
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < seconds:
        iterate()
        _wait(device)
        count += 1
    return count / (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
