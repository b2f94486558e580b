"""The same paths on a GPU: skipped with a reason where there is none."""

from __future__ import annotations

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file

import biggan
from biggan.data.opening import open_source
from biggan.foundation import distributed
from biggan.foundation.compiling import Compiler
from biggan.foundation.devices import Backends
from biggan.layers.normalization import BatchNorm
from biggan.layers.shared_norm import SharedBatchNorm
from biggan.losses.adversarial import Hinge
from biggan.losses.scene import Scene
from biggan.losses.terms import TERMS, Term, parse_terms
from biggan.training.assembly import make_draws, make_engine
from biggan.training.assembly import make_state as make_state_of_run
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.engine import Engine
from biggan.training.guard import NonFiniteError
from biggan.training.memory_trials import fits_on_gpu
from biggan.training.own_step import OwnStep
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.state import TrainState
from biggan.training.step import Objective, train_discriminator, train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.losses.test_terms import NAMES, WORDS, several, suited
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_repetition import program
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_shared_norm import trained
from tests.rooms.training.test_step import FREE, inputs_on, make_inputs, make_state, move

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Compute as a run does by default: PyTorch alone lets cuDNN round to TF32, 1 % of a gradient after three steps."""
    with Backends().for_a_while():
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_train_resume_sample(family: str, tmp_path: Path) -> None:
    config = tiny_config(
        tmp_path / "run",
        family,
        device="cuda",
        duration=80,
        checkpoint=CheckpointConfig(every=40, keep_last=9),
        compile="off",  # compiled, each family takes a minute, and other tests look at that
    )
    train(config, "digits")
    train(dataclasses.replace(config, duration=160), "digits")
    state = final_state(tmp_path / "run")
    assert all(torch.isfinite(value).all() for value in state.values())
    images = [biggan.load(tmp_path / "run", device).sample(seeds=range(4), classes=[1]) for device in ("cuda", "cpu")]
    assert int((images[0].int() - images[1].int()).abs().max()) <= 2, "seeds mean the same on every device"


@pytest.mark.parametrize("narrow", [None, torch.bfloat16])
def test_a_step_agrees_with_the_cpu(narrow: torch.dtype | None) -> None:
    a = tiny("biggan", generator_attention=("8",))
    here, there = make_state(a), make_state(a)
    move(there, torch.device("cuda"))
    inputs = make_inputs(a)
    moved = inputs_on(inputs, torch.device("cuda"))
    losses = train_step(here, inputs, Objective(loss=Hinge()), Engine(device=torch.device("cpu")))
    device = torch.device("cuda")
    others = train_step(there, moved, Objective(loss=Hinge()), Engine(device=device, narrow=narrow))
    tolerance = 1e-3 if narrow is None else 0.2
    for name, value in losses.items():
        assert torch.allclose(value, others[name].cpu(), rtol=tolerance, atol=tolerance), name


def test_a_bad_gradient_is_skipped_without_a_sync_and_found_at_the_tick() -> None:
    a = tiny("biggan")
    state, engine = make_state(a), Engine(device=torch.device("cuda"))
    move(state, engine.device)
    inputs = make_inputs(a)
    moved = inputs_on(inputs, torch.device("cuda"))
    parameter = state.generator.linear.weight
    parameter.requires_grad_().register_hook(lambda grad: grad * float("inf"))
    before = parameter.detach().clone()
    torch.cuda.set_sync_debug_mode("error")
    try:
        train_step(state, moved, Objective(loss=Hinge()), engine)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert_same_tensors({"w": parameter.detach()}, {"w": before})
    with pytest.raises(NonFiniteError, match=r"generator.linear.weight"):
        engine.guard.check()


def coarse(state: TrainState) -> None:
    """Let Adam not make noise of 1e-14 in a gradient near 0, as of a bias before a batch norm, one of 1e-5 in it."""
    for optimizer in state.optimizers.values():
        for group in optimizer.param_groups:
            group["eps"] = 1e-3


@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("rhythm", ["phase", "forward"])
def test_compiled_networks_train_as_plain_ones(rhythm: Literal["phase", "forward"], cuda_graphs: bool) -> None:
    a, device, states, said = tiny("biggan"), torch.device("cuda"), [], []
    for compiler in (None, Compiler(cuda_graphs=cuda_graphs, tell=said.append)):
        state = make_state(a)
        move(state, device)
        coarse(state)
        engine = Engine(device=device, spectral_norm=rhythm, statistics=rhythm, compiler=compiler)
        for seed in range(3):
            inputs = make_inputs(a, seed=seed)
            train_step(state, inputs_on(inputs, device), Objective(loss=Hinge()), engine)
        states.append(state.tensors())
    assert not said, "it did compile"
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-2, atol=1e-3), name


@pytest.mark.parametrize("name", NAMES)
def test_terms_wait_for_nothing_and_agree_with_the_cpu(name: str) -> None:
    """In float64, three updates; what terms remember is float32, and so is what follows from it."""
    found = []
    for device in (torch.device("cpu"), torch.device("cuda")):
        state = make_state(suited(name, **FREE), torch.float64)
        move(state, device)
        coarse(state)
        state.terms = parse_terms([WORDS.get(name, name)])
        for term in state.terms.values():
            term.begin(device)
        engine = Engine(device=device, terms=state.terms)
        for inputs in several():
            moved = inputs_on(inputs, device)
            torch.cuda.set_sync_debug_mode("error" if state.iterations else "default")  # the first one prepares
            try:
                train_step(state, moved, Objective(loss=Hinge(), seed=1), engine)
            finally:
                torch.cuda.set_sync_debug_mode("default")
            state.images_seen = inputs.images_seen
            state.iterations += 1
        found.append({key: value.cpu() for key, value in state.tensors().items()})
    for key, value in found[0].items():
        torch.testing.assert_close(
            found[1][key], value, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("words", [("lecam,start=1", "diffaugment", "r1,every=1"), ("ada,p=0.5", "cr")])
def test_compiled_networks_train_with_terms_as_plain_ones(words: tuple[str, ...]) -> None:
    """In float64: the gradient of R1 jumps where an activation changes its sign, and in float32 some do by rounding."""
    a, device, states, said = tiny("biggan"), torch.device("cuda"), [], []
    for compiler in (None, Compiler(tell=said.append)):
        state = make_state(a, torch.float64)
        move(state, device)
        state.terms = parse_terms(words)
        for term in state.terms.values():
            term.begin(device)
        coarse(state)
        engine = Engine(device=device, terms=state.terms, compiler=compiler)
        for seed in range(2):
            train_step(
                state,
                inputs_on(make_inputs(a, dtype=torch.float64, seed=seed), device),
                Objective(loss=Hinge()),
                engine,
            )
            state.iterations += 1
        states.append(state.tensors())
    assert not said, "it did compile"
    for name, value in states[0].items():
        assert torch.allclose(value, states[1][name], rtol=1e-5, atol=1e-6), name


def test_tf32_rounds_scores_and_no_penalty(monkeypatch: pytest.MonkeyPatch) -> None:
    a, device = tiny("biggan", discriminator_width=32), torch.device("cuda")
    found: dict[bool, tuple[torch.Tensor, torch.Tensor]] = {}
    penalty = TERMS["r1"].loss
    for tf32 in (False, True):
        state = make_state(a)
        move(state, device)
        state.terms = parse_terms(["r1,every=1"])

        def watched(term: Term, scene: Scene, tf32: bool = tf32) -> torch.Tensor | None:
            value = penalty(term, scene)
            assert value is not None
            found[tf32] = value.detach().clone(), scene.on_fakes.score.detach().clone()
            return value

        monkeypatch.setattr(TERMS["r1"], "loss", watched)
        with Backends(tf32=tf32).for_a_while():
            inputs = inputs_on(make_inputs(a), device)
            train_discriminator(state, inputs, Objective(loss=Hinge()), Engine(device=device, terms=state.terms))
    (exact, exact_scores), (value, scores) = found[False], found[True]
    assert float((scores - exact_scores).abs().max()) > 1e-5, "this card has TF32"
    torch.testing.assert_close(value, exact, rtol=1e-5, atol=1e-7)


def test_float16_and_a_micro_batch_that_is_found(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", device="cuda", batch=8, micro_batch="auto", precision="float16", duration=32)
    train(config, "digits")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["used"]["found_micro_batch"] == 8
    assert final_state(tmp_path / "run")["scale/generator"][0] >= 1


def test_a_micro_batch_that_is_too_large_does_not_fit() -> None:
    config = resolve(TrainingConfig(model=tiny("biggan", resolution=(256, 256)), micro_batch="auto"), None, 1)
    device = torch.device("cuda")
    assert fits_on_gpu(config, 1, OwnStep(train_step, None), device)
    assert not fits_on_gpu(config, 2**16, OwnStep(train_step, None), device)


WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")


def test_an_update_that_runs_out_of_memory_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("biggan.training.setup.fitting", lambda *_: 4)
    own = program(tmp_path, number=1, after=1, failure='torch.empty(2**50, device="cuda")')
    config = tiny_config(tmp_path / "run", device="cuda", duration=32, compile="off", step=f"{own}:runs_out")
    train(dataclasses.replace(config, micro_batch="auto"), "digits")
    told = capsys.readouterr().out
    assert "batch statistics over 4 -> 2 images" in told
    assert "and the update is made again" in told
    assert all(torch.isfinite(value).all() for value in final_state(tmp_path / "run").values())


def test_a_whole_iteration_waits_for_nothing(tmp_path: Path) -> None:
    """With what it reads: no wait, and no copy from memory that is not page-locked, which waits without a word."""
    config = resolve(tiny_config(tmp_path / "run", device="cuda", batch=8, micro_batch=4), None, 1)
    device, source = torch.device("cuda"), open_source(config.data, config.model.resolution)
    state = make_state_of_run(config, device, OwnStep(train_step, None))
    state.train()
    engine, draws = make_engine(config, 1, state, device), make_draws(config, source, state, device)

    def iterate() -> None:
        inputs, _ = draws.next(state.images_seen)
        train_step(state, inputs, Objective(loss=Hinge()), engine)
        state.images_seen = inputs.images_seen

    for _ in range(3):
        iterate()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=list(torch.profiler.supported_activities())) as profile:
        for _ in range(3):
            iterate()
    names = Counter(event.name for event in profile.events())
    assert any("launch" in name.lower() for name in names), "kernels were seen"
    assert not [name for name in names if "Pageable -> Device" in name], names
    waits = sum(names[name] for name in WAITS)
    assert waits <= 1, f"the end of the profile alone: {names}"


def _rank(rank: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    device = torch.device("cuda", rank % torch.cuda.device_count())
    torch.cuda.set_device(device)
    # NCCL wants a GPU a rank; gloo carries what lies on one through the CPU.
    distributed.start(device if torch.cuda.device_count() > 1 else torch.device("cpu"))
    draw = torch.Generator().manual_seed(rank)
    x, weights = (torch.randn(5, 8, 6, 6, generator=draw).to(device) for _ in range(2))
    found = []
    plain = BatchNorm(8, 1e-5, 0.1).to(device).train()
    theirs = torch.nn.SyncBatchNorm(8, eps=1e-5, momentum=0.1, affine=False).to(device).train()
    for norm in (SharedBatchNorm(plain, distributed.gather_within(2), 2), theirs):
        leaf = x.clone().requires_grad_()
        y = norm(leaf)
        (y * weights).sum().backward()
        found.append((y.detach(), leaf.grad, norm.running_mean, norm.running_var))
    for ours, expected in zip(*found, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    save_file(
        {name: value.cpu() for name, value in trained("biggan", "phase", 2, rank, 2, None, device).items()},
        Path(folder) / str(rank),
    )
    distributed.stop()


def test_two_ranks_share_moments_as_pytorch_does_and_are_one_with_more_images(tmp_path: Path) -> None:
    spawn(_rank, (str(tmp_path), distributed_port()), 2)
    first, last = (load_file(tmp_path / str(rank)) for rank in range(2))
    assert_same_tensors(first, last)
    alone = trained("biggan", "phase", 2, 0, 1, None, torch.device("cuda"))
    assert alone.keys() == first.keys()
    for name, value in alone.items():
        torch.testing.assert_close(value.cpu(), first[name], rtol=1e-6, atol=1e-9)
