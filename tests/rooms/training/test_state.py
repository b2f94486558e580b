"""Numbers that are not finite, the moving average, and the state as tensors."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from biggan.layers.spectral_norm import spectrally_normalized
from biggan.losses.adversarial import Hinge
from biggan.models.contract import build
from biggan.training.configuration import MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from biggan.training.step import (
    Objective,
    train_step,
)
from tests.conftest import FAMILIES, tiny
from tests.rooms.training.test_step import CPU, make_inputs, make_state

# -- numbers that are not finite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_a_bad_gradient_skips_the_update_and_is_named(network: str) -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=CPU)
    objective = Objective(loss=Hinge())
    train_step(state, make_inputs(a), objective, engine)
    engine.guard.check()
    before = copy.deepcopy({k: v.clone() for k, v in state.tensors().items()})
    state.iterations = 1
    name, parameter = list(state.networks[network].named_parameters())[3]
    handle = parameter.requires_grad_().register_hook(lambda grad: grad * float("nan"))
    train_step(state, make_inputs(a, seed=1), objective, engine)
    handle.remove()
    for key, value in state.tensors().items():
        if key.startswith(f"{network}/") and key.split("/")[1] in dict(state.networks[network].named_parameters()):
            assert torch.equal(value, before[key]), f"{key} moved"
        if key.startswith(f"optimizer/{network}/"):
            assert torch.equal(value, before[key]), f"{key} moved"
    train_step(state, make_inputs(a, seed=2), objective, engine)  # later updates are skipped as well
    after = state.tensors()
    assert torch.equal(after[f"{network}/{name}"], before[f"{network}/{name}"])
    with pytest.raises(NonFiniteError, match=rf"step 2: the gradient of {network}.{name} is not finite"):
        engine.guard.check()


def test_a_bad_loss_is_named() -> None:
    class Broken(Hinge):
        def generator(self, fake: Tensor) -> Tensor:
            return super().generator(fake) + float("inf")

    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=CPU)
    train_step(state, make_inputs(a), Objective(loss=Broken()), engine)
    with pytest.raises(NonFiniteError, match="step 1: the generator's loss is not finite"):
        engine.guard.check()


# -- the moving average ------------------------------------------------------------------------------------------------


def test_what_is_averaged_and_what_is_copied() -> None:
    a = tiny("biggan")
    state = make_state(a, decay=0.5)
    assert state.average.network is not None
    old = {k: v.clone() for k, v in state.average.network.state_dict().items()}
    train_step(state, make_inputs(a), Objective(loss=Hinge()), Engine(device=CPU))
    new = state.generator.state_dict()
    for name, value in state.average.network.state_dict().items():
        leaf = name.rpartition(".")[2]
        expected = new[name] if leaf in ("u", "sigma") else (old[name] + new[name]) / 2
        assert torch.allclose(value, expected, atol=1e-7), name
    for layer in spectrally_normalized(state.average.network).values():
        assert torch.allclose(layer.u.norm(dim=1), torch.ones(len(layer.u)), atol=1e-5), "unit vectors stay so"


def test_all_buffers_on_request() -> None:
    a = tiny("biggan")
    G = build(a).generator
    average = MovingAverage(MovingAverageConfig(decay=0.5), G, all_buffers=True)
    assert average.network is not None
    before = average.network.linear.u.clone()
    with torch.no_grad():
        G.linear.u.neg_()
    average.update(G, images_seen=1, images_per_step=1)
    assert torch.allclose(average.network.linear.u, torch.zeros_like(before), atol=1e-7)


def test_decay_start_half_life_ramp() -> None:
    G = build(tiny("biggan")).generator

    def decay(seen: int, step: int = 10, **values: object) -> float:
        return MovingAverage(MovingAverageConfig(**values), G).decay(seen, step)  # type: ignore[arg-type]

    assert decay(100, decay=0.99) == 0.99
    assert decay(99, decay=0.99, start=100) == 0.0
    assert decay(100, decay=0.99, start=100) == 0.99
    assert abs(decay(10**6, half_life=1000) ** 100 - 0.5) < 1e-9
    assert abs(decay(10**6, step=20, half_life=1000) ** 50 - 0.5) < 1e-9, "the batch does not matter"
    assert decay(10**9, half_life=1000, ramp_up=0.05) == decay(10**9, half_life=1000)
    assert decay(1000, half_life=1000, ramp_up=0.05) < decay(1000, half_life=1000)
    assert decay(0, half_life=1000, ramp_up=0.05) == 0.0


def test_without_an_average() -> None:
    a = tiny("biggan")
    state = make_state(a, enabled=False)
    train_step(state, make_inputs(a), Objective(loss=Hinge()), Engine(device=CPU))
    assert state.average.network is None
    assert not any(name.startswith("ema/") for name in state.tensors())


# -- the state ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_state_travels_as_tensors(family: str) -> None:
    a = tiny(family)
    one = make_state(a)
    train_step(one, make_inputs(a), Objective(loss=Hinge()), Engine(device=CPU))
    other = make_state(a)
    other.load_tensors({name: value.clone() for name, value in one.tensors().items()})
    for state in (one, other):
        train_step(state, make_inputs(a, seed=5), Objective(loss=Hinge()), Engine(device=CPU))
    assert all(torch.equal(value, other.tensors()[name]) for name, value in one.tensors().items())
    assert not any("module." in name or "_orig_mod" in name for name in one.tensors())
    broken = dict(one.tensors())
    broken.pop("generator/output_conv.weight")
    with pytest.raises(ValueError, match=r"missing, first: generator/output_conv[.]weight"):
        make_state(a).load_tensors(broken)
    with pytest.raises(ValueError, match="belong to nothing here"):
        make_state(a).load_tensors({**one.tensors(), "generator/extra": torch.zeros(1)})
