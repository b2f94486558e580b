"""What every adversarial loss must keep: the update of a batch however it is divided, and of a run that goes on."""

from __future__ import annotations

import pytest
import torch

from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.models.architecture import Architecture
from biggan.training.engine import Engine
from biggan.training.state import TrainState
from biggan.training.step import Objective, StepInputs, train_step
from tests.conftest import assert_same_tensors, tiny
from tests.rooms.losses.test_terms import F64, several
from tests.rooms.training.test_step import CPU, FREE, make_state

LOSSES = list(ADVERSARIAL_LOSSES)


def suited(loss: str) -> Architecture:
    """Return a tiny architecture whose D says what the loss reads."""
    head = getattr(ADVERSARIAL_LOSSES[loss], "head", "projection")
    return tiny("biggan", discriminator_heads=(head,), **FREE)


def go_on(state: TrainState, loss: str, batches: list[StepInputs], parts: int = 1) -> TrainState:
    engine = Engine(device=CPU, accumulation={"discriminator": parts, "generator": parts})
    for inputs in batches:
        train_step(state, inputs, Objective(loss=ADVERSARIAL_LOSSES[loss](), seed=1), engine)
        state.images_seen = inputs.images_seen
        state.iterations += 1
    return state


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_gives_the_same_update_however_it_is_divided(loss: str, parts: int) -> None:
    begun = make_state(suited(loss), F64)
    whole = go_on(make_state(suited(loss), F64), loss, several())
    divided = go_on(make_state(suited(loss), F64), loss, several(), parts)
    for key, value in whole.tensors().items():
        assert torch.allclose(divided.tensors()[key], value, rtol=1e-10, atol=1e-10), key
    for network in ("generator", "discriminator"):
        names = [name for name, _ in getattr(begun, network).named_parameters()]
        now = dict(getattr(whole, network).named_parameters())
        before = dict(getattr(begun, network).named_parameters())
        assert any(not torch.equal(now[name], before[name]) for name in names), f"{network} learns"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_run_that_goes_on_is_the_run(loss: str) -> None:
    whole = go_on(make_state(suited(loss), F64), loss, several())
    half = go_on(make_state(suited(loss), F64), loss, several()[:1])
    fresh = make_state(suited(loss), F64)
    fresh.load_tensors({key: value.clone() for key, value in half.tensors().items()})
    fresh.images_seen, fresh.iterations = half.images_seen, half.iterations
    assert_same_tensors(go_on(fresh, loss, several()[1:]).tensors(), whole.tensors())
