"""When a batch doubles with the gradient noise scale: how that is written, decided, read ahead and stored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.data.order.loader import Batch
from biggan.foundation.batch_schedule import BatchSchedule, DoublingBatch, parse_doubling_batch
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.groups import Share
from biggan.training.batches import iterations
from biggan.training.checkpoint_record import (
    CheckpointRecord,
    DoublingRecord,
    read_checkpoint_record,
    write_checkpoint_record,
)
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.doubling import decide
from biggan.training.draws import RealBatches
from biggan.training.memory_trials import micro_batches
from biggan.training.noise_scale import NoiseScale, exceeds
from biggan.training.resolving import resolve, summary
from biggan.training.setup import train
from tests.conftest import tiny, tiny_config

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


def test_where_ranks_share_moments_g_has_no_noise_scale_to_follow() -> None:
    own = {"batch": 16, "micro_batch": 4, "generator_batch_schedule": "auto:16..32"}
    with pytest.raises(UserError, match=r"auto:16..32: 2 ranks share the moments .* take --norm-group 1, or .* 0:16"):
        resolved(2, **own)
    resolved(2, **own, norm_group=1)
    resolved(2, **own | {"generator_batch_schedule": "0:16", "batch_schedule": "auto:16..32"})


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
