"""float16: small gradients are lifted, what overflows is skipped, and the scale is part of the state."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.cli.main import main
from biggan.losses.adversarial import Hinge
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from biggan.training.loss_scale import FIRST, LEAST, PATIENCE, move, new_scale
from biggan.training.run_directory import RunDirectory
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import CPU, make_inputs, make_state

YES, NO = torch.tensor(True), torch.tensor(False)


def test_it_halves_at_once_and_doubles_with_patience() -> None:
    scale = new_scale(CPU)
    assert move(scale, NO)
    assert scale.tolist() == [FIRST / 2, 0, 1]
    for _ in range(PATIENCE - 1):
        move(scale, YES)
    assert scale.tolist() == [FIRST / 2, PATIENCE - 1, 1]
    move(scale, YES)
    assert scale.tolist() == [FIRST, 0, 1]
    while scale[0] >= LEAST:
        assert move(scale, NO)
    assert not move(scale, NO), "it is not the scale"


@pytest.mark.parametrize("rhythm", ["phase", "forward"])
@pytest.mark.parametrize("factor", [1.0, 2.0**9])
def test_a_scale_of_two_to_some_power_changes_no_bit(factor: float, rhythm: Any) -> None:
    """In float32, where nothing overflows: multiplying by a power of two and dividing again is exact."""
    a, states = tiny("biggan"), []
    for scaled in (False, True):
        state = make_state(a)
        if scaled:
            state.scales = {name: torch.tensor([factor, 0.0, 0.0]) for name in state.networks}
        engine = Engine(device=CPU, accumulation={"discriminator": 2}, spectral_norm=rhythm)
        for seed in range(2):
            train_step(state, make_inputs(a, seed=seed), Objective(loss=Hinge()), engine)
        engine.guard.check()
        noise = {name: one.take() for name, one in engine.noise_scales.items()}
        states.append({k: v for k, v in state.tensors().items() if not k.startswith("scale/")} | noise)
    assert_same_tensors(*states)


def test_what_overflows_is_skipped_and_goes_on() -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=CPU)
    state.scales = {name: torch.tensor([3e38, 0.0, 0.0]) for name in state.networks}
    before = {name: tensor.clone() for name, tensor in state.discriminator.named_parameters()}
    train_step(state, make_inputs(a), Objective(loss=Hinge()), engine)
    engine.guard.check()
    assert all(torch.equal(tensor, before[name]) for name, tensor in state.discriminator.named_parameters())
    assert state.scales["discriminator"].tolist()[1:] == [0, 1]
    for seed in range(40):
        train_step(state, make_inputs(a, seed=seed), Objective(loss=Hinge()), engine)
    engine.guard.check()
    assert state.scales["discriminator"][1] > 0
    assert any(not torch.equal(tensor, before[name]) for name, tensor in state.discriminator.named_parameters())
    assert all(torch.isfinite(tensor).all() for tensor in state.tensors().values())
    noise = engine.noise_scales.get("discriminator")
    assert noise is None or torch.isfinite(noise.sums).all()


def test_what_no_scale_helps_is_an_error() -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=CPU)
    state.scales = {name: torch.tensor([LEAST, 0.0, 0.0]) for name in state.networks}
    with torch.no_grad():
        next(state.discriminator.parameters()).fill_(torch.nan)
    train_step(state, make_inputs(a), Objective(loss=Hinge()), engine)
    engine.guard.check()
    train_step(state, make_inputs(a), Objective(loss=Hinge()), engine)
    with pytest.raises(NonFiniteError):
        engine.guard.check()


def test_float16_trains_and_resumes_bitwise_and_may_be_left(tmp_path: Path) -> None:
    values: dict[str, Any] = {"precision": "float16", "batch": 8}
    train(tiny_config(tmp_path / "whole", duration=32, **values), "digits")
    half = tiny_config(tmp_path / "half", duration=16, **values)
    train(half, "digits")
    train(dataclasses.replace(half, duration=32), "digits")
    whole = final_state(tmp_path / "whole")
    assert_same_tensors(whole, final_state(tmp_path / "half"))
    assert whole["scale/generator"][0] <= FIRST
    assert (tmp_path / "whole" / "stats.jsonl").read_text().count("discriminator_skipped_updates")
    train(dataclasses.replace(half, duration=40, precision="float32"), "digits")
    assert not any(name.startswith("scale/") for name in final_state(tmp_path / "half"))
    train(dataclasses.replace(half, duration=48), "digits")
    assert final_state(tmp_path / "half")["scale/generator"][2] <= 3
    assert main(["grow", str(tmp_path / "half"), str(tmp_path / "grown"), "--resolution", "32"]) == 0
    stored = RunDirectory(tmp_path / "grown").stored_run()
    assert stored is not None
    train(dataclasses.replace(stored.config, duration=56), stored.preset)
    assert final_state(tmp_path / "grown")["scale/generator"][2] <= 1, "a scale begins anew with the network"
