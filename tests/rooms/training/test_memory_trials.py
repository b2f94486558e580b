"""``--micro-batch auto``: found by trying, kept, and halved where memory runs out all the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.training import memory_trials
from biggan.training.batches import plan
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.halving import RanOutError, take_half
from biggan.training.memory_trials import (
    MOST_TRIALS,
    fitting,
    micro_batches,
    noted,
    try_out,
)
from biggan.training.own_step import OwnStep
from biggan.training.planning import plan_memory
from biggan.training.resolving import resolve
from biggan.training.run_directory import RunDirectory
from biggan.training.setup import train
from biggan.training.step import train_step
from tests.conftest import FAMILIES, HANGS, assert_same_tensors, tiny, tiny_config
from tests.rooms.training import commands, elastic
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import CPU

OWN = OwnStep(train_step, None)


def auto(**values: Any) -> TrainingConfig:
    return resolve(TrainingConfig(**{"model": tiny("biggan"), "micro_batch": "auto", **values}), None, 1)


@given(st.integers(1, 400), st.integers(1, 8))
def test_what_is_tried_divides_the_batch(share: int, ranks: int) -> None:
    sizes = micro_batches(auto(batch=share * ranks), ranks)
    assert sizes == [size for size in range(1, share + 1) if share % size == 0]


def test_all_scheduled_batches_are_divided() -> None:
    config = auto(batch_schedule="0:24,1k:36", generator_batch=60)
    assert micro_batches(config, 1) == [1, 2, 3, 4, 6, 12]
    assert micro_batches(config, 2) == [1, 2, 3, 6]
    with pytest.raises(UserError, match="cannot be cut into equal micro-batches over 5 ranks"):
        micro_batches(config, 5)


@pytest.mark.parametrize("fits", [1, 2, 6, 7, 48, 2048])
def test_the_largest_that_fits_is_found_in_few_trials(fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def there(_: TrainingConfig, size: int, *__: Any) -> bool:
        tried.append(size)
        return size <= fits

    monkeypatch.setattr(memory_trials, "fits_by_arithmetic", there)
    config = auto(batch=2016)
    expected = max(size for size in micro_batches(config, 1) if size <= fits)
    assert fitting(config, OWN, 1, CPU) == expected
    assert len(tried) <= MOST_TRIALS


def test_on_a_cpu_memory_is_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    config = auto(batch=24)

    def needed(size: int) -> float:
        trial = dataclasses.replace(config, batch=2 * size, micro_batch=size)
        return 1.25 * plan_memory(trial, plan(trial, 1)).total / 0.9

    monkeypatch.setattr(memory_trials, "free_memory", lambda: int(needed(6)) + 1)
    assert fitting(config, OWN, 1, CPU) == 6
    monkeypatch.setattr(memory_trials, "free_memory", lambda: 1000)
    with pytest.raises(UserError, match="not even 1 image at once fit; take narrower networks"):
        fitting(config, OWN, 1, CPU)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trial_trains_networks_of_its_own(family: str) -> None:
    seen: list[int] = []

    def step(state: Any, inputs: Any, objective: Any, engine: Any) -> Any:
        seen.append(len(inputs.generator.latents))
        return train_step(state, inputs, objective, engine)

    config = memory_trials._of_size(auto(model=tiny(family), batch=8, discriminator_steps=2), 4)
    try_out(config, OwnStep(step, None), CPU)
    assert seen == [8, 8], "two iterations of two micro-batches"


RUNS_OUT = """
import torch
from biggan.training.step import train_step
def step(state, inputs, objective, engine):
    parts = engine.accumulation(state.images_seen)["discriminator"]
    if state.images_seen >= 24 and parts == 1:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return train_step(state, inputs, objective, engine)
"""


def test_outside_of_an_update_it_goes_on_from_the_checkpoint_with_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.py"
    own.write_text(RUNS_OUT)
    values: dict[str, Any] = {"batch": 8, "checkpoint": CheckpointConfig(every=16), "step": f"{own}:step"}
    run = tiny_config(tmp_path / "run", duration=48, micro_batch="auto", **values)
    assert train(run, "digits").images_seen == 48
    told = capsys.readouterr().out
    assert "out of memory: batch statistics over 8 -> 4 images" in told
    assert "training goes on from the last checkpoint" in told
    assert written(tmp_path / "run") == ("auto", 4)
    train(tiny_config(tmp_path / "other", duration=16, micro_batch=8, **values), "digits")
    train(tiny_config(tmp_path / "other", duration=48, micro_batch=4, **values), "digits")
    assert_same_tensors(final_state(tmp_path / "run"), final_state(tmp_path / "other"))
    train(dataclasses.replace(run, duration=56), "digits")  # which was found once, and is kept
    assert written(tmp_path / "run") == ("auto", 4)
    train(dataclasses.replace(run, duration=64, micro_batch=2), "digits")
    assert written(tmp_path / "run") == (2, None)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(torch.OutOfMemoryError):  # who gives a number gets that or an error
        train(dataclasses.replace(run, micro_batch=8), "digits")


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the agent's processes are looked up in /proc")
def test_on_several_ranks_the_size_is_noted_and_the_job_goes_on_with_it(tmp_path: Path) -> None:
    """One of two ranks runs out, the other waits for it; the agent of torchrun starts both again."""
    own, log = tmp_path / "own.py", tmp_path / "log.txt"
    text = "import os\n" + RUNS_OUT.replace("parts == 1", "parts == 1 and os.environ['RANK'] == RANK")

    def words(run: str, *more: str) -> list[str]:
        options = "--batch 8 --norm-group 1 --checkpoint.every 16 --log.judge none --log.samples-every 1G --seed 5"
        step = ["--step", f"{own}:step", "--run-dir", str(tmp_path / run)]
        return ["train", "digits", *commands.SMALL, *options.split(), *step, *more]

    own.write_text(f"RANK = '1'\n{text}")
    with elastic.job(words("run", "--micro-batch", "auto", "--duration", "48"), log, 2, restarts=1) as agent:
        agent.join(HANGS)
        assert agent.exitcode == 0, log.read_text()
    told = log.read_text()
    assert "out of memory: batch statistics over 4 -> 2 images" in told
    assert "continuing at 16 images" in told
    assert written(tmp_path / "run") == ("auto", 2)
    own.write_text(f"RANK = 'none'\n{text}")
    for more in (("--micro-batch", "4", "--duration", "16"), ("--micro-batch", "2", "--duration", "48")):
        done = commands.run_ranks(words("other", *more), tmp_path / "logs", {})
        assert [one.status for one in done] == [0, 0], done[0].printed
    assert_same_tensors(final_state(tmp_path / "run"), final_state(tmp_path / "other"))


def written(run: Path) -> tuple[int | str, int | None]:
    """Return the micro-batch that was asked for, and the one that was found."""
    stored = json.loads((run / "config.json").read_text())
    return stored["config"]["micro_batch"], stored["used"]["found_micro_batch"]


def test_what_was_found_is_kept_for_such_networks_alone(tmp_path: Path) -> None:
    run = tiny_config(tmp_path / "run", duration=16, micro_batch="auto", batch=8)
    train(run, "digits")
    stored = RunDirectory(tmp_path / "run").started()
    assert stored is not None
    assert noted(stored, stored.config, 1) == 8
    assert noted(stored, stored.config, 2) is None, "two ranks have four each"
    assert noted(stored, dataclasses.replace(stored.config, batch=12), 1) is None
    assert noted(stored, dataclasses.replace(stored.config, precision="bfloat16"), 1) is None
    assert noted(stored, dataclasses.replace(stored.config, model=tiny("sagan")), 1) is None
    train(tiny_config(tmp_path / "given", duration=16, micro_batch=4, batch=8), "digits")
    given = RunDirectory(tmp_path / "given").started()
    assert given is not None
    assert noted(given, dataclasses.replace(given.config, micro_batch="auto"), 1) is None, "a number that was given"


def test_of_ranks_that_run_out_together_one_halves(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=16, micro_batch="auto", batch=8), "digits")
    directory = RunDirectory(tmp_path / "run")
    for _ in range(3):
        assert take_half(directory, RanOutError(8, "out of memory"), 1, "on it goes") == 4
    assert written(tmp_path / "run") == ("auto", 4)
    assert take_half(directory, RanOutError(4, "out of memory"), 1, "on it goes") == 2
    assert written(tmp_path / "run") == ("auto", 2)


def test_halving_helps_nothing_where_g_sees_all(tmp_path: Path) -> None:
    values: dict[str, Any] = {"statistics": "exact", "spectral_norm": "phase"}
    train(tiny_config(tmp_path / "run", duration=16, micro_batch="auto", batch=8, **values), "digits")
    with pytest.raises(UserError, match="which no micro-batch makes smaller; choose more ranks"):
        take_half(RunDirectory(tmp_path / "run"), RanOutError(8, "out of memory"), 1, "on it goes")


def test_where_nothing_smaller_divides_it_is_an_error(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(RUNS_OUT.replace("and parts == 1", ""))
    run = tiny_config(tmp_path / "run", duration=48, micro_batch="auto", batch=4, step=f"{own}:step")
    with pytest.raises(UserError, match=r"out of memory with 1 image at once .* and fewer divide no batch"):
        train(run, "digits")


def test_a_dry_run_says_that_it_will_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--micro-batch", "auto", "--dry-run"]) == 0
    assert "micro-batch: the largest that fits, to be found when training starts" in capsys.readouterr().out
