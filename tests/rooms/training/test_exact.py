"""``--statistics exact``: any division of a batch is the batch."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.courses import constant
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from biggan.layers.recomputing import Recomputation
from biggan.layers.shared_norm import share_batch_norms
from biggan.losses.adversarial import Hinge
from biggan.losses.orthogonal import Orthogonal
from biggan.training.batches import largest_plan, norm_group
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.planning import check_exact, plan_memory
from biggan.training.resolving import resolve
from biggan.training.setup import train
from biggan.training.step import Objective, train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_phases import share_of
from tests.rooms.training.test_run import final_state
from tests.rooms.training.test_shared_norm import assert_equal_to_float_noise
from tests.rooms.training.test_step import CPU, make_state

F64 = torch.float64
BATCH = 10


def trained(family: str, parts: int, rank: int, ranks: int) -> dict[str, Tensor]:
    """Three iterations with moments of the whole batch: weights, statistics, vectors, Adam's moments, average."""
    a = tiny(family)
    state = make_state(a, F64)
    state.generator.recompute = Recomputation()
    if ranks > 1:
        share_batch_norms(state.generator, distributed.gather_within(ranks), ranks)
    engine = Engine(
        device=CPU,
        accumulation={"discriminator": parts},
        terms={"orthogonal": Orthogonal(weight=constant(1e-3))},
        spectral_norm="phase",
        statistics="exact",
    )
    for seed in range(3):
        train_step(state, share_of(a, seed, Share(BATCH, rank, ranks, parts), BATCH), Objective(loss=Hinge()), engine)
    assert not engine.noise_scales, "it is unknown"
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()}


@pytest.mark.machine
@pytest.mark.parametrize("family", FAMILIES)
def test_micro_batches_are_one_batch(family: str) -> None:
    whole = trained(family, 1, 0, 1)
    for parts in (3, BATCH):
        assert_equal_to_float_noise(whole, trained(family, parts, 0, 1))


def _rank(rank: int, ranks: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    for family in FAMILIES:
        save_file(trained(family, 2, rank, ranks), Path(folder) / f"{family}-{rank}")
    distributed.stop()


@pytest.mark.machine
@pytest.mark.parametrize("ranks", [2, pytest.param(4, marks=pytest.mark.nightly)])
def test_ranks_are_one_batch(ranks: int, tmp_path: Path) -> None:
    """Of 10 images, 4 ranks have 3, 3, 2 and 2, in two micro-batches each."""
    spawn(_rank, (ranks, str(tmp_path), distributed_port()), ranks)
    for family in FAMILIES:
        first, last = (load_file(tmp_path / f"{family}-{rank}") for rank in (0, ranks - 1))
        assert_same_tensors(first, last)
        assert_equal_to_float_noise(trained(family, 1, 0, 1), first)


def exact(**values: object) -> TrainingConfig:
    return dataclasses.replace(tiny_config(), **{"statistics": "exact", "spectral_norm": "phase", **values})  # type: ignore[arg-type]


def test_a_run_goes_on_bitwise(tmp_path: Path) -> None:
    once, twice = (
        exact(run_dir=str(tmp_path / name), batch=8, micro_batch=4, duration=32) for name in ("once", "twice")
    )
    train(once)
    train(dataclasses.replace(twice, duration=16))
    train(twice)
    assert '"generator"' in (tmp_path / "once" / "config.json").read_text().partition('"recompute"')[2][:40]
    assert_same_tensors(final_state(tmp_path / "once"), final_state(tmp_path / "twice"))


def test_a_step_of_ones_own_that_calls_g_itself_is_told(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "def step(state, inputs, objective, engine):\n"
        "    G = engine.call(state.generator)\n"
        "    with engine.update(state, 'generator') as update:\n"
        "        for z, y in update.micro_batches(inputs.generator, inputs.generator_batch):\n"
        "            update.backward(G(z, y).mean())\n"
    )
    with pytest.raises(UserError, match=r"--statistics exact: .* 4 rows.*update\.generated"):
        train(exact(run_dir=str(tmp_path / "run"), batch=8, micro_batch=4, step=f"{own}:step"))


def test_compiled_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--statistics exact, which recomputes G: .* leave out --compile on"):
        train(exact(run_dir=str(tmp_path / "run"), batch=8, compile="on"))


def test_what_does_not_fit_is_refused_with_the_number(tmp_path: Path) -> None:
    wanted = exact(run_dir=str(tmp_path / "run"), batch=10_000_000, micro_batch=8)
    with pytest.raises(UserError, match=r"exact: 10000000 images at once.* need about [\d,.]+ GiB, and .* more ranks"):
        train(wanted)
    assert not (tmp_path / "run").exists()
    check_exact(dataclasses.replace(wanted, statistics="phase"), 1, CPU)


def test_memory_is_that_of_the_whole_share() -> None:
    def activations(**values: object) -> int:
        config = resolve(exact(batch=64, micro_batch=4, **values), None, 1)
        return plan_memory(config, largest_plan(config, 1)).activations

    assert activations(statistics="phase") < activations() < activations(batch_schedule="0:64,64:128")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"spectral_norm": "forward"},
            "exact: with --spectral-norm forward .* add --spectral-norm phase",
        ),
        ({"batch_schedule": "auto:64..256"}, r"--batch-schedule auto:64..256: with --statistics exact .* is unknown"),
        ({"norm_group": 2}, r"--norm-group 2: with --statistics exact all 4 ranks share; leave it out"),
        ({"model": tiny("biggan", normalization="layer")}, "exact: layer normalisation has no moments to merge"),
    ],
)
def test_what_cannot_be_exact(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        norm_group(resolve(exact(batch=64, **values), None, 4), 4)
    assert norm_group(exact(batch=256), 8) == 8
