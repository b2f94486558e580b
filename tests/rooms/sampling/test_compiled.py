"""Compiled sampling: the images of plain sampling to a grey level, by one graph, whatever batches they come in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import biggan
from biggan.cli.main import main
from biggan.evaluation.configuration import EvaluationConfig
from biggan.evaluation.streams import GeneratedStream
from biggan.foundation.compiling import Compiler
from biggan.sampling.sampler import Sampler
from tests.conftest import FAMILIES, tiny
from tests.snapshots import write

OTHERS = [pytest.param(family, marks=pytest.mark.nightly) for family in FAMILIES if family != "biggan"]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let no graph of another test count."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def furthest(one: Tensor, other: Tensor) -> int:
    """Return by how many grey levels two sets of images differ at most."""
    return int((one.int() - other.int()).abs().max())


def with_compiler(plain: Sampler, compiler: Compiler) -> Sampler:
    return Sampler(plain.generator, plain.info, plain.path, plain.bank, compiler)


@pytest.mark.parametrize("family", ["biggan", *OTHERS])
def test_images_are_those_of_plain_sampling_and_need_one_graph(family: str, tmp_path: Path) -> None:
    plain = biggan.load(write(tmp_path / "x.safetensors", tiny(family, channels=3)), device="cpu")
    compiler = Compiler("aot_eager")
    compiled = with_compiler(plain, compiler)
    classes, seeds = [1, 2, 3, 4, 5, 6, 7], range(10, 17)
    expected = plain.sample(classes, seeds, 0.7, chunk=3)
    found = compiled.sample(classes, seeds, 0.7, chunk=3)
    assert furthest(found, expected) <= 1
    alone = compiled.sample([5], [14], 0.7, chunk=3)
    assert furthest(alone[0], found[4]) <= 1
    assert compiler.graphs == 1, "batches are filled up, the last one of a call and a single image too"
    assert not torch._dynamo.utils.counters["graph_break"]
    assert furthest(compiled.sample(classes, seeds, 0.7), expected) <= 1, "without a chunk all are one batch"
    assert compiler.graphs == 2


def test_what_cannot_be_compiled_is_drawn_plainly_and_said_once(snapshot: Path) -> None:
    def unable(*_: Any) -> Any:
        raise RuntimeError("no compiler here")

    torch._dynamo.register_backend(unable, name="unable")  # type: ignore[no-untyped-call]
    said: list[str] = []
    plain = biggan.load(snapshot, device="cpu")
    compiled = with_compiler(plain, Compiler("unable", tell=said.append))
    for seeds in ((0, 1, 2), (3, 4, 5)):
        assert torch.equal(compiled.sample(seeds=seeds, chunk=3), plain.sample(seeds=seeds, chunk=3))
    assert len(said) == 1
    assert "no compiler here" in said[0]


@pytest.mark.parametrize("mode", ["running", pytest.param("batch", marks=pytest.mark.nightly)])
def test_an_evaluation_sees_the_same_images(mode: Any, snapshot: Path) -> None:
    """Three images at a time, seven in all; by the statistics of each batch the last one must not be filled up."""
    config = EvaluationConfig(count=7, batch=3, generator_mode=mode)
    generator = biggan.load(snapshot, device="cpu").generator
    if mode == "batch":
        generator.train()
        for layer in generator.modules():  # statistics of each batch, weights as in evaluation
            layer.training = not hasattr(layer, "power")
    compiler = Compiler("aot_eager")
    plain, compiled = (GeneratedStream(generator, config, None, one) for one in (None, compiler))
    for start in range(0, 7, 3):
        indices = torch.arange(start, min(start + 3, 7))
        assert furthest(compiled.images(indices), plain.images(indices)) <= 1
        difference = (compiled.read(indices, floats=True).pixels - plain.read(indices, floats=True).pixels).abs().max()
        assert float(difference) < 1e-5
    assert compiler.graphs == 2, "held weights and others, or whole batches and the last one"


@pytest.mark.nightly
@pytest.mark.parametrize("family", FAMILIES)
def test_the_command_by_inductor(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "x.safetensors", tiny(family, channels=3))
    images, before = [], torch._dynamo.utils.counters["stats"]["unique_graphs"]  # of the process
    for name, words in (("plain", []), ("compiled", ["--compile"])):
        out = tmp_path / name
        command = ["sample", str(file), "--out", str(out), "--count", "7", "--batch", "3", "--format", "npz"]
        assert main([*command, "--device", "cpu", *words]) == 0
        with np.load(out / "samples.npz") as archive:
            images.append(torch.from_numpy(archive["x"]))
    assert furthest(*images) <= 1
    assert "not compiled" not in capsys.readouterr().err
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + 1


@pytest.mark.nightly
def test_inductor_compiles_one_graph_and_nothing_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    plain = biggan.load(write(tmp_path / "x.safetensors", tiny("biggan", channels=3)), device="cpu")
    compiler = Compiler(tell=said.append)
    compiled = with_compiler(plain, compiler)
    for seeds in (range(4), range(4, 7)):
        assert furthest(compiled.sample(seeds=seeds, chunk=4), plain.sample(seeds=seeds, chunk=4)) <= 1
    assert compiler.graphs == 1
    assert not said
