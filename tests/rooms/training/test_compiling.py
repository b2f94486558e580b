"""Compiled networks train as plain ones do, in few graphs, and where that cannot be, plainly."""

from __future__ import annotations

import dataclasses
import gc
import json
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.backends.common import aot_autograd
from torch._functorch import config as functorch

from biggan.cli.main import main
from biggan.foundation import compiling
from biggan.foundation.compiling import Compiler
from biggan.losses.adversarial import Hinge
from biggan.losses.terms import parse_terms
from biggan.training.assembly import make_compiler
from biggan.training.configuration import CheckpointConfig, TrainingConfig
from biggan.training.engine import Engine
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import FAMILIES, tiny, tiny_config
from tests.rooms.training.test_step import AFTER_ADAM, CPU, make_inputs, make_state

F64 = torch.float64
MOST_GRAPHS = 8


@pytest.fixture(autouse=True)
def forgotten() -> Any:
    """Let no graph of another test count."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def cases() -> list[Any]:
    found = []
    for family in FAMILIES:
        for rhythm in ("phase", "forward"):
            found.append(pytest.param(family, rhythm, 5, marks=pytest.mark.nightly))
    return [pytest.param("biggan", "phase", 4), *found]


@pytest.mark.parametrize(("family", "rhythm", "batch"), cases())
def test_compiled_networks_train_alike_in_few_graphs(family: str, rhythm: Any, batch: int) -> None:
    """Two phases, one or two sizes of micro-batches, and none compiled after the second update."""
    a, states, compiler = tiny(family), {}, Compiler("aot_eager")
    for one in (None, compiler):
        engine = Engine(
            device=CPU,
            accumulation={"discriminator": 2},
            spectral_norm=rhythm,
            statistics=rhythm,
            compiler=one,
        )
        state, graphs = make_state(a, F64), []
        assert engine.call(state.generator) is engine.call(state.generator)
        for seed in range(3):
            inputs = make_inputs(a, batch=batch, dtype=F64, seed=seed)
            train_step(state, inputs, Objective(loss=Hinge()), engine)
            graphs.append(compiler.graphs)
        states[one] = state.tensors()
    assert 0 < graphs[0] == graphs[-1] <= 2 * MOST_GRAPHS
    assert not torch._dynamo.utils.counters["graph_break"]
    for name, ours in states[compiler].items():
        assert torch.allclose(ours, states[None][name], rtol=1e-9, atol=AFTER_ADAM), name


def test_memory_is_given_back_while_it_compiles_and_once_after(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(compiling, "give_back_freed_memory", lambda: given.append(None))
    twice = Compiler("eager")(lambda x: 2 * x)
    counts = []
    for size in (2, 2, 2, 3, 3, 3):
        assert torch.equal(twice(torch.ones(size)), torch.full((size,), 2.0))
        counts.append(len(given))
    assert counts == [1, 2, 2, 3, 4, 4]


def test_what_lies_in_circles_is_gone_when_memory_is_given_back() -> None:
    class Leaving:
        def __init__(self) -> None:
            self.itself = self

    twice = Compiler("eager")(lambda x: 2 * x)
    gc.disable()
    try:
        twice(torch.ones(2))
        left = weakref.ref(Leaving())
        twice(torch.ones(2))  # the first that does not compile
        assert left() is None
    finally:
        gc.enable()


def test_what_a_recorded_graph_writes_is_copied_before_it_is_kept() -> None:
    """The next call writes to the same place; here that of the input, which the network returns as it is."""

    def both(x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return x, {"again": x}

    x = torch.zeros(3)
    for recorded in (False, True):
        first, rest = Compiler("eager", cuda_graphs=recorded)(both)(x)
        kept = {tensor.data_ptr() for tensor in (first, rest["again"])}
        assert (x.data_ptr() in kept) != recorded
        assert torch.equal(first, x)
        assert torch.equal(rest["again"], x)


def test_a_run_counts_its_graphs_in_each_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is compiled after the first line, which is that of two updates; checkpoints and sheets ask for none."""
    monkeypatch.setattr("biggan.training.assembly.Compiler", partial(Compiler, "eager"))
    config = tiny_config(tmp_path / "run", "sngan", compile="on", duration=32, checkpoint=CheckpointConfig(every=16))
    train(dataclasses.replace(config, log=dataclasses.replace(config.log, every=8, samples_every=16)), "digits")
    lines = map(json.loads, (tmp_path / "run" / "stats.jsonl").read_text().splitlines())
    counted = [line["compiled_graphs"] for line in lines if "compiled_graphs" in line]
    assert len(counted) == 4
    assert 0 < counted[0] == counted[-1] <= 2 * MOST_GRAPHS


@pytest.mark.parametrize("rhythm", ["phase", pytest.param("forward", marks=pytest.mark.nightly)])
def test_autocast_breaks_no_graph(rhythm: Any) -> None:
    compiler = Compiler("aot_eager")
    engine = Engine(device=CPU, narrow=torch.bfloat16, spectral_norm=rhythm, statistics=rhythm, compiler=compiler)
    state, graphs = make_state(tiny("biggan", generator_attention=("8",))), []
    for seed in range(2):
        train_step(state, make_inputs(tiny("biggan"), seed=seed), Objective(loss=Hinge()), engine)
        graphs.append(compiler.graphs)
    assert graphs[0] == graphs[1] == 4, "G without and with a graph, D for itself and for G"
    assert not torch._dynamo.utils.counters["graph_break"]


def test_that_it_will_take_a_while_is_said_before() -> None:
    said: list[str] = []
    assert make_compiler(TrainingConfig(compile="on"), CPU, said.append) is not None
    assert "a minute or more (--compile off" in said.pop()
    assert make_compiler(TrainingConfig(compile="auto"), CPU, said.append) is None
    assert not said


def test_what_cannot_be_compiled_runs_plainly_and_says_so_once() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no compiler here")

    torch._dynamo.register_backend(broken, name="broken")  # type: ignore[no-untyped-call]
    said: list[str] = []
    a, states = tiny("biggan"), []
    for compiler in (None, Compiler("broken", tell=said.append)):
        state = make_state(a)
        for seed in range(2):
            train_step(state, make_inputs(a, seed=seed), Objective(loss=Hinge()), Engine(device=CPU, compiler=compiler))
        states.append(state.tensors())
    assert len(said) == 1
    assert "not compiled, which is slower and else the same" in said[0]
    assert "no compiler here" in said[0]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cuda-graphs", "--device", "cpu"], "--cuda-graphs: of a GPU with CUDA only, and this run is on cpu"),
        (["--cuda-graphs", "--compile", "off"], "--cuda-graphs: records what was compiled; leave out --compile off"),
        (["--recompute", "generator", "--compile", "on"], "--recompute: of networks that run as they are written"),
    ],
)
def test_options_that_cannot_be(words: list[str], message: str, tmp_path: Any, capsys: Any) -> None:
    assert main(["train", "digits", "--run-dir", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(
    not hasattr(functorch, "force_non_lazy_backward_lowering"),
    reason="this PyTorch cannot compile a backward pass before it is needed",
)
def test_a_backward_pass_that_cannot_be_compiled_is_heard_before_it_is_needed() -> None:
    def fails(*_: Any) -> Any:
        raise NotImplementedError("no such kernel")

    said: list[str] = []
    backend = aot_autograd(fw_compiler=lambda graph, _: graph.forward, bw_compiler=fails)
    a, states = tiny("sngan"), []
    for compiler in (None, Compiler(backend, tell=said.append)):
        state = make_state(a, F64)
        engine = Engine(device=CPU, compiler=compiler)
        for seed in range(2):
            train_step(state, make_inputs(a, dtype=F64, seed=seed), Objective(loss=Hinge()), engine)
        states.append(state.tensors())
    (line,) = said
    assert "not compiled" in line
    assert "no such kernel" in line
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


@pytest.mark.parametrize(
    ("family", "words"),
    [("sngan", ["cr", "r1"]), pytest.param("biggan", ["cr", "r1", "zcr", "lecam,start=1"], marks=pytest.mark.nightly)],
)
def test_terms_act_beside_compiled_networks(family: str, words: list[str]) -> None:
    """Passes of their own are compiled apart or not at all; none is compiled after the second update."""
    a, states, graphs = tiny(family), [], []
    for compiler in (None, Compiler("aot_eager")):
        state = make_state(a, F64)
        state.terms = parse_terms(words)
        for term in state.terms.values():
            term.begin(CPU)
        engine = Engine(device=CPU, terms=state.terms, compiler=compiler)
        for seed in range(3):
            train_step(state, make_inputs(a, dtype=F64, seed=seed), Objective(loss=Hinge()), engine)
            graphs.append(0 if compiler is None else compiler.graphs)
        states.append(state.tensors())
    assert 0 < graphs[-2] == graphs[-1] <= 2 * MOST_GRAPHS
    for name, value in states[0].items():
        assert torch.allclose(states[1][name], value, rtol=1e-7, atol=1e-9), name
