"""Cases of R3GAN: its own networks and trainer in float64, forwards, gradients, and whole iterations with schedules."""

from __future__ import annotations

import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.foundation.courses import Course
from biggan.foundation.images import to_float
from biggan.losses.adversarial import Relativistic
from biggan.losses.gradient_penalties import R1, R2
from biggan.models.architecture import Architecture, architecture
from biggan.models.contract import Networks, build
from biggan.training.configuration import AdamConfig, MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.optimizers import make_adam, rate_factors, second_betas
from biggan.training.state import TrainState
from biggan.training.step import DiscriminatorBatch, GeneratorBatch, Objective, StepInputs, train_step
from tests.conftest import tiny_config
from tests.parity.case import Case
from tests.parity.comparison import Comparison, tolerance
from tests.parity.pair import CPU

LIMIT = tolerance(None, "float64")
_ENDS = {"EmbeddingLayer.weight": "class_embedding.weight", "AggregationLayer.Layer.weight": "output_conv.weight"}
_PARTS = {"LinearLayer1.Layer.weight": "conv1.weight", "NonLinearity1.Bias": "conv1.bias"}
_PARTS |= {"LinearLayer2.Layer.weight": "conv2.weight", "NonLinearity2.Bias": "conv2.bias"}
_PARTS |= {"LinearLayer3.Layer.weight": "conv3.weight", "LinearLayer.Layer.weight": "conv.weight"}


def ours(network: str, name: str, a: Architecture) -> str:
    """Return what we call the parameter ``name`` of its ``G`` or ``D``."""
    if name == "ExtractionLayer.Layer.weight":
        return "stem.weight"
    if name in _ENDS:
        return f"head.{_ENDS[name]}" if network == "D" else _ENDS[name]
    match = re.fullmatch(r"MainLayers\.(\d+)\.Layers\.(\d+)\.(.+)", name)
    assert match is not None, name
    stage, layer, part = int(match[1]), int(match[2]), match[3]
    end = {"Basis": "basis", "Basis.weight": "basis", "LinearLayer.weight": "linear.weight"}.get(part)
    if end is not None:
        return f"{'basis' if network == 'G' else 'head'}.{end}"
    if network == "D":
        return f"stages.{stage}.{layer}.{_PARTS[part]}"
    return f"bottom.{layer - 1}.{_PARTS[part]}" if stage == 0 else f"stages.{stage - 1}.{layer}.{_PARTS[part]}"


def turned(name: str, theirs: Tensor) -> Tensor:
    """Return one of its tensors as ours lies: class tables have classes as rows, and bases no axis of one."""
    if name.endswith("class_embedding.weight"):
        return theirs.T
    return theirs.squeeze(1) if name == "head.basis" else theirs


def turned_back(name: str, mine: Tensor, shape: torch.Size) -> Tensor:
    """Return one of our tensors as its own lies."""
    return (mine.T if name.endswith("class_embedding.weight") else mine).reshape(shape)


def loaded(case: Case) -> Networks:
    """Return both networks in float64 with the case's weights, and no others."""
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in case.settings["architecture"].items()}
    a = architecture("r3gan", channels=3, **values)
    networks = build(a)
    for letter, network in zip("GD", networks, strict=True):
        named = {(mine := ours(letter, key, a)): turned(mine, v) for key, v in case.state(letter).items()}
        network.load_state_dict(named)
        network.double()
    return networks


def run(case: Case, comparison: Comparison) -> None:
    """Compare all that the case stores."""
    networks = loaded(case)
    z, y = case.arrays["in/z"].double(), case.arrays["in/y"]
    x = to_float(case.arrays["in/x_uint8"], torch.float64)
    G, D = networks
    comparison.array("out/G", G(z[0], y[0]), LIMIT)
    comparison.array("out/D", D(x[0], y[0])[:, 0], LIMIT)

    fakes = G(z[0], y[0])
    F.softplus(D(x[0], y[0]) - D(fakes, y[0])).mean().backward()
    compare_gradients(case, comparison, "G", G)
    D.zero_grad()
    fakes, reals = fakes.detach().requires_grad_(), x[0].clone().requires_grad_()
    of_reals, of_fakes = D(reals, y[0]), D(fakes, y[0])
    penalties = torch.zeros(())
    for scores, images in ((of_reals, reals), (of_fakes, fakes)):
        (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
        penalties = penalties + gradient.square().sum(dim=(1, 2, 3)).mean()
    (F.softplus(of_fakes - of_reals).mean() + case.settings["gamma"] / 2 * penalties).backward()
    compare_gradients(case, comparison, "D", D)
    if "training" in case.settings:
        train(case, comparison, loaded(case))


def compare_gradients(case: Case, comparison: Comparison, letter: str, network: nn.Module) -> None:
    """Compare the gradient of every parameter."""
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    compare_all(case, comparison, f"grads/{letter}/", letter, gradients, network)


def compare_all(
    case: Case, comparison: Comparison, prefix: str, letter: str, mine: dict[str, Tensor], network: nn.Module
) -> None:
    """Compare all tensors under a prefix; there must be one for each of ours."""
    a: Any = network.architecture
    names = {key: ours(letter, key.removeprefix(prefix), a) for key in case.arrays if key.startswith(prefix)}
    assert set(names.values()) == mine.keys()
    for key, name in names.items():
        comparison.array(key, turned_back(name, mine[name], case.arrays[key].shape), LIMIT)


def train(case: Case, comparison: Comparison, networks: Networks) -> None:
    """Run its iterations by the package's own step: everything that changes is on a course."""
    settings = case.settings["training"]
    batch = settings["batch"]

    def course(name: str) -> Course:
        first, last = settings[name]
        return Course(first=first, last=last, end=settings["end"], shape="cosine")

    adam = AdamConfig(learning_rate=course("lr"), beta2=course("beta2"), eps=settings["eps"])
    config = tiny_config(batch=batch, generator_adam=adam, discriminator_adam=adam)
    terms = {"r1": R1(weight=course("gamma")), "r2": R2(weight=course("gamma"))}
    engine = Engine(device=CPU, terms=terms, rates=rate_factors(config), betas=second_betas(config))
    state = TrainState(
        networks=dict(networks._asdict()),
        optimizers={name: make_adam(network, adam) for name, network in networks._asdict().items()},
        average=MovingAverage(MovingAverageConfig(half_life=course("ema")), networks.generator),
        terms=terms,
    )
    z, y, x = case.arrays["in/z"].double(), case.arrays["in/y"], case.arrays["in/x_uint8"]
    for i in range(settings["iterations"]):
        inputs = StepInputs(
            discriminator=(DiscriminatorBatch(x[i], y[i], z[2 * i], y[i]),),
            generator=GeneratorBatch(z[2 * i + 1], y[i]),
            batch=batch,
            generator_batch=batch,
            images_seen=(i + 1) * batch,
        )
        losses = train_step(state, inputs, Objective(loss=Relativistic()), engine)
        state.images_seen, state.iterations = (i + 1) * batch, i + 1
        of_d = float(losses["D_loss_real"] + losses["D_loss_fake"])
        for name, loss in (("D_loss", of_d), ("G_loss", float(losses["G_loss"]))):
            comparison.number(("losses_float64", i, name), loss, LIMIT)
    assert state.average.network is not None
    for word, letter, network in (
        ("G", "G", state.generator),
        ("D", "D", state.discriminator),
        ("G_ema", "G", state.average.network),
    ):
        compare_all(case, comparison, f"after64/{word}/", letter, dict(network.named_parameters()), network)
