"""Spectral norm by phase: one division an update, and the gradient of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.held_weights import held_weights
from biggan.layers.spectral_norm import SpectralClassTable, keep_right_vectors, spectrally_normalized
from biggan.losses.adversarial import Hinge
from biggan.models.architecture import SpectralNorm
from biggan.models.contract import build
from biggan.training.engine import Engine
from biggan.training.step import Objective, train_step
from tests.conftest import FAMILIES, tiny
from tests.rooms.training.test_step import AFTER_ADAM, CPU, make_inputs, make_state

F64 = torch.float64


def images_and_labels(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 1, 16, 16, generator=draw, dtype=F64)
    return x, torch.randint(10, (count,), generator=draw)


def discriminator(family: str, layout: torch.memory_format, **values: object) -> nn.Module:
    network = build(tiny(family, discriminator_attention=("8",), **values), seed=1).discriminator
    return network.to(F64).to(memory_format=layout).train()  # type: ignore[call-overload]


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_forward_has_the_gradients_of_one_forward(family: str, layout: torch.memory_format) -> None:
    x, y = images_and_labels(5)
    held = discriminator(family, layout)
    plain = copy.deepcopy(held)
    plain(x, y).square().mean().backward()
    with held_weights([held]):
        held(x, y).square().mean().backward()
    for (name, theirs), ours in zip(plain.named_parameters(), held.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).abs().max() <= 1e-13 * theirs.grad.abs().max(), name
        assert ours.grad.stride() == ours.stride(), name
    for (name, a), b in zip(plain.state_dict().items(), held.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14), name


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_many_forwards_are_as_if_sigma_were_a_number_of_the_phase(layout: torch.memory_format) -> None:
    """Written out: weights divided once, by a function of W with u and v constant, used by every micro-batch."""
    held = discriminator("biggan", layout)
    plain = copy.deepcopy(held)
    divided = {}
    for layer in spectrally_normalized(plain).values():
        with torch.no_grad():
            W = layer.weight.flatten(1)
            v = F.normalize(layer.u @ W, eps=layer.power.eps)
            u = F.normalize(v @ W.T, eps=layer.power.eps)
        divided[layer] = layer.weight / (v @ layer.weight.flatten(1).T @ u.T).squeeze()
        layer.held = divided[layer]
    parts = [images_and_labels(3, seed) for seed in range(3)]
    sum(plain(x, y).square().mean() for x, y in parts).backward()  # type: ignore[union-attr]
    with held_weights([held]):
        for x, y in parts:
            held(x, y).square().mean().backward()
    for (name, theirs), ours in zip(plain.named_parameters(), held.named_parameters(), strict=True):
        assert (ours[1].grad - theirs.grad).abs().max() <= 1e-12 * theirs.grad.abs().max(), name  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_of_one_micro_batch_does_not_know_the_difference(family: str) -> None:
    values: dict[str, Any] = {"generator_spectral_norm": SpectralNorm(singular_values=2)}
    if family == "r3gan":  # which knows it in D alone, and not with weights of zeros
        values = {"discriminator_spectral_norm": SpectralNorm(singular_values=2), "discriminator_init": "orthogonal"}
    a = tiny(family, **values)
    states = {}
    for rhythm in ("phase", "forward"):
        state = make_state(a, F64)
        engine = Engine(device=CPU, spectral_norm=rhythm)  # type: ignore[arg-type]
        for seed in range(3):
            train_step(state, make_inputs(a, steps=2, dtype=F64, seed=seed), Objective(loss=Hinge()), engine)
        states[rhythm] = state.tensors()
    for name, ours in states["phase"].items():
        assert torch.allclose(ours, states["forward"][name], rtol=1e-9, atol=AFTER_ADAM), name


@pytest.mark.parametrize("iterations", [1, 3])
def test_a_phase_iterates_once_however_often_it_calls(iterations: int) -> None:
    spectral_norm = SpectralNorm(iterations=iterations)
    network = discriminator("biggan", torch.contiguous_format, discriminator_spectral_norm=spectral_norm)
    once = copy.deepcopy(network)
    x, y = images_and_labels(4)
    once(x, y)
    with held_weights([network]):
        for _ in range(3):
            network(x, y)
    for (name, layer), other in zip(
        spectrally_normalized(network).items(), spectrally_normalized(once).values(), strict=True
    ):
        assert torch.allclose(layer.u, other.u, rtol=1e-12, atol=1e-14), name
        assert torch.allclose(layer.sigma, other.sigma, rtol=1e-12), name


def test_the_gradient_gathers_on_what_was_there() -> None:
    network = discriminator("biggan", torch.contiguous_format).eval()  # stores nothing, so both passes divide alike
    x, y = images_and_labels(4)
    gradients = []
    for _ in range(2):
        with held_weights([network]):
            network(x, y).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in network.parameters()])  # type: ignore[union-attr]
    for once, twice in zip(*gradients, strict=True):
        assert torch.allclose(2 * once, twice, rtol=1e-12, atol=1e-14)


def test_what_needs_no_gradient_gets_none() -> None:
    network = discriminator("biggan", torch.channels_last)
    table = next(layer for layer in spectrally_normalized(network).values() if isinstance(layer, SpectralClassTable))
    table.requires_grad_(False)
    x, y = images_and_labels(4)
    with held_weights([network]):
        assert table.held is not None
        assert not table.held.requires_grad
        network(x, y).sum().backward()
    assert table.weight.grad is None
    assert all(layer.held is None for layer in spectrally_normalized(network).values())


def test_an_exception_leaves_nothing_held() -> None:
    network = discriminator("biggan", torch.contiguous_format)
    with pytest.raises(ZeroDivisionError), held_weights([network]):
        raise ZeroDivisionError
    assert all(layer.held is None and layer.weight.grad is None for layer in spectrally_normalized(network).values())


def test_stored_vectors_keep_their_order() -> None:
    """v is stored in the order of the filters; one that lies channels-last reads its weight in that order, too."""
    networks = [discriminator("biggan", layout) for layout in LAYOUTS]
    x, y = images_and_labels(4)
    for network in networks:
        keep_right_vectors(network, ("*",))
        draw = torch.Generator().manual_seed(3)
        for layer in spectrally_normalized(network).values():
            assert layer.v is not None
            layer.v.copy_(torch.randn(layer.v.shape, generator=draw))
            layer.to(F64)
        with held_weights([network]):
            network(x, y).sum().backward()
    for (name, a), b in zip(networks[0].state_dict().items(), networks[1].state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12), name
    for (name, one), other in zip(networks[0].named_parameters(), networks[1].parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, rtol=1e-9, atol=1e-11), name  # type: ignore[arg-type]


def test_narrow_filters_are_held_narrow_and_gather_wide_gradients() -> None:
    """bfloat16 by phase is as far from float32 as bfloat16 by forward."""
    a = tiny("biggan", discriminator_attention=("8",))
    norms: dict[object, dict[str, Tensor]] = {}
    for narrow, rhythm in ((None, "forward"), (torch.bfloat16, "forward"), (torch.bfloat16, "phase")):
        state = make_state(a)
        engine = Engine(device=CPU, narrow=narrow, spectral_norm=rhythm)  # type: ignore[arg-type]
        train_step(state, make_inputs(a, batch=8), Objective(loss=Hinge()), engine)
        named = state.discriminator.named_parameters()
        norms[narrow, rhythm] = {name: p.grad.clone() for name, p in named if p.grad is not None}
    exact = norms[None, "forward"]

    def error(rhythm: str) -> float:
        found = norms[torch.bfloat16, rhythm]
        assert all(gradient.dtype == torch.float32 for gradient in found.values())
        gap = sum(float((found[name] - value).square().sum()) for name, value in exact.items())
        return (gap / sum(float(value.square().sum()) for value in exact.values())) ** 0.5

    assert 0 < error("phase") < 2 * error("forward")
