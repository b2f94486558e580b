"""What only trying tells: how many images fit at once, and how many a second are trained on."""

from __future__ import annotations

import dataclasses

from biggan.presets.auto.seen import Machine
from biggan.training.configuration import TrainingConfig

FREE = 0.9
"""Part of the memory that may be used."""
ALONE = 1.5
"""Times as fast as all threads that one must be to be taken."""


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
    """Return how many images a second the run trains on, of iterations on random images, for about a second.

    On a CPU this process goes on with one thread where that is :data:`ALONE` times as fast as all, unless ``--threads``
    says how many.
    """
    import torch

    from biggan.foundation.devices import choose_device
    from biggan.training.own_step import OwnStep, load_own_step
    from biggan.training.resolving import resolve
    from biggan.training.step import train_step
    from biggan.training.trial import images_a_second

    own = load_own_step(config.step) if config.step else OwnStep(train_step, None)
    resolved, device = resolve(config, None, 1), choose_device(config.device)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    found = images_a_second(resolved, own, device)
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or config.threads is not None:
        return found
    # Where another program holds a core, threads wait for each other: two have been twelve times as slow as one.
    torch.set_num_threads(1)
    alone = images_a_second(resolved, own, device)
    if alone > ALONE * found:
        return alone
    torch.set_num_threads(threads)
    return found
