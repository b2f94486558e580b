"""The same paths on a GPU: skipped with a reason where there is none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

import biggan
from biggan.losses.adversarial import Hinge
from biggan.training.configuration import CheckpointConfig
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
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
