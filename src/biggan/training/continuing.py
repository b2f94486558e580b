"""Whether a run may go on as it is asked to, and what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from biggan.data.contract import ImageSource
from biggan.foundation.batch_schedule import BatchSchedule
from biggan.foundation.config import differences, option_name
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line
from biggan.training.batches import SCHEDULES, doubling_batches, given_schedules, images_for_moments, schedules
from biggan.training.checkpoint import Checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.doubling import Records, at_the_start, carried_over
from biggan.training.run_directory import StoredRun

# What may differ when a run goes on without being another run. The rest of the configuration may change too, and is
# logged; these are not even worth a line.
_UNREMARKABLE = (
    *("dry_run", "run_dir", "device", "recompute", "rank_timeout", "stop_timeout", "data.workers", "data.check"),
    *("log.", "checkpoint.", "evaluation.", "health."),
)
# What makes it another run.
_IDENTITY = ("model.", "seed", "init.")
# Parts of the architecture that come about by another option.
_OPTIONS = {
    "model.resolution": "--resolution",
    "model.classes": "--data: number of classes",
    "model.channels": "--data or --data.channels: channels",
}


def refuse_another_preset(started: StoredRun | None, preset: str, run_dir: Path, *, saved: bool) -> None:
    """Check that what lies in the directory, be it only the logs of a start, comes from the same preset.

    Raises:
        UserError: from another one.
    """
    if started is None or started.preset == preset:
        return
    found = "this run was started" if saved else "it holds the logs of a run that was never saved, started"
    way = "continue with that" if saved else "remove it"
    raise UserError(
        f"--run-dir {run_dir}: {found} from the preset '{one_line(started.preset)}', not '{preset}'; {way}, or choose "
        "another --run-dir"
    )


def refuse_forgotten_step(stored: StoredRun | None, config: TrainingConfig) -> None:
    """Check that a run with a step of the user's own goes on with one that was given now.

    What a stored configuration names is never imported: the folder may come from anywhere.

    Raises:
        UserError: it was not given again.
    """
    if stored is not None and stored.config.step is not None and config.step is None:
        raise UserError(
            f"--step: this run was started with a step of its own, {one_line(stored.config.step)}. Code is never taken "
            "from a run directory; if you trust that file, give it again: --step FILE.py:function"
        )


def compare(stored: StoredRun | None, config: TrainingConfig, source: ImageSource, key: str, ranks: int) -> list[str]:
    """Return a sentence for each change since the run in the directory was last started.

    Raises:
        UserError: a change that makes it another run.
    """
    if stored is None:
        return []
    remarks = refuse_another_run(stored.config, config)
    if not stored.data.images:
        # Weights that were trained elsewhere never say on what; that there are as many classes is all that is known.
        return [
            *remarks,
            f"the weights came from elsewhere: check that class 0 is '{one_line(source.class_names[0])}' for them too"
            if source.class_names
            else "the weights came from elsewhere",
        ]
    _refuse_to_hold_out_more(stored.config, config)
    if stored.data.class_names != source.class_names:
        changed = next(
            pair for pair in zip(stored.data.class_names, source.class_names, strict=False) if pair[0] != pair[1]
        )
        raise UserError(
            f"--data {config.data.path}: class '{one_line(changed[1])}' stands where this run has "
            f"'{one_line(changed[0])}'; its generator would confuse them. Restore the classes, or choose "
            "another --run-dir."
        )
    if stored.data.images != len(source):
        remarks.append(
            f"the data changed: {stored.data.images:,} -> {len(source):,} images; "
            "their order from here on is another one"
        )
    elif stored.data.key not in ("", key):
        remarks.append("the data changed: as many images as before, but not the same files or labels")
    if stored.used.ranks != ranks:
        remarks.append(f"changed on resume: ranks {stored.used.ranks} -> {ranks}")
    return remarks


def _refuse_to_hold_out_more(old: TrainingConfig, new: TrainingConfig) -> None:
    """Check that nothing is held out from now on that was trained on.

    Raises:
        UserError: it would be, and D would know images that it is said never to have seen.
    """
    if new.data.holdout > old.data.holdout:
        raise UserError(
            f"--data.holdout {new.data.holdout:g}: this run has held out {old.data.holdout:g}, and trained on the "
            "rest; leave the option out, hold out less, or choose another --run-dir"
        )


def moments_changed(stored: StoredRun | None, config: TrainingConfig, ranks: int) -> list[str]:
    """Return a sentence if batch norm takes its moments over another number of images than when last started.

    Args:
        stored: the run in the directory.
        config: how it goes on, with its micro-batch.
        ranks: on how many.
    """
    before = None if stored is None else stored.used.images_for_moments
    now = images_for_moments(config, ranks)
    if before in (None, now):
        return []
    return [f"changed on resume: batch norm takes its moments over {before} -> {now} images"]


def refuse_another_past(stored: StoredRun | None, config: TrainingConfig, newest: Checkpoint | None) -> Records:
    """Check that scheduled batches differ from those of the run ahead of its newest checkpoint only.

    Returns:
        How far batches have come that follow the noise scale.

    Raises:
        UserError: what a schedule says of images that have been seen is not what was.
    """
    if stored is None or newest is None:
        return at_the_start(config)
    _refuse_batch_without_effect(stored.config, config)
    clock, records = newest.images_seen, newest.record.doubling
    given, doubling = given_schedules(config), doubling_batches(config)
    before = schedules(stored.config, records)
    now = schedules(config)
    for name, option in SCHEDULES.items():
        past = BatchSchedule(before[name].until(clock))
        if name in given and name not in doubling and now[name].until(clock) != past.steps:
            raise UserError(
                f"{option} {given[name]}: {clock:,} images have been seen, with batches {past}; begin the schedule so, "
                "and change what lies ahead"
            )
    return carried_over(config, before, records, clock)


def _refuse_batch_without_effect(old: TrainingConfig, new: TrainingConfig) -> None:
    """Check that a batch that was given now is not one in whose place a schedule stays that was given earlier.

    Raises:
        UserError: it is, and would change nothing.
    """
    for option, schedule, before, after, kept in (
        ("--batch", "--batch-schedule", old.batch, new.batch, (old.batch_schedule, new.batch_schedule)),
        (
            *("--generator-batch", "--generator-batch-schedule", old.generator_batch, new.generator_batch),
            (old.generator_batch_schedule, new.generator_batch_schedule),
        ),
    ):
        if before != after and kept[0] == kept[1] is not None:
            raise UserError(
                f"{option} {after}: this run has {schedule} {kept[1]} in its place, and that stays; leave {option} "
                f"out, or change what lies ahead by {schedule}"
            )


def refuse_another_run(old: TrainingConfig, new: TrainingConfig) -> list[str]:
    """Return a sentence for every change with which a run may go on.

    Raises:
        UserError: a change that makes it another run; it names the option.
    """
    remarks = []
    for name, (before, after) in differences(old, new).items():
        if name.startswith(_IDENTITY):
            option = _OPTIONS.get(name, option_name(name))
            raise UserError(
                f"{option} {_shown(after)}: this run was started with {_shown(before)}. That is part of what its "
                "weights are; leave the option out to continue, or choose another --run-dir."
            )
        if not name.startswith(_UNREMARKABLE):
            remarks.append(f"changed on resume: {option_name(name)} {_shown(before)} -> {_shown(after)}")
    return remarks


def _shown(value: Any) -> str:
    if value == ():
        return "none"
    if isinstance(value, tuple):
        return "x".join(map(str, value)) if len(value) == 2 and isinstance(value[0], int) else " ".join(map(str, value))
    return str(value)
