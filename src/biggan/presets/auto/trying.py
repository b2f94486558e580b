"""What only trying tells: how many images fit at once, and how many a second are trained on."""

from __future__ import annotations

import dataclasses

from biggan.presets.auto.seen import Machine
from biggan.training.configuration import TrainingConfig

FREE = 0.9
"""Part of the memory that may be used."""


def fitting(config: TrainingConfig, machine: Machine) -> int:
    """Return the micro-batch for a batch: the largest of its halves, quarters ... for which the plan fits.

    By arithmetic (see :mod:`biggan.training.planning`); ``--micro-batch auto`` tries on a GPU what really does.
    """
    from biggan.training.batches import plan
    from biggan.training.planning import plan_memory, with_surplus
    from biggan.training.resolving import resolve

    size = config.batch
    while True:
        tried = resolve(dataclasses.replace(config, micro_batch=size), None, 1)
        needed = with_surplus(plan_memory(tried, plan(tried, 1)))
        if size % 2 or needed <= FREE * machine.memory:
            return size
        size //= 2


def pace(config: TrainingConfig) -> float:
    """Return how many images a second the run trains on, of iterations on random images, for about a second."""
    from biggan.foundation.devices import choose_device
    from biggan.training.own_step import OwnStep, load_own_step
    from biggan.training.resolving import resolve
    from biggan.training.step import train_step
    from biggan.training.trial import images_a_second

    own = load_own_step(config.step) if config.step else OwnStep(train_step, None)
    return images_a_second(resolve(config, None, 1), own, choose_device(config.device))
