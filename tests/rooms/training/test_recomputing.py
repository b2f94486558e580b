"""Activations that are computed again: the same weights, statistics and vectors to the bit, and less memory."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from biggan.cli.main import main
from biggan.foundation.compatibility import BIASED_NORM, RUNNING_INSTANCE_NORM
from biggan.foundation.errors import UserError
from biggan.layers.recomputing import Recomputation
from biggan.losses.adversarial import Hinge
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.growth import grown_architecture
from biggan.training.assembly import make_state as assemble
from biggan.training.batches import plan
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.own_step import OwnStep
from biggan.training.planning import plan_memory
from biggan.training.setup import train
from biggan.training.state import TrainState
from biggan.training.step import Objective, judge_separately, train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_step import CPU, make_inputs, make_state

BOTH = ("generator", "discriminator")
ATTENTION: dict[str, Any] = {"generator_attention": ("8",), "discriminator_attention": ("8",)}


def updated(
    a: Architecture,
    recompute: tuple[str, ...],
    dtype: torch.dtype = torch.float64,
    layout: torch.memory_format = torch.contiguous_format,
    **engine: Any,
) -> tuple[TrainState, Counter[str]]:
    """Return a state after two iterations, and how often each block was called in the second.

    Fakes and reals are scored in two passes, so that vectors move once more between a pass and its second.
    """
    state = make_state(a, dtype)
    calls: Counter[str] = Counter()
    for name, network in state.networks.items():
        network.to(memory_format=layout)  # type: ignore[call-overload]
        if name in recompute:
            network.recompute = Recomputation()
    how = Engine(device=CPU, **{"accumulation": {"discriminator": 2}, **engine})
    for seed in range(2):
        train_step(state, make_inputs(a, dtype=dtype, seed=seed), Objective(loss=Hinge(), judge=judge_separately), how)
        if seed == 0:
            for name, network in state.networks.items():
                # Before and not after: a second pass ends as soon as there is all that was saved.
                network.get_submodule("stages.0.0").register_forward_pre_hook(lambda *_, n=name: calls.update([n]))
    return state, calls


@pytest.mark.parametrize("rhythm", ["forward", "phase"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_to_the_same_bits(family: str, rhythm: str) -> None:
    a = tiny(family, **ATTENTION)
    kept, once = updated(a, (), spectral_norm=rhythm, statistics=rhythm)
    again, twice = updated(a, BOTH, spectral_norm=rhythm, statistics=rhythm)
    assert_same_tensors(kept.tensors(), again.tensors())
    # Of two micro-batches: D sees fakes and reals, then G's; G paints without gradients for D, then with.
    assert once == {"discriminator": 6, "generator": 4}
    assert twice == {"discriminator": 12, "generator": 6}


@pytest.mark.parametrize(("name", "calls"), [("discriminator", (12, 4)), ("generator", (6, 6))])
def test_one_network_may_be_recomputed_alone(name: str, calls: tuple[int, int]) -> None:
    kept, _ = updated(tiny(**ATTENTION), ())
    alone, found = updated(tiny(**ATTENTION), (name,))
    assert (found["discriminator"], found["generator"]) == calls
    assert_same_tensors(kept.tensors(), alone.tensors())


VARIANTS: dict[str, Architecture] = {
    "biased norm": tiny(compatibility=(BIASED_NORM,)),
    "instance norm with statistics": tiny(normalization="instance", compatibility=(RUNNING_INSTANCE_NORM,)),
    "several vectors": tiny(generator_spectral_norm=SpectralNorm(singular_values=2, iterations=3)),
    "stored vectors": tiny(discriminator_spectral_norm=SpectralNorm(stored_vectors=("*",))),
    "learned shortcuts": tiny("biggan-deep", learned_shortcuts=True),
    "grown": grown_architecture(tiny(), (32, 32)),
    "grown deep": grown_architecture(tiny("biggan-deep"), (32, 32)),
    "tables": tiny("sagan", spectral_norm_class_tables=True),
    "no classes": tiny("sngan", classes=0),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_layer_comes_to_the_same_bits(variant: str) -> None:
    kept, _ = updated(VARIANTS[variant], (), layout=torch.channels_last)
    again, _ = updated(VARIANTS[variant], BOTH, layout=torch.channels_last)
    assert_same_tensors(kept.tensors(), again.tensors())


@pytest.mark.parametrize("rhythm", ["forward", "phase"])
def test_narrow_convolutions_come_to_the_same_bits(rhythm: str) -> None:
    how: dict[str, Any] = {"narrow": torch.bfloat16, "spectral_norm": rhythm}
    kept, _ = updated(tiny(**ATTENTION), (), torch.float32, **how)
    again, _ = updated(tiny(**ATTENTION), BOTH, torch.float32, **how)
    assert_same_tensors(kept.tensors(), again.tensors())


def test_a_penalty_on_gradients_may_be_differentiated() -> None:
    """A step of one's own may ask for gradients of gradients."""
    found = []
    for recompute in (None, Recomputation()):
        D = make_state(tiny(), torch.float64).discriminator
        D.recompute = recompute
        x = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        x.requires_grad_()
        scores = D(x, torch.arange(4))
        (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        (scores.sum() + slope.square().sum()).backward()
        found.append({name: p.grad for name, p in D.named_parameters() if p.grad is not None})
    kept, again = found
    assert kept.keys() == again.keys()
    for name, value in kept.items():
        assert torch.allclose(value, again[name], rtol=1e-12, atol=1e-14), name


def test_nothing_is_recomputed_where_no_gradient_is_asked_for() -> None:
    a = tiny(**ATTENTION)
    state = make_state(a)
    z, y = torch.randn(2, a.z_size), torch.arange(2)
    state.generator.eval()
    with torch.no_grad():
        plain = state.generator(z, y)
        state.generator.recompute = Recomputation(first=lambda: pytest.fail("recomputed"))
        assert torch.equal(state.generator(z, y), plain)


# -- memory ------------------------------------------------------------------------------------------------------------


def activations(config: TrainingConfig) -> int:
    return plan_memory(config, plan(config, 1)).activations


@pytest.mark.parametrize("family", FAMILIES)
def test_the_estimate_knows(family: str) -> None:
    config = tiny_config(batch=16, family=family, model={"resolution": (32, 32), **ATTENTION})
    kept, of_g, of_both = (
        activations(dataclasses.replace(config, recompute=names)) for names in ((), ("generator",), BOTH)
    )
    if family == "r3gan":  # whose D is as large as its G, and sees twice as many images
        of_g = 0
    assert max(of_g, of_both) < 0.8 * kept  # of a D this narrow it saves nothing


def peak(act: Callable[[], object]) -> int:
    """Return the most bytes that lay in memory at once, of those that ``act`` allocated."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        act()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def test_the_estimate_is_what_is_allocated() -> None:
    """The phase of G, with its backward pass, on real tensors; gradients within a block come on top."""
    config = tiny_config(batch=8, model={"resolution": (64, 64), "generator_width": 8, "discriminator_width": 8})
    measured = {}
    for names in ((), BOTH):
        resolved = dataclasses.replace(config, recompute=names)
        state = assemble(resolved, CPU, OwnStep(train_step, None))
        z = torch.randn(8, config.model.z_size)
        state.discriminator.requires_grad_(False)

        def phase(state: TrainState = state, z: Tensor = z) -> None:
            y = torch.arange(8)
            state.discriminator(state.generator(z, y), y).mean().backward()

        phase()  # the gradients of weights are there from here on
        measured[names] = peak(phase)
        assert 0.75 * measured[names] <= activations(resolved) <= 1.1 * measured[names]
    assert measured[BOTH] < 0.6 * measured[()]


# -- the option --------------------------------------------------------------------------------------------------------


def test_a_run_may_begin_to_recompute(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "kept", duration=24), "digits")
    train(tiny_config(tmp_path / "again", duration=8), "digits")
    train(tiny_config(tmp_path / "again", duration=24, recompute=BOTH), "digits")
    assert_same_tensors(final_state(tmp_path / "kept"), final_state(tmp_path / "again"))


def test_unknown_names_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--dry-run", "--recompute", "encoder"]) == 2
    assert "invalid choice 'encoder' for argument '--recompute'" in capsys.readouterr().err
    with pytest.raises(UserError, match="--recompute generator generator: name each network once"):
        tiny_config(recompute=("generator", "generator"))
