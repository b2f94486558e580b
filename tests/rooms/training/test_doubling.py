"""Batches that double with the gradient noise scale: decided at one checkpoint, in force from the next one on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.data.order.loader import Batch
from biggan.foundation.batch_schedule import BatchSchedule, DoublingBatch, parse_doubling_batch
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.groups import Share
from biggan.training.batches import iterations
from biggan.training.checkpoint import read_checkpoint
from biggan.training.checkpoint_record import (
    CheckpointRecord,
    DoublingRecord,
    read_checkpoint_record,
    write_checkpoint_record,
)
from biggan.training.configuration import AdamConfig, CheckpointConfig, MovingAverageConfig, TrainingConfig
from biggan.training.doubling import decide
from biggan.training.draws import RealBatches
from biggan.training.exportable import read_exportable
from biggan.training.growing import Growth, grow_file
from biggan.training.memory_trials import micro_batches
from biggan.training.noise_scale import NoiseScale, exceeds
from biggan.training.resolving import resolve, summary
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import MakeFolder, final_state, last_checkpoint

ABOVE, BELOW = (9.0, 0.1, 24.0), (9.0, 9.0, 24.0)
"""Sums of a noise scale of 90 images, and of 1."""


def resolved(ranks: int = 1, **values: Any) -> TrainingConfig:
    return resolve(TrainingConfig(model=tiny("biggan"), **values), None, ranks)


# -- what is asked for -------------------------------------------------------------------------------------------------


@given(st.integers(1, 10**6), st.integers(0, 12))
def test_text_and_batch_are_one(low: int, doublings: int) -> None:
    batch = DoublingBatch(low, low << doublings)
    assert parse_doubling_batch(str(batch), "--x") == batch


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"batch_schedule": "auto:8"},
            r"--batch-schedule auto:8: write auto:LOW\.\.HIGH, for example auto:256\.\.4096",
        ),
        ({"batch_schedule": "auto"}, r"write auto:LOW\.\.HIGH"),
        ({"batch_schedule": "auto:0..8"}, r"write auto:LOW\.\.HIGH"),
        ({"batch_schedule": "auto:-8..8"}, r"write auto:LOW\.\.HIGH"),
        ({"batch_schedule": "auto:8..16,1k:5"}, r"write auto:LOW\.\.HIGH"),
        ({"batch_schedule": "0:8,auto:8..16"}, r"'auto:8..16' is not CLOCK:BATCH|'auto' is not a number of images"),
        ({"batch_schedule": "auto:16..8"}, r"the batch grows, and 8 is less than 16; write auto:8\.\.16"),
        ({"batch_schedule": "auto:8..30"}, r"8 doubles, and never is 30; take auto:8\.\.16 or auto:8\.\.32"),
        ({"batch_schedule": "auto:8..16", "micro_batch": 3}, r"8 images are no multiple of 1 rank x 3.*take 6 or 9"),
        ({"batch_schedule": "auto:8..16"}, r"one group \(--micro-batch 8, 1 rank\).*unknown; take --micro-batch 4, or"),
        ({"batch_schedule": "auto:1..16"}, r"unknown; take a larger batch"),
        (
            {"generator_batch_schedule": "auto:8..16", "batch": 8},
            r"--generator-batch-schedule auto:8..16: of an update of one group",
        ),
    ],
)
def test_what_is_no_such_batch(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolved(**values)


def test_nothing_is_read_before_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the noise scale is unknown"):
        train(tiny_config(tmp_path / "run", batch_schedule="auto:8..16"), "digits")
    assert not (tmp_path / "run" / "config.json").exists()


def test_what_is_known_beforehand() -> None:
    config = resolved(batch_schedule="auto:8..32", micro_batch=4, duration=320, checkpoint=CheckpointConfig(every=100))
    assert (iterations(config), iterations(config, largest=True)) == (40, 10)
    assert config.ema.half_life is not None, "a decay an update would change with the batch"
    said = summary(config, 1)
    assert "1 rank x 4 x 2 accumulated = 8" in said
    assert "10 to 40 iterations" in said
    assert "batch of D: 0:8; at a checkpoint (every 100 images)" in said
    assert "batch of G: always that of D" in said
    assert "no time to double" not in said
    assert "no time to double" in summary(dataclasses.replace(config, duration=200), 1)
    assert resolved(2, batch_schedule="auto:8..16").micro_batch == 4, "a group of each of two ranks"
    found = TrainingConfig(model=tiny(), batch_schedule="auto:16..32", generator_batch=8, micro_batch="auto")
    assert micro_batches(found, 1) == [1, 2, 4, 8]
    assert micro_batches(dataclasses.replace(found, generator_batch=16), 1) == [1, 2, 4, 8], "two groups at least"


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), max_size=4, unique_by=lambda step: step[0]),
    st.integers(0, 300),
    st.integers(0, 600),
    st.integers(1, 3),
)
def test_the_clock_of_the_next_checkpoint(steps: list[tuple[int, int]], begin: int, goal: int, together: int) -> None:
    schedule, clock = BatchSchedule(((0, 7), *sorted(steps))), begin
    while clock < goal:
        clock += schedule.at(clock) * together
    assert schedule.reached(begin, goal, together) == clock


# -- what is decided ---------------------------------------------------------------------------------------------------


def test_above_below_and_drowned() -> None:
    assert exceeds((9.0, 1.0, 1.0), 8)
    assert not exceeds((8.0, 1.0, 1.0), 8)
    assert exceeds((8.0, -1.0, 1.0), 8), "the signal drowned"
    assert not exceeds((0.0, 0.0, 0.0), 8), "nothing was measured"
    assert not exceeds((-1.0, -1.0, 8.0), 8)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=40))
def test_it_never_shrinks_and_ends_at_the_largest(intervals: list[tuple[bool, int]]) -> None:
    """Of intervals of 10 images, in which changes are announced one to three intervals ahead."""
    record, now = DoublingRecord(low=2, high=16), 0
    for above, ahead in intervals:
        measured = dataclasses.replace(record, sums=ABOVE if above else BELOW)
        in_force = all(clock <= record.since for clock, _ in record.steps)
        now += 10
        after = decide(measured, now, now + 10 * (ahead + 1))
        grew = above and in_force and record.batch < 16
        assert after.batch == (2 if grew else 1) * record.batch <= 16
        assert after.steps[: len(record.steps)] == record.steps, "what was announced stays"
        assert (after.since, after.sums) == (now, (0.0, 0.0, 0.0))
        record = after


def test_the_sums_of_the_log_and_of_the_interval_are_two() -> None:
    first, whole = torch.tensor([2.0, 1 / 4, 1.0]), torch.tensor(1.25)
    logged, alone = NoiseScale(torch.device("cpu")), NoiseScale(torch.device("cpu"))
    for _ in range(3):
        logged.add(first, whole, 8)
        alone.add(first, whole, 8)
        logged.take()
    assert logged.take().tolist() == [0.0] * 3
    assert torch.equal(logged.interval(), alone.interval())
    again = NoiseScale(torch.device("cpu"), alone.interval().tolist())
    again.add(first, whole, 8)
    alone.add(first, whole, 8)
    assert torch.equal(again.interval(), alone.interval())
    again.begin_interval()
    assert again.interval().tolist() == [0.0] * 3


# -- what is read ahead ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [0, 2, 9])
def test_what_was_read_ahead_is_read_again_only_where_it_must_be(ahead: int) -> None:
    sizes, opened = {"now": BatchSchedule(((0, 2),))}, []

    def open_at(clock: int, share: Any) -> Any:
        opened.append(clock)
        held: list[Any] = []
        while True:
            while len(held) <= ahead:
                held.append(torch.arange(clock, clock + share(clock).total))
                clock += share(clock).total
            taken = held.pop(0)
            yield Batch(taken, taken, taken.numpy())

    real = RealBatches(open_at, lambda clock: Share(sizes["now"].at(clock)), 0)
    seen = [next(real).images.tolist() for _ in range(2)]
    sizes["now"] = BatchSchedule(((0, 2), (12, 4)))
    real.change(12, 4)
    seen += [next(real).images.tolist() for _ in range(5)]
    assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13, 14, 15]]
    assert opened == ([0, 4] if ahead == 9 else [0])


# -- a run -------------------------------------------------------------------------------------------------------------

STEP = """
import os, signal
from biggan.training.step import Objective, train_step
class Against:
    "Every other group learns the opposite, so that updates are noise: batches double whenever they may."
    def __init__(self, loss):
        self.loss, self.calls = loss, 0
    def sign(self, value):
        self.calls += 1
        return value if self.calls % 2 else -value / 2
    def discriminator(self, fakes, reals):
        fake, real = self.loss.discriminator(fakes, reals)
        sign = self.sign(1.0)
        return sign * fake, sign * real
    def generator(self, scores):
        return self.sign(1.0) * self.loss.generator(scores)
def step(state, inputs, objective, engine):
    loss = Against(objective.loss)
    loss.calls = int(os.environ.get("RANK", "0"))
    losses = train_step(state, inputs, Objective(loss=loss, score=objective.score), engine)
    if state.images_seen == CLOCK:
        if KIND == "crash":
            raise RuntimeError("cut")
        os.kill(os.getpid(), signal.SIGTERM)
    return losses
"""


def own_step(folder: Path, clock: int = -1, kind: str = "none") -> str:
    """Return a step whose updates are noise, and which is cut in the iteration that begins at ``clock``."""
    file = folder / f"step_{clock}_{kind}.py"
    file.write_text(f"CLOCK, KIND = {clock}, {kind!r}\n{STEP}")
    return f"{file}:step"


VALUES: dict[str, Any] = {
    "batch_schedule": "auto:8..32",
    "generator_batch_schedule": "auto:8..16",
    "micro_batch": 4,
    "duration": 130,
    "checkpoint": CheckpointConfig(every=24),
    "ema": MovingAverageConfig(half_life=40),
    "discriminator_adam": AdamConfig(reference_batch=8),
    "log": dataclasses.replace(tiny_config().log, every=1),
}
STEPS = {"discriminator": ((48, 16), (96, 32)), "generator": ((48, 16),)}


def record(run: Path) -> CheckpointRecord:
    return read_checkpoint(last_checkpoint(run)).record


def test_kills_at_every_stage_of_a_change_resume_bitwise(tmp_path: Path, make_folder: MakeFolder) -> None:
    """Told to stop or killed while it is measured, between decision and change, and behind that.

    The undisturbed run reads by a worker that has looked beyond every change.
    """
    path = str(make_folder({"a": 7, "b": 5}))
    whole = tiny_config(
        tmp_path / "whole", data=DataConfig(path=path, workers=1, flip=True), step=own_step(tmp_path), **VALUES
    )
    train(whole, "digits")
    inline = dataclasses.replace(whole, data=DataConfig(path=path, workers=0, flip=True))
    brief = dataclasses.replace(inline, run_dir=str(tmp_path / "brief"), duration=16)
    train(brief, "digits")
    parts = dataclasses.replace(inline, run_dir=str(tmp_path / "parts"))
    for clock, kind in ((0, "term"), (8, "term"), (32, "crash"), (48, "term"), (96, "crash")):
        cut = dataclasses.replace(parts, step=own_step(tmp_path, clock, kind))
        if kind == "crash":
            with pytest.raises(RuntimeError, match="cut"):
                train(cut, "digits")
            continue
        assert train(cut, "digits").signal
        stopped = record(tmp_path / "parts")
        for doubling in stopped.doubling.values():
            assert doubling.sums[2] == stopped.images_seen - doubling.since > 0
        if clock == 8:
            assert stopped.doubling == record(tmp_path / "brief").doubling, "sums to the bit"
    train(parts, "digits")
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "parts"))
    one, other = record(tmp_path / "whole"), record(tmp_path / "parts")
    assert one.doubling == other.doubling
    assert {name: doubling.steps for name, doubling in one.doubling.items()} == STEPS
    lines = [json.loads(line) for line in (tmp_path / "whole" / "stats.jsonl").read_text().splitlines()]
    of = {line["images_seen"]: line for line in lines}
    assert [*of] == [8, 16, 24, 32, 40, 48, 64, 80, 96, 128, 160]
    assert [of[clock]["discriminator_batch"] for clock in (40, 48, 80, 96, 160)] == [8, 16, 16, 32, 32]
    assert [of[clock]["generator_batch"] for clock in (40, 48, 160)] == [8, 16, 16]
    rates = [of[clock]["D_learning_rate"] for clock in (48, 64, 128)]
    assert rates == pytest.approx([rates[0] * factor for factor in (1, 2**0.5, 2)])
    log = (tmp_path / "whole" / "log.txt").read_text()
    assert "24 images: the gradient noise of the discriminator" in log
    assert "from 48 images on it is 8 -> 16 (at most 32)" in log
    assert log.count("from 48 images on") == 2
    assert log.count("from 96 images on") == 1
    continuation = read_exportable(tmp_path / "whole")[0].info.continuation
    assert continuation is not None
    assert continuation.discriminator_adam is not None
    assert continuation.discriminator_adam.batch == 32, "the one in force"


def test_a_higher_or_lower_end_on_resume(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", step=own_step(tmp_path), **{**VALUES, "duration": 24})
    config = dataclasses.replace(config, batch_schedule="auto:8..16", generator_batch_schedule=None)
    train(config, "digits")
    assert record(tmp_path / "run").doubling["discriminator"].steps == ((48, 16),), "decided at the very end, too"
    longer = dataclasses.replace(config, duration=100)
    for text, message in (
        ("auto:8..8", r"those announced are 0:8,48:16; take at least auto:8\.\.16"),
        ("auto:16..32", r"24 images have been seen, with batches 0:8; begin with that batch"),
    ):
        with pytest.raises(UserError, match=message):
            train(dataclasses.replace(longer, batch_schedule=text), "digits")
    train(dataclasses.replace(longer, batch_schedule="auto:8..32"), "digits")
    assert record(tmp_path / "run").doubling["discriminator"].steps == STEPS["discriminator"]
    said = (tmp_path / "run" / "log.txt").read_text()
    assert "changed on resume: --batch-schedule auto:8..16 -> auto:8..32" in said
    assert "batch of D: 0:8,48:16; at a checkpoint" in said
    fixed = dataclasses.replace(longer, duration=140, batch_schedule="0:8,48:32")
    with pytest.raises(UserError, match="128 images have been seen, with batches 0:8,48:16,96:32; begin"):
        train(fixed, "digits")
    train(dataclasses.replace(fixed, batch_schedule="0:8,48:16,96:32,130:8"), "digits")
    assert record(tmp_path / "run").doubling == {}


def test_of_a_fixed_batch_it_begins_where_that_was(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", micro_batch=4, duration=40, step=own_step(tmp_path))
    train(config, "digits")
    auto = dataclasses.replace(
        config, batch_schedule="auto:4..16", duration=112, checkpoint=CheckpointConfig(every=24), micro_batch=2
    )
    with pytest.raises(UserError, match="40 images have been seen, with batches 0:8; begin with that batch"):
        train(auto, "digits")
    train(dataclasses.replace(auto, batch_schedule="auto:8..16"), "digits")
    assert record(tmp_path / "run").doubling["discriminator"].steps == ((72, 16),), "measured from 40 to 48"


def test_a_step_that_tells_no_noise_scale_is_told_of(tmp_path: Path) -> None:
    """G waits for D to warm up: it makes no update."""
    config = tiny_config(
        tmp_path / "run", d_warmup=400, micro_batch=4, duration=48, checkpoint=CheckpointConfig(every=16)
    )
    config = dataclasses.replace(config, generator_batch_schedule="auto:8..16")
    train(config, "digits")
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("told the noise scale of the generator") == 1
    assert "16 images: no update since 0 told" in log
    assert "its batch stays 8" in log
    assert record(tmp_path / "run").doubling["generator"].since == 48


def test_grown_networks_have_the_batch_that_their_run_had(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", batch_schedule="auto:8..16", micro_batch=4, duration=8)
    train(config, "digits")
    path = last_checkpoint(tmp_path / "run") / "state.json"
    stored = read_checkpoint_record(path)
    doubled = DoublingRecord(low=8, high=16, steps=((8, 16),), sums=ABOVE)
    write_checkpoint_record(path, dataclasses.replace(stored, doubling={"discriminator": doubled}))
    grow_file(tmp_path / "run", tmp_path / "grown", Growth(resolution=(32, 32)), is_file=False)
    kept = record(tmp_path / "grown").doubling["discriminator"]
    assert kept == dataclasses.replace(doubled, since=8, sums=(0.0, 0.0, 0.0)), "the noise of other networks"


def test_two_ranks_decide_alike(tmp_path: Path) -> None:
    words = (
        "train digits --batch-schedule auto:8..16 --micro-batch 4 --duration 40 --checkpoint.every 16 --log.every 8 "
        f"--step {own_step(tmp_path)} --log.samples-every 1G --log.judge none --run-dir {tmp_path / 'run'}"
    ).split()
    for done in commands.run_ranks([*words, *commands.SMALL], tmp_path / "ranks", {}):
        assert done.status == 0, done.printed
    assert main([*words[:-1], str(tmp_path / "one"), *commands.SMALL]) == 0
    for run in ("run", "one"):
        assert record(tmp_path / run).doubling["discriminator"].steps == ((32, 16),), run
        assert record(tmp_path / run).images_seen == 48, run


# -- what is stored ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": [[-48, 16]]}, "should be greater than or equal to 0"),
        ({"steps": [[48, 16], [48, 32]]}, "clocks that ascend from 0"),
        ({"steps": [[0, 16]]}, "clocks that ascend from 0"),
        ({"steps": [[48, 8]]}, "that doubles from 8 on is never"),
        ({"steps": [[48, 32]]}, "that doubles from 8 on is never"),
        ({"steps": [[48, 16], [96, 32], [144, 64]]}, "64 is beyond 32"),
        ({"steps": [[number, 8] for number in range(60)]}, "at most 53"),
        ({"low": 0}, "should be greater than or equal to 1"),
        ({"high": 4}, "16 is beyond 4"),
        ({"since": -1}, "should be greater than or equal to 0"),
        ({"sums": [1.0, 2.0]}, "sums"),
        ({"sums": [1.0, 2.0, "x"]}, "sums"),
        ({"other": 1}, "unknown name 'other'"),
    ],
)
def test_a_damaged_record_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    good = CheckpointRecord(
        images_seen=48,
        iterations=6,
        best=(),
        weights="ema",
        configuration={},
        pending=(),
        digests={},
        doubling={"discriminator": DoublingRecord(low=8, high=32, steps=((48, 16),), sums=(0.1, 1e-30, 8.0))},
    )
    path = tmp_path / "state.json"
    write_checkpoint_record(path, good)
    assert read_checkpoint_record(path).doubling == good.doubling, "to the bit"
    written = json.loads(path.read_text())
    written["doubling"]["discriminator"] |= change
    path.write_text(json.dumps(written))
    with pytest.raises(CorruptFileError, match=message):
        read_checkpoint_record(path)


def test_records_without_such_batches_are_as_they_were(tmp_path: Path) -> None:
    plain = CheckpointRecord(
        images_seen=48, iterations=6, best=(), weights="ema", configuration={}, pending=(), digests={}
    )
    write_checkpoint_record(tmp_path / "state.json", plain)
    assert "doubling" not in json.loads((tmp_path / "state.json").read_text())
