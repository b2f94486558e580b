"""Learning rates as functions of the clock: their shape, where they act, and that a run goes on with them exactly."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.foundation.schedules import Schedule
from biggan.losses.adversarial import Hinge
from biggan.models.export_file import read_export, write_export
from biggan.training.adopting import adopt
from biggan.training.configuration import AdamConfig, TrainingConfig
from biggan.training.engine import Engine
from biggan.training.exportable import read_exportable
from biggan.training.optimizers import make_adam, rate_factors, scale_rates
from biggan.training.resolving import resolve
from biggan.training.run_directory import RunDirectory
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import CPU, make_inputs, make_state

RISING = Schedule(warmup=24)
FALLING = Schedule(warmup=16, decay="cosine", until=64, final=0.25)
SCHEDULED: dict[str, Any] = {
    "generator_adam": AdamConfig(learning_rate=1e-3, schedule=RISING),
    "discriminator_adam": AdamConfig(learning_rate=4e-3, reference_batch=32, schedule=FALLING),
}

# -- the shape ---------------------------------------------------------------------------------------------------------


def test_factors_written_out() -> None:
    assert Schedule().factor(10**9) == 1.0
    assert [RISING.factor(clock) for clock in (0, 6, 24, 10**9)] == [0.0, 0.25, 1.0, 1.0]
    linear = Schedule(decay="linear", until=100, final=0.5)
    assert [linear.factor(clock) for clock in (0, 50, 100, 101)] == [1.0, 0.75, 0.5, 0.5]
    assert [FALLING.factor(clock) for clock in (8, 16, 64, 65)] == [0.5, 1.0, 0.25, 0.25]
    assert FALLING.factor(40) == pytest.approx(0.625, rel=1e-15)
    assert FALLING.factor(28) == pytest.approx(0.25 + 0.75 * (1 + math.cos(math.pi / 4)) / 2, rel=1e-15)


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(["linear", "cosine"]),
    st.floats(0, 0.99),
    st.lists(st.integers(0, 3 * 10**6), min_size=2, max_size=10),
)
def test_it_rises_then_falls_and_never_jumps(warmup: int, more: int, decay: Any, final: float, at: list[int]) -> None:
    schedule = Schedule(warmup=warmup, decay=decay, until=warmup + more, final=final)
    clocks = sorted({*at, 0, warmup, warmup + more})
    for a, b in itertools.pairwise(clocks):
        one, other = schedule.factor(a), schedule.factor(b)
        assert 0 <= one <= 1
        assert (one <= other) if b <= warmup else (other <= one)
        slope = 1 / warmup if b <= warmup else math.pi / 2 / more
        assert abs(other - one) <= slope * (b - a) * (1 + 1e-9) + 1e-12
    assert schedule.factor(warmup) == 1.0
    assert schedule.factor(warmup + more) == final


# -- where it acts -----------------------------------------------------------------------------------------------------


def test_an_update_has_the_rate_of_the_clock_before_it() -> None:
    """Against a run by hand, to the bit: every group at its own rate, by the clock at which the iteration began."""
    a = tiny()
    states = [make_state(a), make_state(a)]
    for state in states:  # one layer learns three times as fast
        state.optimizers["generator"] = make_adam(
            state.generator, AdamConfig(learning_rate=1e-3), {"linear.weight", "linear.bias"}, 3.0
        )
    rates = rate_factors(tiny_config(batch=6, **SCHEDULED))
    engines = [Engine(device=CPU, rates=rates), Engine(device=CPU)]
    for number in range(6):
        clock = 12 * number
        for state, engine in zip(states, engines, strict=True):
            state.images_seen = clock
            if not engine.rates:
                g, d = state.optimizers["generator"].param_groups, state.optimizers["discriminator"].param_groups
                g[0]["lr"], g[1]["lr"] = 1e-3 * RISING.factor(clock), 3 * 1e-3 * RISING.factor(clock)
                d[0]["lr"] = 4e-3 * (math.sqrt(6 / 32) * FALLING.factor(clock))
            train_step(state, make_inputs(a, steps=2, seed=number), Objective(loss=Hinge()), engine)
        if clock == 0:
            fresh = dict(make_state(a).generator.named_parameters())
            assert all(torch.equal(fresh[name], p) for name, p in states[0].generator.named_parameters())
    assert_same_tensors(states[0].tensors(), states[1].tensors())


def test_without_a_schedule_nothing_is_touched() -> None:
    assert rate_factors(tiny_config()) == {}
    state, engine = make_state(tiny()), Engine(device=CPU)
    before = [[*group] for group in state.optimizers["generator"].param_groups]
    train_step(state, make_inputs(tiny()), Objective(loss=Hinge()), engine)
    assert [[*group] for group in state.optimizers["generator"].param_groups] == before
    assert engine.learning_rates == {}


def test_a_rate_is_a_plain_number_and_follows_from_the_first_one() -> None:
    optimizer = make_adam(torch.nn.Linear(2, 2), AdamConfig(learning_rate=0.5))
    assert [scale_rates(optimizer, factor) for factor in (0.5, 0.0, 1.0)] == [0.25, 0.0, 0.5]
    assert type(optimizer.param_groups[0]["lr"]) is float


def test_rates_of_both_batches() -> None:
    adam = AdamConfig(learning_rate=1e-3, reference_batch=64)
    config = tiny_config(batch=16, generator_batch=256, generator_adam=adam, discriminator_adam=adam)
    rates = rate_factors(config)
    assert (rates["generator"](0), rates["discriminator"](0)) == (2.0, 0.5)


# -- runs --------------------------------------------------------------------------------------------------------------


def logged(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def every_step(run: Path, **values: Any) -> TrainingConfig:
    config = tiny_config(run, **values)
    return dataclasses.replace(config, log=dataclasses.replace(config.log, every=8))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of ten iterations that was never stopped."""
    run = tmp_path_factory.mktemp("schedules") / "whole"
    train(every_step(run, duration=80, **SCHEDULED), "digits")
    return run


def test_stopped_on_any_side_of_a_change_it_goes_on_exactly(whole: Path, tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    for duration in (8, 24, 72, 80):
        train(every_step(parts, duration=duration, **SCHEDULED), "digits")
    assert_same_tensors(final_state(whole), final_state(parts))
    for run in (whole, parts):
        for line in logged(run):
            began = int(line["images_seen"]) - 8
            assert line["G_learning_rate"] == 1e-3 * RISING.factor(began)
            assert line["D_learning_rate"] == 4e-3 * (0.5 * FALLING.factor(began))


def test_the_end_is_the_duration_that_the_run_was_begun_with(tmp_path: Path) -> None:
    """A longer duration later changes no rate; where none is left it must be said what shall be."""
    run = tmp_path / "run"
    adam = AdamConfig(learning_rate=1e-3, schedule=Schedule(decay="linear"))
    train(every_step(run, duration=32, generator_adam=adam), "digits")
    stored = RunDirectory(run).stored_run()
    assert stored is not None
    assert stored.config.generator_adam.schedule.until == 32
    longer = dataclasses.replace(stored.config, duration=48)
    with pytest.raises(UserError, match=r"from 32 images on --generator-adam.schedule has rate 0.*schedule.until 48"):
        train(longer, "digits")
    words = ["train", "digits", "--run-dir", str(run), "--duration", "48", "--log.every", "8"]
    assert main([*words, "--generator-adam.schedule.until", "64"]) == 0
    assert "changed on resume: --generator-adam.schedule.until 32 -> 64" in (run / "log.txt").read_text()
    assert [line["G_learning_rate"] for line in logged(run)] == [
        1e-3 * factor for factor in (1.0, 0.75, 0.5, 0.25, 0.5, 0.375)
    ]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"final": 0.5}, r"--generator-adam.schedule.final 0.5: nothing decays; add .*decay linear or cosine"),
        ({"until": 80}, r"--generator-adam.schedule.until 80: nothing decays"),
        ({"decay": "linear", "final": 1.0}, r"schedule.final 1.0: the share that is left"),
        ({"decay": "linear", "warmup": 160}, r"schedule.warmup 160: the linear decay has ended at 160 images"),
        ({"decay": "cosine", "warmup": 80, "until": 40}, r"schedule.warmup 80: the cosine decay has ended at 40"),
        ({"warmup": -1}, r"schedule.warmup -1: must be a number of images"),
    ],
)
def test_what_cannot_take_effect_is_an_error(schedule: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny_config(generator_adam=AdamConfig(schedule=Schedule(**schedule)))


def test_a_rise_that_ends_before_g_learns_is_an_error() -> None:
    adam = AdamConfig(schedule=Schedule(warmup=15))
    config = tiny_config(duration=1000, d_warmup=100, generator_adam=adam)
    with pytest.raises(UserError, match=r"schedule.warmup 15: G learns only when D has warmed up .*after 15 images"):
        resolve(config, None, 1)
    resolve(dataclasses.replace(config, d_warmup=99), None, 1)


# -- in the formats of others ------------------------------------------------------------------------------------------


def test_an_export_says_how_the_rate_goes_on_and_a_run_made_of_it_does(whole: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    train(every_step(half, duration=40, **SCHEDULED), "digits")
    export, _ = read_exportable(half)
    write_export(tmp_path / "half.safetensors", export)
    again = read_export(tmp_path / "half.safetensors")
    assert again.info == export.info
    continuation = again.info.continuation
    assert continuation is not None
    assert continuation.discriminator_adam is not None
    assert (continuation.discriminator_adam.learning_rate, continuation.discriminator_adam.batch) == (4e-3, 8)
    assert continuation.discriminator_adam.rate(40) == 4e-3 * (0.5 * FALLING.factor(40))
    config = adopt(again, tmp_path / "adopted", every_step(tmp_path / "adopted"), "digits")
    assert config.discriminator_adam == SCHEDULED["discriminator_adam"]
    train(dataclasses.replace(config, duration=80), "digits")
    assert_same_tensors(final_state(whole), final_state(tmp_path / "adopted"))
