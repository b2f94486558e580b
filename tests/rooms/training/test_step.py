"""The training step, losses, regularisation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from biggan.foundation.errors import UserError
from biggan.foundation.groups import split_evenly
from biggan.layers.heads import Verdict
from biggan.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    Hinge,
    LeastSquares,
    Relativistic,
    Softplus,
    Wasserstein,
    pairs,
)
from biggan.losses.orthogonal import Orthogonal, orthogonal_gradient, orthogonal_penalty
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.contract import build
from biggan.training.configuration import AdamConfig, MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.optimizers import make_adam
from biggan.training.state import TrainState
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Losses,
    Objective,
    StepInputs,
    judge_separately,
    judge_together,
    train_step,
)
from tests.conftest import FAMILIES, tiny

CPU = torch.device("cpu")
AFTER_ADAM = 1e-9
"""By how much weights in float64 may differ after a few steps of Adam where two ways add in another order: the bias of
a convolution before batch norm has no gradient but rounding, 1e-16, and Adam's epsilon of 1e-8 makes 1e-11 of it."""


def make_state(a: Architecture, dtype: torch.dtype = torch.float32, **ema: object) -> TrainState:
    networks = build(a, seed=0)
    G, D = networks.generator.to(dtype).train(), networks.discriminator.to(dtype).train()
    return TrainState(
        networks={"generator": G, "discriminator": D},
        optimizers={
            "generator": make_adam(G, AdamConfig(learning_rate=1e-3)),
            "discriminator": make_adam(D, AdamConfig(learning_rate=4e-3)),
        },
        average=MovingAverage(MovingAverageConfig(**{"decay": 0.9, **ema}), G),  # type: ignore[arg-type]
    )


def move(state: TrainState, device: torch.device) -> None:
    """Put all networks of ``state`` on ``device``."""
    for network in (*state.networks.values(), state.average.network):
        if network is not None:
            network.to(device)


def inputs_on(inputs: StepInputs, device: torch.device) -> StepInputs:
    """Return the same on ``device``."""
    return dataclasses.replace(
        inputs,
        discriminator=tuple(type(b)(*(t.to(device, non_blocking=False) for t in b)) for b in inputs.discriminator),
        generator=type(inputs.generator)(*(t.to(device) for t in inputs.generator)),
    )


def make_inputs(
    a: Architecture, batch: int = 6, steps: int = 1, dtype: torch.dtype = torch.float32, seed: int = 0
) -> StepInputs:
    draw = torch.Generator().manual_seed(seed)

    def labels() -> Tensor:
        return torch.randint(max(a.classes, 1), (batch,), generator=draw)

    def z() -> Tensor:
        return torch.randn(batch, a.z_size, generator=draw, dtype=torch.float64).to(dtype)

    def images() -> Tensor:
        return torch.randint(256, (batch, a.channels, *a.resolution), generator=draw, dtype=torch.uint8)

    return StepInputs(
        discriminator=tuple(DiscriminatorBatch(images(), labels(), z(), labels()) for _ in range(steps)),
        generator=GeneratorBatch(z(), labels()),
        batch=batch,
        generator_batch=batch,
        images_seen=steps * batch,
    )


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ADVERSARIAL_LOSSES))
def test_every_loss(name: str) -> None:
    loss: AdversarialLoss = ADVERSARIAL_LOSSES[name]()
    fake, better, real = judged(0.5), judged(0.25), judged(-0.5)
    on_fake, on_real = loss.discriminator(fake, real)
    assert on_fake.shape == on_real.shape == ()
    assert float(loss.discriminator(better, judged(-0.25))[0]) < float(on_fake)
    assert float(loss.discriminator(fake, judged(-0.25))[1]) < float(on_real)
    reals = [fake] if pairs(name) else []
    assert float(loss.generator(judged(0.75), *reals)) < float(loss.generator(fake, *reals))


def judged(score: float) -> Verdict:
    """What a D of one class says of one image, with whatever outputs a loss may read."""
    outputs = {"multi-hinge": torch.tensor([[score / 2, -score / 2]])}
    return Verdict(torch.tensor([[score]]), torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64), outputs)


def test_losses_by_value() -> None:
    fake, real = torch.tensor([[-3.0], [0.5]]), torch.tensor([[2.0], [0.0]])
    assert [float(x) for x in Hinge().discriminator(fake, real)] == [0.75, 0.5]
    assert float(Hinge().generator(fake)) == 1.25
    assert [float(x) for x in LeastSquares().discriminator(fake, real)] == [2.3125, 0.5]
    assert float(LeastSquares().generator(fake)) == 4.0625
    assert [float(x) for x in Wasserstein().discriminator(fake, real)] == [-1.25, -1.0]
    gaps = torch.tensor([5.0, -0.5])  # of pairs, D(real) - D(fake)
    assert float(sum(Relativistic().discriminator(fake, real))) == pytest.approx(float(F.softplus(-gaps).mean()))
    assert float(Relativistic().generator(fake, real)) == pytest.approx(float(F.softplus(gaps).mean()))
    log = torch.log1p(torch.exp(fake)).mean()
    assert torch.allclose(Softplus().discriminator(fake, real)[0], log)


# -- orthogonal regularisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("normal", [False, True])
@pytest.mark.parametrize("shape", [(5, 7), (6, 2, 3, 3), (4, 1), (1, 9)])
def test_the_gradient_is_that_of_the_penalty(shape: tuple[int, ...], *, normal: bool) -> None:
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    orthogonal_penalty(weight, normal=normal).backward()
    assert torch.allclose(orthogonal_gradient(weight, normal=normal), weight.grad, rtol=1e-12)


def test_filters_of_length_one_on_request() -> None:
    W = torch.randn(4, 6, dtype=torch.float64)
    lengths = W.square().sum(dim=1)
    expected = orthogonal_penalty(W) + (lengths - 1).square().sum()
    assert torch.allclose(orthogonal_penalty(W, normal=True), expected, rtol=1e-12)
    layer = nn.Linear(6, 4)
    layer.weight.grad = torch.zeros_like(layer.weight)
    Orthogonal(normal=True).gradients(layer, torch.zeros(()), 2.0)
    assert torch.equal(layer.weight.grad, 2 * orthogonal_gradient(layer.weight, normal=True))


def test_the_penalty_is_that_of_the_paper() -> None:
    """Written out: the sum over pairs of different filters of their squared inner product."""
    W = torch.randn(4, 6, dtype=torch.float64)
    pairs = sum(float(W[i] @ W[j]) ** 2 for i in range(4) for j in range(4) if i != j)
    assert abs(float(orthogonal_penalty(W)) - pairs) < 1e-10
    assert float(orthogonal_penalty(torch.linalg.qr(W.T)[0].T)) < 1e-20


def test_what_is_regularised() -> None:
    G = build(tiny("biggan", generator_attention=("8",))).generator
    for parameter in G.parameters():
        parameter.grad = torch.zeros_like(parameter)
    assert Orthogonal().gradients(G, torch.zeros(()), 1e-4)
    for name, parameter in G.named_parameters():
        touched = bool(parameter.grad.any())
        assert touched == (parameter.ndim >= 2 and name != "class_embedding.weight" and len(parameter) > 1), name


def test_half_the_gradient_on_request() -> None:
    layer = nn.Linear(5, 4)
    gradients = []
    for half in (False, True):
        layer.weight.grad = torch.zeros_like(layer.weight)
        Orthogonal(half=half).gradients(layer, torch.zeros(()), 2.0)
        gradients.append(layer.weight.grad)
    assert torch.equal(gradients[0], 2 * gradients[1])


# -- the step ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_moves_when(family: str, steps: int) -> None:
    """In the D phase exactly D's parameters move, once a D step; then exactly G's, once."""
    a = tiny(family, generator_init="orthogonal", discriminator_init="orthogonal")  # no zeros that stop gradients
    state = make_state(a)
    moves: list[str] = []

    for name in ("discriminator", "generator"):

        def watch(*_: object, name: str = name) -> None:
            moves.append(name)

        state.optimizers[name].register_step_post_hook(watch)

    def check_d(*_: object) -> None:
        assert all(torch.equal(v, g_before[k]) for k, v in snapshot(state.generator).items())

    g_before, d_before = snapshot(state.generator), snapshot(state.discriminator)
    state.optimizers["discriminator"].register_step_post_hook(check_d)
    d_after: list[dict[str, Tensor]] = []
    state.optimizers["discriminator"].register_step_post_hook(lambda *_: d_after.append(snapshot(state.discriminator)))
    train_step(state, make_inputs(a, steps=steps), Objective(loss=Hinge()), Engine(device=CPU))
    assert moves == ["discriminator"] * steps + ["generator"]
    previous = d_before
    for current in d_after:
        assert all(
            not torch.equal(current[k], previous[k])
            for k in ("head.linear.weight", "stages.0.0.conv1.weight")
            if k in current
        )
        previous = current
    assert all(torch.equal(v, d_after[-1][k]) for k, v in snapshot(state.discriminator).items()), (
        "D rests while G moves"
    )
    still = [k for k, v in snapshot(state.generator).items() if torch.equal(v, g_before[k])]
    assert not still


def test_g_gets_no_gradient_from_the_d_phase() -> None:
    a = tiny("biggan")
    state = make_state(a)
    seen: list[bool] = []
    state.optimizers["discriminator"].register_step_pre_hook(
        lambda *_: seen.append(any(p.grad is not None and bool(p.grad.any()) for p in state.generator.parameters()))
    )
    for seed in range(2):
        train_step(state, make_inputs(a, seed=seed), Objective(loss=Hinge()), Engine(device=CPU))
        state.optimizers["generator"].zero_grad()
    assert seen == [False, False]


@pytest.mark.parametrize("loss", [ADVERSARIAL_LOSSES[name]() for name in ADVERSARIAL_LOSSES])
@pytest.mark.parametrize("judge", [judge_together, judge_separately])
def test_losses_are_reported_for_each_micro_batch(
    loss: AdversarialLoss, judge: Callable[..., tuple[Verdict, ...]]
) -> None:
    a = tiny("biggan", discriminator_heads=(getattr(loss, "head", "projection"),))
    state, engine = make_state(a), Engine(device=CPU, accumulation={"discriminator": 3, "generator": 2})
    losses: Losses = train_step(state, make_inputs(a, steps=2), Objective(loss=loss, judge=judge), engine)
    assert {name: len(value) for name, value in losses.items()} == {"D_loss_fake": 6, "D_loss_real": 6, "G_loss": 2}
    assert all(torch.isfinite(value).all() for value in losses.values())


FREE = {  # no batch statistics, no power iteration: the gradient of a batch is the mean of its parts'
    "normalization": "layer",
    "generator_spectral_norm": SpectralNorm(enabled=False),
    "discriminator_spectral_norm": SpectralNorm(enabled=False),
}


@pytest.mark.parametrize("parts", [2, 3, 4, 5])
def test_accumulation_gives_the_gradient_of_the_whole_batch(parts: int) -> None:
    """Also where the parts differ in size: gradients are weighted by sample."""
    a = tiny("biggan", **FREE)
    whole, cut = make_state(a, torch.float64), make_state(a, torch.float64)
    inputs = make_inputs(a, batch=10, dtype=torch.float64)
    train_step(whole, inputs, Objective(loss=Hinge()), Engine(device=CPU))
    engine = Engine(device=CPU, accumulation={"discriminator": parts, "generator": parts})
    train_step(cut, inputs, Objective(loss=Hinge()), engine)
    for (name, one), other in zip(whole.tensors().items(), cut.tensors().values(), strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-9), name


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(1, 40))
def test_parts_are_even(total: int, parts: int) -> None:
    sizes = split_evenly(total, parts)
    assert sum(sizes) == total
    assert max(sizes) - min(sizes) <= 1


def test_more_parts_than_images() -> None:
    a = tiny("biggan")
    engine = Engine(device=CPU, accumulation={"discriminator": 7})
    with pytest.raises(UserError, match="6 images cannot be cut into 7"):
        train_step(make_state(a), make_inputs(a), Objective(loss=Hinge()), engine)


def test_one_pass_or_two_differ_only_in_power_iterations() -> None:
    a = tiny("biggan", **FREE)
    inputs = make_inputs(a, dtype=torch.float64)
    one, two = make_state(a, torch.float64), make_state(a, torch.float64)
    train_step(one, inputs, Objective(loss=Hinge()), Engine(device=CPU))
    train_step(two, inputs, Objective(loss=Hinge(), judge=judge_separately), Engine(device=CPU))
    assert all(torch.allclose(v, two.tensors()[k], rtol=1e-6, atol=1e-9) for k, v in one.tensors().items())


def test_narrow_precision_trains_and_keeps_float32_state() -> None:
    a = tiny("biggan", generator_attention=("8",))
    state = make_state(a)
    losses = train_step(state, make_inputs(a), Objective(loss=Hinge()), Engine(device=CPU, narrow=torch.bfloat16))
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert {t.dtype for t in state.tensors().values()} == {torch.float32}
    wide = make_state(a)
    train_step(wide, make_inputs(a), Objective(loss=Hinge()), Engine(device=CPU))
    u, v = state.tensors()["generator/linear.u"], wide.tensors()["generator/linear.u"]
    assert torch.allclose(u, v, atol=1e-6), "power iteration does not depend on the precision"
