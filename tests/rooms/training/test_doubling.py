"""Runs whose batches double with the gradient noise scale: decided at one checkpoint, in force from the next one on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.foundation.errors import UserError
from biggan.training.checkpoint import read_checkpoint
from biggan.training.checkpoint_record import (
    CheckpointRecord,
    DoublingRecord,
    read_checkpoint_record,
    write_checkpoint_record,
)
from biggan.training.configuration import AdamConfig, CheckpointConfig, MovingAverageConfig
from biggan.training.exportable import read_exportable
from biggan.training.growing import Growth, grow_file
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import MakeFolder, final_state, last_checkpoint

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
    losses = train_step(state, inputs, Objective(loss=loss, judge=objective.judge), engine)
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
    doubled = DoublingRecord(low=8, high=16, steps=((8, 16),), sums=(9.0, 0.1, 8.0))
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
