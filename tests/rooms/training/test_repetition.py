"""An update that ran out of memory is made again: as if it had been made in smaller micro-batches at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.foundation.compiling import Compiler
from biggan.foundation.errors import UserError
from biggan.losses.adversarial import Hinge
from biggan.training.engine import Engine
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_memory_trials import written
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import AFTER_ADAM, CPU, make_inputs, make_state

# The update NUMBER of the second iteration runs out of memory once it has seen AFTER micro-batches, of which each has
# four images; `smaller` is what should come of it: the same update, and all after it, in micro-batches of two.
PRELUDE = """
import dataclasses
import torch
from biggan.training.step import train_step

class OnStage:
    def __init__(self, loss, engine):
        self.loss, self.engine, self.seen = loss, engine, 0

    def judged(self, judge, *verdicts):
        if self.engine.accumulation(0)["discriminator"] == 2:
            self.seen += 1
            if self.seen == 2 * {number} + {after} + 1:
                {failure}
        return judge(*verdicts)

    def discriminator(self, *verdicts):
        return self.judged(self.loss.discriminator, *verdicts)

    def generator(self, *verdicts):
        return self.judged(self.loss.generator, *verdicts)

def runs_out(state, inputs, objective, engine):
    if state.iterations == 1:
        objective = dataclasses.replace(objective, loss=OnStage(objective.loss, engine))
    return train_step(state, inputs, objective, engine)

def smaller(state, inputs, objective, engine):
    make, made = engine.update, []

    def update(state, name):
        made.append(name)
        if state.iterations > 1 or (state.iterations == 1 and len(made) > {number}):
            engine.accumulation = lambda clock: {{"discriminator": 4, "generator": 4}}
        return make(state, name)

    engine.update = update
    try:
        return train_step(state, inputs, objective, engine)
    finally:
        engine.update = make
"""
RAISED = 'raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")'
RHYTHMS: dict[str, dict[str, Any]] = {
    "forward": {"spectral_norm": "forward", "statistics": "forward"},
    "phase": {"spectral_norm": "phase", "statistics": "phase"},
}
EVERYTHING_WITH_STATE: dict[str, Any] = {
    "terms": ("lecam,start=0", "ada,without=xflip+rotate90,images=1000", "logan"),
    "discriminator_steps": 2,
}


def program(tmp_path: Path, number: int, after: int, failure: str = RAISED) -> Path:
    own = tmp_path / f"own_{number}_{after}.py"
    own.write_text(PRELUDE.format(number=number, after=after, failure=failure))
    return own


@pytest.mark.parametrize(
    ("rhythm", "number"),
    [
        ("phase", 1),
        ("forward", 2),
        *(pytest.param(rhythm, 0, marks=pytest.mark.nightly) for rhythm in RHYTHMS),
        pytest.param("phase", 2, marks=pytest.mark.nightly),
        pytest.param("forward", 1, marks=pytest.mark.nightly),
    ],
)
def test_the_result_is_that_of_smaller_micro_batches_from_that_update_on(
    rhythm: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = RHYTHMS[rhythm] | EVERYTHING_WITH_STATE | {"duration": 64}
    monkeypatch.setattr("biggan.training.setup.fitting", lambda *_: 4)
    own = program(tmp_path, number, after=1)
    run = tiny_config(tmp_path / "run", micro_batch="auto", step=f"{own}:runs_out", **values)
    assert train(run, "digits").images_seen == 64
    told = capsys.readouterr().out
    assert "out of memory: batch statistics over 4 -> 2 images; the global batch stays" in told
    assert "and the update is made again (CUDA out of memory. Tried to allocate 2.00 GiB)" in told
    assert "continuing at" not in told
    assert written(tmp_path / "run") == ("auto", 2)
    train(tiny_config(tmp_path / "other", micro_batch=4, step=f"{own}:smaller", **values), "digits")
    assert_same_tensors(final_state(tmp_path / "run"), final_state(tmp_path / "other"))


@pytest.mark.nightly
def test_what_was_compiled_for_the_larger_size_is_forgotten() -> None:
    a, states = tiny("biggan"), []
    for compiler in (None, Compiler("aot_eager")):
        engine, state = (
            Engine(device=CPU, accumulation={"discriminator": 1}, compiler=compiler),
            make_state(a, torch.float64),
        )
        for seed in range(4):
            if seed == 2:
                engine.divide_anew(lambda _: {"discriminator": 2})
            train_step(state, make_inputs(a, dtype=torch.float64, seed=seed), Objective(loss=Hinge()), engine)
        states.append(state.tensors())
    assert compiler is not None
    assert compiler.graphs == 8, "two kinds of calls of each network, in two sizes"
    for name, plain in states[0].items():
        assert torch.allclose(plain, states[1][name], rtol=1e-9, atol=AFTER_ADAM), name


def test_what_is_noted_is_what_a_restart_goes_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biggan.training.setup.fitting", lambda *_: 4)
    own = program(tmp_path, number=1, after=0)
    run = tiny_config(tmp_path / "run", micro_batch="auto", step=f"{own}:runs_out", duration=32)
    train(run, "digits")
    noted = json.loads((tmp_path / "run" / "config.json").read_text())["used"]
    train(tiny_config(tmp_path / "run", micro_batch="auto", step=f"{own}:runs_out", duration=48), "digits")
    again = json.loads((tmp_path / "run" / "config.json").read_text())["used"]
    assert noted == again
    assert noted["discriminator"] == {"batch": 8, "ranks": 1, "micro_batch": 2, "accumulation": 4}
    assert (noted["found_micro_batch"], noted["images_for_moments"]) == (2, 2)


def test_it_is_halved_until_it_fits_or_there_is_nothing_smaller(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    text = PRELUDE.format(number=0, after=0, failure=RAISED).replace(
        'self.engine.accumulation(0)["discriminator"] == 2', "{}"
    )
    for name, holds in (("fits", 'self.engine.accumulation(0)["discriminator"] < 8'), ("never", "True")):
        own.write_text(text.replace("{}", holds).replace("self.seen == ", "self.seen >= "))
        run = tiny_config(tmp_path / name, micro_batch="auto", step=f"{own}:runs_out", duration=32)
        if name == "fits":
            train(run, "digits")
            assert written(tmp_path / name) == ("auto", 1)
        else:
            with pytest.raises(UserError, match=r"out of memory with 1 image at once .* and fewer divide no batch"):
                train(run, "digits")


def test_who_gives_a_number_gets_the_error(tmp_path: Path) -> None:
    own = program(tmp_path, number=1, after=0)
    run = tiny_config(tmp_path / "run", micro_batch=4, step=f"{own}:runs_out", duration=32)
    with pytest.raises(torch.OutOfMemoryError):
        train(run, "digits")
