"""The training step, losses, regularisation, the engine and its guard, the moving average."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from biggan.foundation.errors import UserError
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.losses.adversarial import ADVERSARIAL_LOSSES, AdversarialLoss, Hinge, Softplus
from biggan.losses.orthogonal import OrthogonalRegularizer, orthogonal_gradient, orthogonal_penalty
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.contract import build
from biggan.training.configuration import AdamConfig, MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine, NonFiniteError, split_evenly
from biggan.training.optimizers import make_adam
from biggan.training.state import TrainState
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Losses,
    Objective,
    StepInputs,
    score_separately,
    score_together,
    train_step,
)
from tests.conftest import FAMILIES, tiny

CPU = torch.device("cpu")


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
    worse = torch.tensor([[0.5]])
    on_fake, on_real = loss.discriminator(worse, -worse)
    assert on_fake.shape == on_real.shape == ()
    assert float(loss.discriminator(worse - 1, -worse + 1)[0]) < float(on_fake)
    assert float(loss.discriminator(worse, -worse + 1)[1]) < float(on_real)
    assert float(loss.generator(worse + 1)) < float(loss.generator(worse))


def test_losses_by_value() -> None:
    fake, real = torch.tensor([[-3.0], [0.5]]), torch.tensor([[2.0], [0.0]])
    assert [float(x) for x in Hinge().discriminator(fake, real)] == [0.75, 0.5]
    assert float(Hinge().generator(fake)) == 1.25
    log = torch.log1p(torch.exp(fake)).mean()
    assert torch.allclose(Softplus().discriminator(fake, real)[0], log)


# -- orthogonal regularisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 7), (6, 2, 3, 3), (4, 1), (1, 9)])
def test_the_gradient_is_that_of_the_penalty(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    orthogonal_penalty(weight).backward()
    assert torch.allclose(orthogonal_gradient(weight), weight.grad, rtol=1e-12)


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
    OrthogonalRegularizer(strength=1e-4).add_gradients(G)
    for name, parameter in G.named_parameters():
        touched = bool(parameter.grad.any())
        assert touched == (parameter.ndim >= 2 and name != "class_embedding.weight" and len(parameter) > 1), name


def test_half_the_gradient_on_request() -> None:
    layer = nn.Linear(5, 4)
    gradients = []
    for half in (False, True):
        layer.weight.grad = torch.zeros_like(layer.weight)
        OrthogonalRegularizer(strength=2.0, half=half).add_gradients(layer)
        gradients.append(layer.weight.grad)
    assert torch.equal(gradients[0], 2 * gradients[1])


# -- the step ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_what_moves_when(family: str, steps: int) -> None:
    """In the D phase exactly D's parameters move, once a D step; then exactly G's, once."""
    a = tiny(family)
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


@pytest.mark.parametrize("loss", [Hinge(), Softplus()])
@pytest.mark.parametrize("score", [score_together, score_separately])
def test_losses_are_reported_for_each_micro_batch(
    loss: AdversarialLoss, score: Callable[..., tuple[Tensor, ...]]
) -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=CPU, accumulation={"discriminator": 3, "generator": 2})
    losses: Losses = train_step(state, make_inputs(a, steps=2), Objective(loss=loss, score=score), engine)
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
    train_step(two, inputs, Objective(loss=Hinge(), score=score_separately), Engine(device=CPU))
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
    broken.pop("generator/linear.weight")
    with pytest.raises(KeyError):
        make_state(a).load_tensors(broken)
    with pytest.raises(ValueError, match="belong to nothing here"):
        make_state(a).load_tensors({**one.tensors(), "generator/extra": torch.zeros(1)})
