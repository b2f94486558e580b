"""Batch arithmetic and the memory estimate."""

from __future__ import annotations

import dataclasses
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.losses.adversarial import Hinge
from biggan.losses.terms import TERMS, Term, acting
from biggan.models.contract import build
from biggan.presets.registry import get_preset
from biggan.training.assembly import make_terms
from biggan.training.batches import plan, plan_batch
from biggan.training.configuration import TrainingConfig
from biggan.training.own_step import OwnStep
from biggan.training.planning import plan_memory
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from biggan.training.trial import images_a_second
from biggan.training.update import Update
from tests.conftest import tiny, tiny_config
from tests.rooms.training.test_step import make_state


def test_arithmetic_as_it_is_printed() -> None:
    assert str(plan_batch("--batch", 512, 64, 1)) == "1 rank x 64 x 8 accumulated = 512"
    assert str(plan_batch("--batch", 2048, 32, 8)) == "8 ranks x 32 x 8 accumulated = 2048"
    assert str(plan_batch("--batch", 16, 64, 1)) == "1 rank x 16 x 1 accumulated = 16"
    assert str(plan_batch("--batch", 7, None, 2)) == "2 ranks x 3..4 x 1 accumulated = 7"
    with pytest.raises(UserError, match="there are 4 ranks"):
        plan_batch("--batch", 3, None, 4)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 5000), st.one_of(st.none(), st.integers(1, 600)), st.integers(1, 16))
def test_plans_are_always_possible(batch: int, micro_batch: int | None, ranks: int) -> None:
    if batch < ranks:
        return
    made = plan_batch("--batch", batch, micro_batch, ranks)
    smallest_share = batch // ranks
    assert 1 <= made.accumulation <= smallest_share, "every micro-batch of every rank has an image"
    assert made.micro_batch * made.accumulation * ranks >= batch
    if micro_batch and smallest_share >= micro_batch:
        assert made.micro_batch <= micro_batch + 1


def kept_by_real_tensors(config: TrainingConfig) -> int:
    """Return the bytes that the backward pass keeps on this CPU, weights left out, of the larger phase."""
    networks = build(config.model)
    weights = {p.untyped_storage().data_ptr() for network in networks for p in network.parameters()}

    def kept(phase: Callable[[], object]) -> int:
        found: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            phase()
        return sum(t.untyped_storage().nbytes() for key, t in found.items() if key not in weights)

    x, y = torch.zeros(2 * config.batch, 1, *config.model.resolution), torch.zeros(2 * config.batch, dtype=torch.int64)
    of_discriminator = kept(lambda: networks.discriminator(x, y))
    networks.discriminator.requires_grad_(False)
    z, y = torch.zeros(config.batch, config.model.z_size), torch.zeros(config.batch, dtype=torch.int64)
    return max(of_discriminator, kept(lambda: networks.discriminator(networks.generator(z, y), y)))


def test_the_estimate_is_what_autograd_keeps() -> None:
    """Against the real thing: bytes saved for backward by real tensors."""
    config = tiny_config(batch=16)
    estimate = plan_memory(config, plan(config, 1))
    networks = build(config.model)
    measured = kept_by_real_tensors(config)
    assert 0.9 * measured <= estimate.activations <= 1.1 * measured
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    assert estimate.weights == estimate.gradients == 4 * parameters
    assert estimate.adam == 8 * parameters


@pytest.mark.parametrize("words", [("r1",), ("gp",), ("bcr",), ("zcr",), ("logan",), ("apa", "r2", "lecam")])
def test_further_passes_of_terms_are_counted(words: tuple[str, ...]) -> None:
    """Against real networks and images on which the terms act."""
    model = {"generator_width": 4, "discriminator_width": 12, "discriminator_attention": ("8",)}
    config = tiny_config(batch=6, terms=words, model=model)
    networks, terms = build(config.model), make_terms(config)
    weights = {p.untyped_storage().data_ptr() for network in networks for p in network.parameters()}
    largest = 0
    for term in terms.values():
        term.begin(torch.device("cpu"))
    for phase in ("discriminator", "generator"):
        found: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor, found: dict[int, torch.Tensor] = found) -> torch.Tensor:
            found.setdefault(tensor.untyped_storage().data_ptr(), tensor)
            return tensor

        for name, network in networks._asdict().items():
            network.requires_grad_(name == phase)
        update = Update(1, torch.device("cpu"), acting=acting(terms, phase, 0, 0))
        state = make_state(config.model)
        state.networks = networks._asdict()
        stage = Objective(loss=Hinge()).stage(phase, state, networks.generator, networks.discriminator.judge, update)
        z, y = torch.randn(6, config.model.z_size), torch.zeros(6, dtype=torch.int64)
        images = torch.zeros(6, 1, *config.model.resolution, dtype=torch.uint8)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            with torch.set_grad_enabled(phase == "generator"):
                fakes = networks.generator(z, y)
            scene = stage.scene(fakes, z, y, torch.arange(6), *((images, y) if phase == "discriminator" else ()))
            scene.total(scene.on_fakes.score.mean())
        largest = max(largest, sum(t.untyped_storage().nbytes() for key, t in found.items() if key not in weights))
    estimate = plan_memory(config, plan(config, 1)).activations
    without = plan_memory(dataclasses.replace(config, terms=()), plan(config, 1)).activations
    assert 0.9 * largest <= estimate <= 1.1 * largest
    assert estimate > (1.05 if words == ("zcr",) else 1.3) * without


def test_a_term_of_ones_own_that_reads_a_number_is_left_out_of_the_estimate() -> None:
    class Reads(Term):
        def loss(self, scene: Any) -> None:
            scene.on_fakes.score.mean().item()

    TERMS.add("reads-for-a-test", Reads)
    try:
        config = tiny_config(batch=4)
        own = dataclasses.replace(config, terms=("reads-for-a-test",), step="own.py:step")
        # What was judged before it was asked is counted, and no more than that.
        assert plan_memory(own, plan(own, 1)).activations >= plan_memory(config, plan(config, 1)).activations
    finally:
        del TERMS._loaded["reads-for-a-test"]


def test_the_estimate_grows_with_what_it_depends_on() -> None:
    config = get_preset("biggan-pytorch-bs256x8").build()
    base = plan_memory(config, plan(config, 8))
    assert 1e9 < base.total < 40e9
    larger = dataclasses.replace(config, micro_batch=64)
    # Not quite twice: normalized weights are kept once, however many images there are.
    assert 1.8 < plan_memory(larger, plan(larger, 8)).activations / base.activations < 2.1
    narrow = dataclasses.replace(config, precision="bfloat16")
    assert plan_memory(narrow, plan(narrow, 8)).activations <= base.activations
    unaveraged = dataclasses.replace(config, ema=dataclasses.replace(config.ema, enabled=False))
    assert plan_memory(unaveraged, plan(unaveraged, 8)).average == 0


def test_estimating_takes_no_memory() -> None:
    config = get_preset("biggan-512").build()
    tracemalloc.start()
    plan_memory(config, plan(config, 1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200e6


def test_attention_counts_as_the_kernel_keeps_it() -> None:
    """At 64 x 64 positions the CPU's kernel is fused, as CUDA's always is: the matrix of pairs is nowhere."""
    config = tiny_config(batch=2)
    model = dataclasses.replace(config.model, resolution=(128, 128), discriminator_attention=("64",))
    config = dataclasses.replace(config, model=model, device="cpu")
    plans = plan(config, 1)
    pairs = 4 * 4 * (64 * 64) * (32 * 32)  # bytes, of four images
    on_cpu = plan_memory(config, plans).activations
    measured = kept_by_real_tensors(config)
    assert 0.9 * measured <= on_cpu <= 1.1 * measured
    on_cuda = plan_memory(dataclasses.replace(config, device="cuda"), plans).activations
    assert 0.9 * on_cpu <= on_cuda <= 1.1 * on_cpu
    assert plan_memory(dataclasses.replace(config, device="mps"), plans).activations > pairs


@pytest.mark.parametrize(("option", "value"), [("sheet_columns", 10**6), ("interpolation_rows", 10**6)])
def test_a_sheet_that_cannot_be_drawn_is_an_error_at_the_start(option: str, value: int) -> None:
    config = tiny_config()
    named = f"--log.{option.replace('_', '-')} {value}"
    with pytest.raises(UserError, match=named):
        resolve(dataclasses.replace(config, log=dataclasses.replace(config.log, **{option: value})), None, 1)  # type: ignore[arg-type]  # by name


def test_a_batch_that_could_not_be_read_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--batch 10{12}: a rank reads .* GiB of memory are free for it; choose"):
        train(tiny_config(tmp_path / "run", batch=10**12), "digits")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("seconds_an_image", "tried"), [(10.0, {2}), (0.001, {2, 64})])
def test_the_speed_of_large_images_is_that_of_two(
    monkeypatch: pytest.MonkeyPatch, seconds_an_image: float, tried: set[int]
) -> None:
    """By a clock that iterations move on: of minutes each there is one, of two images."""
    clock, batches = [0.0], []

    def slow(config: TrainingConfig, *_: object) -> Callable[[], None]:
        def iterate() -> None:
            clock[0] += config.batch * seconds_an_image
            batches.append(config.batch)

        return iterate

    monkeypatch.setattr("biggan.training.trial.trial", slow)
    monkeypatch.setattr("biggan.training.trial.time.perf_counter", lambda: clock[0])
    config = resolve(TrainingConfig(model=tiny("biggan"), batch=64), None, 1)
    speed = images_a_second(config, OwnStep(train_step, None), torch.device("cpu"))
    assert speed == pytest.approx(config.discriminator_steps / seconds_an_image)
    assert set(batches) == tried
    assert batches.count(2) <= 2
    assert tried == {2, 64} or len(batches) == 1
