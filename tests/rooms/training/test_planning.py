"""Batch arithmetic and the memory estimate."""

from __future__ import annotations

import dataclasses
import tracemalloc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.models.contract import build
from biggan.presets.registry import get_preset
from biggan.training.planning import plan, plan_batch, plan_memory
from tests.conftest import tiny_config


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


def test_the_estimate_is_what_autograd_keeps() -> None:
    """Against the real thing: bytes saved for backward by real tensors."""
    config = tiny_config(batch=16)
    estimate = plan_memory(config, plan(config, 1))
    networks = build(config.model)
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    x, y = torch.zeros(32, 1, 16, 16), torch.zeros(32, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        networks.discriminator(x, y)
    weights = {p.untyped_storage().data_ptr() for p in networks.discriminator.parameters()}
    measured = sum(t.untyped_storage().nbytes() for key, t in kept.items() if key not in weights)
    assert 0.5 * measured <= estimate.activations <= 3 * measured
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    assert estimate.weights == estimate.gradients == 4 * parameters
    assert estimate.adam == 8 * parameters


def test_the_estimate_grows_with_what_it_depends_on() -> None:
    config = get_preset("biggan-pytorch-bs256x8").build()
    base = plan_memory(config, plan(config, 8))
    assert 1e9 < base.total < 40e9
    larger = dataclasses.replace(config, micro_batch=64)
    assert 1.9 < plan_memory(larger, plan(larger, 8)).activations / base.activations < 2.1
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
