"""Batches that double where the gradient noise scale of their network has been above them.

A pure function of sums that begin anew with every interval of checkpoints and are part of every checkpoint: whoever is
killed, told to stop, or goes on in another number of processes decides the same. What is decided at the end of an
interval takes effect at that of the next one, so that loaders which look ahead know it in time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from biggan.foundation import distributed
from biggan.foundation.batch_schedule import BatchSchedule
from biggan.foundation.devices import read_together
from biggan.foundation.errors import UserError
from biggan.training.batches import SCHEDULES, doubling_batches, given_schedules
from biggan.training.checkpoint_record import DoublingRecord, Network
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.noise_scale import exceeds

Records = dict[Network, DoublingRecord]


def at_the_start(config: TrainingConfig) -> Records:
    """Return the records of a run that begins."""
    doubling = doubling_batches(config)
    names: tuple[Network, ...] = ("discriminator", "generator")
    return {
        name: DoublingRecord(low=doubling[name].low, high=doubling[name].high) for name in names if name in doubling
    }


def carried_over(
    config: TrainingConfig, before: Mapping[str, BatchSchedule], records: Mapping[Network, DoublingRecord], clock: int
) -> Records:
    """Return the records with which a run goes on.

    Args:
        config: how it goes on.
        before: its batches by the clock, so far.
        records: of its checkpoint.
        clock: of that.

    Raises:
        UserError: the batches so far are not what the configuration begins with.
    """
    found: Records = {}
    for name, fresh in at_the_start(config).items():
        past = before[name].until(clock)
        there = records.get(name) or dataclasses.replace(fresh, since=clock)
        decided = BatchSchedule(((0, there.low), *there.steps))
        given = f"{SCHEDULES[name]} {given_schedules(config)[name]}"
        if fresh.low != there.low or past != decided.until(clock):
            raise UserError(
                f"{given}: {clock:,} images have been seen, with batches {BatchSchedule(past)}; begin with that batch, "
                "or leave the option out"
            )
        if there.batch > fresh.high:
            raise UserError(
                f"{given}: the batches so far and those announced are {decided}; take at least auto:{there.low}.."
                f"{there.batch}"
            )
        found[name] = dataclasses.replace(there, high=fresh.high)
    return found


def measured(records: Records, engine: Engine) -> Records:
    """Return ``records`` with the sums of the noise scale as they are now, those of the first process on all."""
    there = [name for name in records if name in engine.noise_scales]
    if not there:
        return records
    read = distributed.on_primary(
        lambda: read_together([engine.noise_scales[name].interval() for name in there]), "reading the noise scale"
    )
    sums = {name: (noise, signal, images) for name, (noise, signal, images) in zip(there, read, strict=True)}
    return {name: dataclasses.replace(one, sums=sums.get(name, one.sums)) for name, one in records.items()}


def is_due(record: DoublingRecord, now: int, every: int) -> bool:
    """Tell whether an interval has ended: whether a multiple of ``every`` lies between its beginning and ``now``."""
    return now // every > record.since // every


def decide(record: DoublingRecord, now: int, change: int) -> DoublingRecord:
    """Return the record of the interval that begins ``now``, with what was decided about the one that ended.

    The batch doubles from ``change`` on if it was in force for the whole interval and the noise scale was above it.
    """
    begun = dataclasses.replace(record, since=now, sums=(0.0, 0.0, 0.0))
    in_force = all(clock <= record.since for clock, _ in record.steps)
    if not in_force or 2 * record.batch > record.high or not exceeds(record.sums, record.batch):
        return begun
    return dataclasses.replace(begun, steps=(*record.steps, (change, 2 * record.batch)))
