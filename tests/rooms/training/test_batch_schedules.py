"""Batches that change with the clock: what is read, drawn, averaged and resumed follows."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biggan.data.configuration import DataConfig
from biggan.foundation.batch_schedule import BatchSchedule, parse_batch_schedule
from biggan.foundation.errors import UserError
from biggan.training.batches import iterations, plan, schedules
from biggan.training.configuration import AdamConfig, MovingAverageConfig, TrainingConfig
from biggan.training.resolving import resolve
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import MakeFolder, final_state

SCHEDULE = "0:6,30:12,66:18"


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(1, 10**5)), max_size=5, unique_by=lambda step: step[0]))
def test_text_and_schedule_are_one(steps: list[tuple[int, int]]) -> None:
    schedule = BatchSchedule(((0, 7), *sorted(steps)))
    assert parse_batch_schedule(str(schedule), "--x") == schedule
    for (clock, batch), before in zip(schedule.steps[1:], schedule.batches, strict=False):
        assert (schedule.at(clock - 1), schedule.at(clock)) == (before, batch)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("256", "'256' is not CLOCK:BATCH; write for example"),
        ("0:256,", "'' is not CLOCK:BATCH"),
        ("0:0", "'0:0' is not CLOCK:BATCH"),
        ("0:-5", "'0:-5' is not CLOCK:BATCH"),
        ("x:5", "--batch-schedule x:5: 'x' is not a number of images"),
        (f"0:{'9' * 5000}", "is not CLOCK:BATCH"),  # more digits than Python reads
        ("1k:5", "clocks must ascend from 0"),
        ("0:5,2k:6,1k:7", "clocks must ascend from 0"),
        ("0:5,0:6", "clocks must ascend from 0"),
    ],
)
def test_what_is_no_schedule(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        schedules(TrainingConfig(batch_schedule=text))


def resolved(ranks: int = 1, **values: Any) -> TrainingConfig:
    return resolve(TrainingConfig(model=tiny("biggan"), **values), None, ranks)


def test_the_micro_batch_stays_and_accumulation_changes() -> None:
    config = resolved(2, batch_schedule="0:8,1k:32,2k:16", generator_batch_schedule="0:16")
    assert config.micro_batch == 4
    of = [(plan(config, 2, clock)["discriminator"], plan(config, 2, clock)["generator"]) for clock in (0, 1500, 5000)]
    assert [(d.accumulation, d.micro_batch, g.accumulation) for d, g in of] == [(1, 4, 2), (4, 4, 2), (2, 4, 2)]
    assert resolved(1, batch_schedule="0:32,1k:8").micro_batch == 8, "of the smallest"
    assert plan(resolved(1, batch_schedule="0:32,1k:8"), 1, 1000)["generator"].batch == 8, "as D's"


def test_iterations_are_counted() -> None:
    config = resolved(batch_schedule=SCHEDULE, discriminator_steps=2, duration=150)
    clock = count = 0
    while clock < config.duration:
        clock, count = clock + 2 * schedules(config)["discriminator"].at(clock), count + 1
    assert iterations(config) == count
    assert iterations(resolved(batch=7, duration=50)) == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_schedule": "0:8,1k:20", "micro_batch": 8}, r"20 images are no multiple of 1 rank x 8.*take 16 or 24"),
        ({"generator_batch_schedule": "0:5", "micro_batch": 8}, r"--generator-batch-schedule 0:5: .*; take 8, or"),
    ],
)
def test_groups_make_up_every_batch(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolved(**values)


def test_a_decay_an_update_becomes_a_half_life_and_that_is_said(tmp_path: Path) -> None:
    config = resolved(batch_schedule="0:8,1k:16", ema=MovingAverageConfig(decay=0.5), discriminator_steps=2)
    assert config.ema.half_life == 16
    assert resolved(batch=8, ema=MovingAverageConfig(decay=0.5)).ema.half_life is None
    run = tiny_config(tmp_path / "run", batch_schedule="0:8,16:16", micro_batch=8, duration=16)
    train(run, "digits")
    said = (tmp_path / "run" / "log.txt").read_text()
    assert "batches of D by images seen: 0:8,16:16" in said
    assert "the average has a half-life of" in said


def test_kills_on_both_sides_of_a_change_resume_bitwise(tmp_path: Path, make_folder: MakeFolder) -> None:
    """Read by workers, with two D steps, and rates that follow the batch; stopped before, at and behind changes."""
    values: dict[str, Any] = {
        "batch_schedule": SCHEDULE,
        "micro_batch": 3,
        "discriminator_steps": 2,
        "data": DataConfig(path=str(make_folder({"a": 7, "b": 5})), workers=1, flip=True),
        "generator_adam": AdamConfig(reference_batch=6),
        "ema": MovingAverageConfig(half_life=40),
    }
    values["log"] = dataclasses.replace(tiny_config().log, every=1)
    whole = tiny_config(tmp_path / "whole", duration=170, **values)
    train(whole, "digits")
    for duration in (24, 36, 60, 84, 170):
        train(tiny_config(tmp_path / "parts", duration=duration, **values), "digits")
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    lines = [json.loads(line) for line in (tmp_path / "parts" / "stats.jsonl").read_text().splitlines()]
    clocks = [line["images_seen"] for line in lines]
    assert clocks == [12, 24, 36, 60, 84, 120, 156, 192]
    rates = [line["G_learning_rate"] for line in lines]
    assert rates[3] == pytest.approx(rates[0] * 2**0.5)
    assert rates[-1] == pytest.approx(rates[0] * 3**0.5)


def die_at(clock: int) -> None:
    """Kill this process behind the update that begins at a clock, before anything of it is stored."""
    from biggan.training import setup, step

    def train_step(state: Any, *rest: Any) -> Any:
        losses = step.train_step(state, *rest)
        if state.images_seen == clock:
            os.kill(os.getpid(), signal.SIGKILL)
        return losses

    setup.train_step = train_step


def test_a_killed_run_repeats_updates_before_at_and_behind_a_change(tmp_path: Path) -> None:
    """Batches change at 12 and, amid an update, at 30; what is killed repeats from the last checkpoint, as it was."""

    def words(run: str) -> list[str]:
        text = f"train digits --batch-schedule 0:4,12:8,30:12 --micro-batch 4 --run-dir {tmp_path / run} --duration 72"
        others = "--ema.half-life 40 --checkpoint.every 8 --log.every 4 --log.judge none --log.samples-every 1G"
        return [*text.split(), *others.split(), *commands.SMALL]

    done = commands.run(words("whole"), tmp_path / "whole.txt")
    assert done.status == 0, done.printed
    for clock in (8, 12, 28, 36, 48):
        killed = commands.run(words("parts"), tmp_path / f"{clock}.txt", partial(die_at, clock))
        assert killed.status == -signal.SIGKILL, killed.printed
    done = commands.run(words("parts"), tmp_path / "parts.txt")
    assert done.status == 0, done.printed
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    seen = {
        run: [json.loads(line)["images_seen"] for line in (tmp_path / run / "stats.jsonl").read_text().splitlines()]
        for run in ("whole", "parts")
    }
    assert seen["parts"] == seen["whole"] == [4, 8, 12, 20, 28, 36, 48, 60, 72]


def test_what_was_is_not_rewritten(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", batch=8, micro_batch=8, duration=16)
    train(config, "digits")
    ahead = dataclasses.replace(config, batch_schedule="0:8,16:8,24:16", duration=40)
    with pytest.raises(UserError, match="16 images have been seen, with batches 0:8; begin the schedule so"):
        train(ahead, "digits")
    ahead = dataclasses.replace(ahead, batch_schedule="0:8,24:16")
    train(ahead, "digits")
    assert "changed on resume: --batch-schedule" in (tmp_path / "run" / "log.txt").read_text()
    with pytest.raises(UserError, match="40 images have been seen, with batches 0:8,24:16"):
        train(dataclasses.replace(ahead, batch_schedule="0:8,32:16", duration=80), "digits")


def test_a_batch_in_whose_place_a_schedule_stays_is_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", batch=8, micro_batch=8, duration=16, batch_schedule="0:8,16:16")
    train(config, "digits")
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(UserError, match=r"^--batch 24: this run has --batch-schedule 0:8,16:16 in its place"):
        train(dataclasses.replace(config, batch=24, duration=32), "digits")
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    other = dataclasses.replace(config, batch=24, batch_schedule="0:8,16:16,32:24", duration=32)
    train(other, "digits")
