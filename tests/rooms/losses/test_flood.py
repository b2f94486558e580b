"""A loss that is not to fall below a level."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from biggan.foundation.courses import constant
from biggan.losses.adversarial import Hinge
from biggan.losses.orthogonal import DiscriminatorOrthogonal, Orthogonal, orthogonal_gradient
from biggan.losses.terms import Term, parse_terms
from biggan.training.engine import Engine
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny
from tests.rooms.losses.test_terms import F64, several
from tests.rooms.training.test_step import CPU, FREE, make_state

NETWORKS = {"d": "discriminator", "g": "generator"}


def gradients(letter: str, terms: dict[str, Term], parts: int = 1) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the gradients of one update, and the weights that they were taken at; D does not move before G."""
    state = make_state(tiny("biggan", **FREE), F64)
    state.optimizers["discriminator"].param_groups[0]["lr"] = 0.0
    before = {key: value.detach().clone() for key, value in state.networks[NETWORKS[letter]].named_parameters()}
    engine = Engine(device=CPU, accumulation={"discriminator": parts}, terms=terms)
    train_step(state, several(count=1)[0], Objective(loss=Hinge()), engine)
    network = state.networks[NETWORKS[letter]]
    return {key: p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}, before


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("letter", NETWORKS)
def test_below_the_level_the_gradient_points_the_other_way(letter: str, parts: int) -> None:
    plain, _ = gradients(letter, {})
    below, _ = gradients(letter, parse_terms([f"{letter}-flood,weight=9"]), parts)
    for key, gradient in plain.items():
        assert torch.allclose(below[key], -gradient, rtol=1e-9, atol=1e-12), key


def test_above_the_level_nothing_happens() -> None:
    plain, above = gradients("d", {})[0], gradients("d", parse_terms(["d-flood,weight=0.2"]))[0]
    assert_same_tensors(above, plain)


@pytest.mark.parametrize("flood_first", [True, False])
@pytest.mark.parametrize("letter", NETWORKS)
def test_what_regularises_weights_is_never_turned(letter: str, *, flood_first: bool) -> None:
    """It is no part of the loss that is looked at; turned, it would make filters alike."""
    regularizer = (DiscriminatorOrthogonal if letter == "d" else Orthogonal)(weight=constant(0.1))
    terms: dict[str, Term] = {"orthogonal": regularizer}
    flood = parse_terms([f"{letter}-flood,weight=9"])
    found, before = gradients(letter, flood | terms if flood_first else terms | flood)
    plain, _ = gradients(letter, {})
    for key, gradient in plain.items():
        W = before[key]
        regularised = W.ndim >= 2 and key not in regularizer.excluded
        expected = (0.1 * orthogonal_gradient(W) if regularised else 0.0) - gradient
        assert torch.allclose(found[key], expected, rtol=1e-9, atol=1e-12), key
