"""Batch arithmetic: what each rank handles at once, how often, and which ranks share moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from biggan.foundation.batch_schedule import (
    BatchSchedule,
    DoublingBatch,
    parse_batch_schedule,
    parse_doubling_batch,
)
from biggan.foundation.compatibility import BIASED_NORM
from biggan.foundation.errors import UserError
from biggan.training.checkpoint_record import DoublingRecord, Network
from biggan.training.configuration import TrainingConfig


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """How one network's batch is divided."""

    batch: int
    """Images of an update over all ranks."""
    ranks: int
    micro_batch: int
    """Images a rank handles at once (the largest, where they differ by one)."""
    accumulation: int
    """Micro-batches of a rank for each update."""

    @property
    def share(self) -> int:
        """Images of a rank in an update (the largest share, where they differ by one)."""
        return -(-self.batch // self.ranks)

    def __str__(self) -> str:
        """Return for example ``1 rank x 64 x 8 accumulated = 512``."""
        ranks = f"{self.ranks} rank{'s' * (self.ranks != 1)}"
        even = self.ranks * self.micro_batch * self.accumulation == self.batch
        size = str(self.micro_batch) if even else f"{self.micro_batch - 1}..{self.micro_batch}"
        return f"{ranks} x {size} x {self.accumulation} accumulated = {self.batch}"


def plan_batch(option: str, batch: int, micro_batch: int | None, ranks: int) -> BatchPlan:
    """Divide a batch over ranks and micro-batches; sizes differ by at most one.

    Raises:
        UserError: fewer images than ranks.
    """
    if batch < ranks:
        raise UserError(f"{option} {batch}: there are {ranks} ranks, and each needs an image at least")
    share = -(-batch // ranks)
    accumulation = -(-share // min(micro_batch or share, share))
    accumulation = min(accumulation, batch // ranks)
    return BatchPlan(batch=batch, ranks=ranks, micro_batch=-(-share // accumulation), accumulation=accumulation)


ENOUGH_FOR_MOMENTS = 32
"""Images below which the moments of a micro-batch are so noisy that ranks share theirs unless told otherwise."""


def norm_group(config: TrainingConfig, ranks: int) -> int:
    """Return how many ranks share the moments of batch norm.

    Raises:
        UserError: the ranks cannot be divided so, or this normalisation has no moments to share.
    """
    biased = BIASED_NORM in config.model.compatibility
    shares = config.model.normalization == "batch" and not biased
    kind = "the biased batch norm of a reference" if biased else f"{config.model.normalization} normalisation"
    fitting = [count for count in range(1, ranks + 1) if ranks % count == 0]
    if config.norm_group is not None and config.norm_group not in fitting:
        raise UserError(
            f"--norm-group {config.norm_group}: of {ranks} rank{'s' * (ranks != 1)}, groups of equal size have "
            f"{', '.join(map(str, fitting))}"
        )
    if config.statistics == "exact":
        if not shares and (ranks > 1 or not biased):
            raise UserError(f"--statistics exact: {kind} has no moments to merge; choose --statistics phase")
        if config.norm_group not in (None, ranks):
            raise UserError(
                f"--norm-group {config.norm_group}: with --statistics exact all {ranks} ranks share; leave it out"
            )
        return ranks if shares else 1
    if config.norm_group is None:
        images = min(part.batch // (part.ranks * part.accumulation) for part in plan(config, ranks).values())
        enough = [count for count in fitting if count * images >= ENOUGH_FOR_MOMENTS]
        return (enough or [ranks])[0] if shares else 1
    if config.norm_group > 1 and not shares:
        raise UserError(f"--norm-group {config.norm_group}: {kind} shares no moments over ranks; leave the option out")
    return config.norm_group


def images_for_moments(config: TrainingConfig, ranks: int) -> int:
    """Return the images over which G's batch norm takes its moments."""
    part = plan(config, ranks)["generator"]
    return part.batch if config.statistics == "exact" else part.micro_batch * norm_group(config, ranks)


Doublings = Mapping[Network, DoublingRecord]
"""How far batches have come that follow the noise scale of their network."""

SCHEDULES: dict[Network, str] = {"discriminator": "--batch-schedule", "generator": "--generator-batch-schedule"}


def given_schedules(config: TrainingConfig) -> dict[Network, str]:
    """Return the schedules that networks were given, as they were written."""
    given: dict[Network, str | None] = {
        "discriminator": config.batch_schedule,
        "generator": config.generator_batch_schedule,
    }
    return {name: text for name, text in given.items() if text is not None}


def doubling_batches(config: TrainingConfig) -> dict[Network, DoublingBatch]:
    """Return the batches that follow the noise scale of their network; not that of a G whose batch is D's."""
    found = {name: parse_doubling_batch(text, SCHEDULES[name]) for name, text in given_schedules(config).items()}
    return {name: batch for name, batch in found.items() if batch is not None}


def schedules(config: TrainingConfig, doublings: Doublings | None = None) -> dict[str, BatchSchedule]:
    """Return the batches of D and of G by the clock; G's are D's unless it has its own.

    Args:
        config: the run.
        doublings: how far batches have come that follow the noise scale; by default they are as at the start.
    """
    given, doubling = given_schedules(config), doubling_batches(config)

    def own(name: Network) -> BatchSchedule:
        if name in doubling:
            record = (doublings or {}).get(name)
            return BatchSchedule(((0, doubling[name].low), *(record.steps if record else ())))
        return parse_batch_schedule(given[name], SCHEDULES[name])

    of_d = own("discriminator") if "discriminator" in given else BatchSchedule(((0, config.batch),))
    of_g = of_d if config.generator_batch is None else BatchSchedule(((0, config.generator_batch),))
    return {"discriminator": of_d, "generator": own("generator") if "generator" in given else of_g}


def plan(
    config: TrainingConfig, ranks: int, clock: int = 0, doublings: Doublings | None = None
) -> dict[str, BatchPlan]:
    """Return the plans of D and G for the iteration that begins at ``clock``; ``doublings`` as in :func:`schedules`.

    Raises:
        UserError: fewer images than ranks.
    """
    options = {"discriminator": "--batch", "generator": "--generator-batch"}
    of = schedules(config, doublings)
    return {name: plan_batch(options[name], of[name].at(clock), group(config), ranks) for name in options}


def largest_plan(config: TrainingConfig, ranks: int) -> dict[str, BatchPlan]:
    """Return the plans of D and G where their batches are largest, by the clock."""
    begins = {begin for schedule in schedules(config).values() for begin, _ in schedule.steps}
    plans = [plan(config, ranks, clock) for clock in sorted(begins)]
    return {name: max((one[name] for one in plans), key=lambda part: part.batch) for name in plans[0]}


def group(config: TrainingConfig) -> int | None:
    """Return the images that a rank handles at once, None where nothing was said or that is still to be found."""
    return None if config.micro_batch == "auto" else config.micro_batch


def check_schedules(config: TrainingConfig, ranks: int) -> None:
    """Check that scheduled batches change how often is accumulated, and never what a group is.

    Args:
        config: resolved, so that the micro-batch is known.
        ranks: how many there are.

    Raises:
        UserError: a batch that groups of all ranks do not make up; names the nearest that they do. Or one that follows
            the noise scale and has one group, of which there is none.
    """
    unit = (group(config) or 1) * ranks
    given = given_schedules(config)
    for name, option in SCHEDULES.items():
        if name not in given:
            continue
        for batch in schedules(config)[name].batches:
            below, above = max(batch // unit, 1) * unit, -(-batch // unit) * unit
            if batch % unit:
                near = f"{below} or {above}" if below != above else str(above)
                raise UserError(
                    f"{option} {given[name]}: {batch} images are no multiple of {ranks} rank{'s' * (ranks != 1)} x "
                    f"{config.micro_batch}, the micro-batch, which stays; take {near}, or another --micro-batch"
                )
    for name, doubling in doubling_batches(config).items():
        if config.statistics == "exact":
            raise UserError(
                f"{SCHEDULES[name]} {given[name]}: with --statistics exact an update is one group, and the noise scale "
                "is unknown; give batches by the clock, as in 0:256,20Mi:512, or choose --statistics phase"
            )
        sharing = norm_group(config, ranks) if name == "generator" else 1
        if sharing > 1:
            raise UserError(
                f"{SCHEDULES[name]} {given[name]}: {sharing} ranks share the moments of batch norm, so that no part of "
                "G's batch has a gradient of its own, and its noise scale is unknown; take --norm-group 1, or batches "
                f"by the clock, as in 0:{doubling.low}"
            )
        if doubling.low == unit and ranks == 1:
            smaller = next((size for size in range(unit // 2, 0, -1) if unit % size == 0), None)
            fix = f"--micro-batch {smaller}, or less that divides {unit}" if smaller else "a larger batch"
            raise UserError(
                f"{SCHEDULES[name]} {given[name]}: of an update of one group (--micro-batch {config.micro_batch}, 1 "
                f"rank) the noise scale is unknown; take {fix}"
            )


def iterations(config: TrainingConfig, *, largest: bool = False) -> int:
    """Return how many iterations the duration takes.

    Args:
        config: the run.
        largest: as if a batch that follows the noise scale were the largest from the start, and not the smallest
            throughout.
    """
    steps = schedules(config)["discriminator"].steps
    if largest and "discriminator" in doubling_batches(config):
        steps = ((0, doubling_batches(config)["discriminator"].high),)
    clock, count = 0, 0
    for (_, batch), end in zip(steps, [*(begin for begin, _ in steps[1:]), config.duration], strict=True):
        images = batch * config.discriminator_steps
        taken = max(-(-(min(end, config.duration) - clock) // images), 0)
        clock, count = clock + taken * images, count + taken
    return count
