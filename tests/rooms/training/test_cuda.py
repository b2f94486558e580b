"""The same paths on a GPU: skipped with a reason where there is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import pytest
import torch

import biggan
from biggan.foundation.compiling import Compiler
from biggan.losses.adversarial import Hinge
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from biggan.training.memory_trials import fits_on_gpu
from biggan.training.own_step import OwnStep
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.step import Objective, StepInputs, train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import make_inputs, make_state

pytestmark = pytest.mark.cuda


@pytest.mark.parametrize("family", FAMILIES)
def test_train_resume_sample(family: str, tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path / "run", family, device="cuda", duration=80, checkpoint=CheckpointConfig(every=40, keep_last=9)
    )
    train(config, "digits")
    train(dataclasses.replace(config, duration=160), "digits")
    state = final_state(tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in state.values())
    images = [biggan.load(tmp_path / "run", device).sample(seeds=range(4), classes=[1]) for device in ("cuda", "cpu")]
    assert int((images[0].int() - images[1].int()).abs().max()) <= 2, "seeds mean the same on every device"


@pytest.mark.parametrize("narrow", [None, torch.bfloat16])
def test_a_step_agrees_with_the_cpu(narrow: torch.dtype | None) -> None:
    a = tiny("biggan", generator_attention=("8",))
    here, there = make_state(a), make_state(a)
    for network in there.networks.values():
        network.cuda()
    assert there.average.network is not None
    there.average.network.cuda()
    inputs = make_inputs(a)
    moved = dataclasses.replace(
        inputs,
        discriminator=tuple(type(b)(*(t.cuda() for t in b)) for b in inputs.discriminator),
        generator=type(inputs.generator)(*(t.cuda() for t in inputs.generator)),
    )
    losses = train_step(here, inputs, Objective(loss=Hinge()), Engine(device=torch.device("cpu")))
    device = torch.device("cuda")
    others = train_step(there, moved, Objective(loss=Hinge()), Engine(device=device, narrow=narrow))
    tolerance = 1e-3 if narrow is None else 0.2
    for name, value in losses.items():
        assert torch.allclose(value, others[name].cpu(), rtol=tolerance, atol=tolerance), name


def test_a_bad_gradient_is_skipped_without_a_sync_and_found_at_the_tick() -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=torch.device("cuda"))
    for network in state.networks.values():
        network.cuda()
    assert state.average.network is not None
    state.average.network.cuda()
    inputs = make_inputs(a)
    moved = dataclasses.replace(
        inputs,
        discriminator=tuple(type(b)(*(t.cuda() for t in b)) for b in inputs.discriminator),
        generator=type(inputs.generator)(*(t.cuda() for t in inputs.generator)),
    )
    parameter = state.generator.linear.weight
    parameter.requires_grad_().register_hook(lambda grad: grad * float("inf"))
    before = parameter.detach().clone()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(state, moved, Objective(loss=Hinge()), engine)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_same_tensors({"w": parameter.detach()}, {"w": before})
    with pytest.raises(NonFiniteError, match=r"generator.linear.weight"):
        engine.guard.check()


@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("rhythm", ["phase", "forward"])
def test_compiled_networks_train_as_plain_ones(rhythm: Literal["phase", "forward"], cuda_graphs: bool) -> None:
    a, device, states, said = tiny("biggan"), torch.device("cuda"), [], []
    for compiler in (None, Compiler(cuda_graphs=cuda_graphs, tell=said.append)):
        state = make_state(a)
        for network in (*state.networks.values(), state.average.network):
            assert network is not None
            network.cuda()
        engine = Engine(device=device, spectral_norm=rhythm, statistics=rhythm, compiler=compiler)
        for seed in range(3):
            inputs = make_inputs(a, seed=seed)
            train_step(state, inputs_on(inputs, device), Objective(loss=Hinge()), engine)
        states.append(state.tensors())
    assert not said, "it did compile"
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-2, atol=1e-3), name


def inputs_on(inputs: StepInputs, device: torch.device) -> StepInputs:
    return dataclasses.replace(
        inputs,
        discriminator=tuple(type(b)(*(t.to(device, non_blocking=False) for t in b)) for b in inputs.discriminator),
        generator=type(inputs.generator)(*(t.to(device) for t in inputs.generator)),
    )


def test_float16_and_a_micro_batch_that_is_found(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", device="cuda", batch=8, micro_batch="auto", precision="float16", duration=32)
    train(config, "digits")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["micro_batch"] == 8
    assert final_state(tmp_path / "run")["scale/generator"][0] >= 1


def test_a_micro_batch_that_is_too_large_does_not_fit() -> None:
    config = resolve(TrainingConfig(model=tiny("biggan", resolution=(256, 256)), micro_batch="auto"), None, 1)
    device = torch.device("cuda")
    assert fits_on_gpu(config, 1, OwnStep(train_step, None), device)
    assert not fits_on_gpu(config, 2**12, OwnStep(train_step, None), device)
