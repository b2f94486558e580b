"""Nobody waits: an iteration reads nothing off its device, with all that it is made of."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from biggan.data.opening import open_source
from biggan.foundation.courses import constant
from biggan.losses.adversarial import Hinge
from biggan.losses.orthogonal import Orthogonal
from biggan.training.assembly import make_draws, make_engine
from biggan.training.assembly import make_state as make_state_of_run
from biggan.training.engine import Engine
from biggan.training.hooks.statistics import Statistics
from biggan.training.own_step import OwnStep
from biggan.training.resolving import resolve
from biggan.training.run import Run
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import FAMILIES, tiny, tiny_config
from tests.rooms.training.test_step import CPU, make_inputs, make_state

READ = ("aten._local_scalar_dense", "aten.item", "aten.is_nonzero", "aten.nonzero", "aten.equal")
WAITS = (*READ, "aten.scalar_tensor")
FRESH = "aten.lift_fresh"
"""Of numbers, or of an array, which is page-locked before it is moved."""


class Waits(TorchDispatchMode):
    """Counts what makes a host wait for its device: a number that is read off a tensor, or put into one.

    What is put into one is copied from memory that is not page-locked, and no debug mode of PyTorch's tells of it.
    """

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func)
        if name.startswith(self.names):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rhythm", ["phase", "forward"])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_iteration_reads_nothing_off_the_device(family: str, rhythm: Any) -> None:
    a = tiny(family)
    engine = Engine(
        device=CPU,
        accumulation={"discriminator": 2},
        terms={"orthogonal": Orthogonal(weight=constant(1e-3))},
        spectral_norm=rhythm,
        statistics=rhythm,
    )
    state, inputs = make_state(a), make_inputs(a, steps=2)
    with Waits(*WAITS, FRESH) as watched:
        for _ in range(2):
            train_step(state, inputs, Objective(loss=Hinge()), engine)
        assert not watched.found
        engine.guard.check()
    assert watched.found, "which does read"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({}, id="plain"),
        pytest.param({"statistics": "exact", "spectral_norm": "phase"}, id="exact"),
        pytest.param({"precision": "float16", "recompute": ("generator", "discriminator")}, id="float16"),
        pytest.param({"batch_schedule": "auto:8..32", "precision": "bfloat16"}, id="auto"),
    ],
)
def test_nor_does_what_a_run_is_made_of(values: dict[str, Any], tmp_path: Path) -> None:
    """Reading, mirroring, drawing, rates, scales, the noise scale."""
    config = resolve(tiny_config(tmp_path / "run", device="cpu", batch=8, micro_batch=4, **values), None, 1)
    state, source = (
        make_state_of_run(config, CPU, OwnStep(train_step, None)),
        open_source(config.data, config.model.resolution),
    )
    state.train()
    engine, draws = make_engine(config, 1, state, CPU), make_draws(config, source, state, CPU)
    with Waits(*WAITS) as watched:
        for _ in range(3):
            inputs, problems = draws.next(state.images_seen)
            assert not problems
            train_step(state, inputs, Objective(loss=Hinge()), engine)
            state.images_seen = inputs.images_seen
        assert not watched.found


class Reads(TorchFunctionMode):
    """Notes how numbers come off tensors: what each of these asks for is a copy, and is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("tolist", "item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_a_line_of_statistics_is_read_in_one_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, norms, noise, scales, and the singular values of every layer."""
    act, reads = Statistics._act, []

    def watched(self: Statistics, run: Run) -> None:
        with Reads() as watching:
            act(self, run)
        reads.append(watching.found)

    monkeypatch.setattr(Statistics, "_act", watched)
    config = tiny_config(tmp_path / "run", batch=8, micro_batch=4, duration=16, precision="float16")
    train(dataclasses.replace(config, log=dataclasses.replace(config.log, every=8)), "digits")
    assert reads == [["tolist"]] * 2
    line = json.loads((tmp_path / "run" / "stats.jsonl").read_text().splitlines()[-1])
    assert {"G_loss", "generator_gradient_norm", "generator_noise_scale", "generator_loss_scale"} <= line.keys()
    assert len(line["singular_values"]) > 10
