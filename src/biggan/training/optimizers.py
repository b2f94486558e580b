"""Adam, fused, so that it can leave everything alone on a flag that stays on the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Adam

from biggan.foundation.courses import Course, as_course
from biggan.foundation.errors import UserError
from biggan.training.batches import Doublings, schedules
from biggan.training.configuration import AdamConfig, TrainingConfig


def make_adam(network: nn.Module, config: AdamConfig, new: Collection[str] = (), factor: float = 1.0) -> Adam:
    """Return Adam over the parameters of ``network``, in order of definition; the ``new`` ones learn at another rate.

    Args:
        network: what learns.
        config: how.
        new: names of parameters; others than the network's are no matter.
        factor: their learning rate relative to the others'.
    """
    rest = [parameter for name, parameter in network.named_parameters() if factor == 1.0 or name not in new]
    apart = [parameter for name, parameter in network.named_parameters() if factor != 1.0 and name in new]
    groups: list[dict[str, Any]] = [
        {"params": rest},
        *([{"params": apart, "lr": factor * config.full_rate}] if apart else []),
    ]
    return Adam(
        groups,
        lr=config.full_rate,
        betas=(config.beta1, as_course(config.beta2).first),
        eps=config.eps,
        fused=True,
    )


def rate_factors(
    config: TrainingConfig, doublings: Callable[[], Doublings] | None = None
) -> dict[str, Callable[[int], float]]:
    """Return by what the learning rates of each network are multiplied at a clock, where that is not always 1.

    Args:
        config: the run.
        doublings: tells how far batches have come that follow the noise scale.
    """
    adams = {"generator": config.generator_adam, "discriminator": config.discriminator_adam}

    def factor(name: str, clock: int) -> float:
        return adams[name].factor(schedules(config, doublings and doublings())[name].at(clock), clock)

    return {name: partial(factor, name) for name, adam in adams.items() if not adam.constant}


def second_betas(config: TrainingConfig) -> dict[str, Callable[[int], float]]:
    """Return the second beta of each network's Adam at a clock, where it changes."""
    adams = {"generator": config.generator_adam, "discriminator": config.discriminator_adam}
    return {name: adam.beta2.at for name, adam in adams.items() if isinstance(adam.beta2, Course)}


def set_beta2(optimizer: Adam, beta2: float) -> None:
    """Let the next update of ``optimizer`` have this second beta.

    A plain number, as rates are. Moments go on as they are, and are corrected for their beginning as PyTorch's Adam
    does, by 1 - beta2^step with the beta of the update: exact while it is constant, and soon no matter otherwise.
    """
    for group in optimizer.param_groups:
        group["betas"] = (group["betas"][0], beta2)


def scale_rates(optimizer: Adam, factor: float) -> float:
    """Multiply the rates that ``optimizer`` was made with by ``factor``; return the first group's.

    They are plain numbers, which the fused kernels take as they are: nothing waits and nothing is built anew.
    """
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def with_an_end(option: str, adam: AdamConfig, duration: int) -> AdamConfig:
    """Return ``adam`` with the clock at which its decay ends, so that a longer duration later changes no rate before.

    Raises:
        UserError: it learns nothing from there on, and the run goes on.
    """
    schedule, rate = adam.schedule, as_course(adam.learning_rate)
    if rate.last == 0 < rate.first and rate.end < duration:
        raise UserError(
            f"--duration {duration}: from {rate.end} images on {option}.learning-rate {rate} is 0, and nothing would "
            "be learnt; let it end later, or at another rate"
        )
    if schedule.decay == "none":
        return adam
    until = duration if schedule.until is None else schedule.until
    if schedule.final == 0 and until < duration:
        raise UserError(
            f"--duration {duration}: from {until} images on {option}.schedule has rate 0, and nothing would be learnt; "
            f"give {option}.schedule.until {duration} (from its clock on, a run that goes on then follows the longer "
            f"course), or {option}.schedule.final, the share of the rate that is left"
        )
    return dataclasses.replace(adam, schedule=dataclasses.replace(schedule, until=until))
