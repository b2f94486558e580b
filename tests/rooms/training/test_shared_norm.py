"""Batch norm over ranks: 2 ranks of b images are one of 2b."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.compiling import Compiler
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from biggan.layers.normalization import BatchNorm
from biggan.layers.shared_norm import SharedBatchNorm, share_batch_norms
from biggan.losses.adversarial import Hinge
from biggan.models.architecture import SpectralNorm
from biggan.training.batches import norm_group
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.step import Objective, train_step
from tests.conftest import FAMILIES, assert_same_tensors, tiny
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_phases import share_of
from tests.rooms.training.test_step import CPU, inputs_on, make_state, move

BATCH = 8
NORMALIZED = [family for family in FAMILIES if family != "r3gan"]
CASES = [(family, rhythm, passes) for family in NORMALIZED for rhythm in ("phase", "forward") for passes in (1, 2)]
F64 = torch.float64


def trained(
    family: str,
    rhythm: str,
    passes: int,
    rank: int,
    ranks: int,
    compiler: Compiler | None = None,
    device: torch.device = CPU,
    group: int | None = None,
) -> dict[str, Tensor]:
    """Five iterations in which every rank has ``passes`` micro-batches, with shared moments where there are ranks.

    ``group`` ranks share them, all by default.
    """
    a = tiny(family, generator_spectral_norm=SpectralNorm(singular_values=2))
    state = make_state(a, F64)
    move(state, device)
    if ranks > 1:
        sharing = group or ranks
        assert share_batch_norms(state.generator, distributed.gather_within(sharing), sharing)
    engine = Engine(
        device=device,
        accumulation={"discriminator": passes},
        spectral_norm=rhythm,  # type: ignore[arg-type]
        statistics=rhythm,  # type: ignore[arg-type]
        compiler=compiler,
    )
    for seed in range(5):
        inputs = share_of(a, seed, Share(BATCH, rank, ranks, passes), BATCH)
        train_step(state, inputs_on(inputs, device), Objective(loss=Hinge()), engine)
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()}


def _rank(rank: int, ranks: int, folder: str, port: int, cases: list[tuple[str, str, int]]) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    for case in cases:
        save_file(trained(*case, rank, ranks), Path(folder) / f"{'-'.join(map(str, case))}-{rank}")
    if len(cases) > len(QUICK):
        compiler = Compiler("aot_eager")
        save_file(trained(*cases[0], rank, ranks, compiler), Path(folder) / f"compiled-{rank}")
        (Path(folder) / f"graphs-{rank}").write_text(f"{compiler.graphs} {compiler.failed}")
    uneven(rank, ranks)
    distributed.stop()


def _rank_of_pairs(rank: int, ranks: int, folder: str, port: int, passes: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    save_file(trained("biggan", "phase", passes, rank, ranks, group=2), Path(folder) / str(rank))
    distributed.stop()


@pytest.mark.machine
@pytest.mark.parametrize("passes", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_some_of_the_ranks_may_share(passes: int, tmp_path: Path) -> None:
    """Two pairs of ranks: each pair has the moments of its own images, and a pass of all makes two groups of a rank."""
    spawn(_rank_of_pairs, (4, str(tmp_path), distributed_port(), passes), 4)
    ranks = [load_file(tmp_path / str(rank)) for rank in range(4)]
    for other in ranks[1:]:
        assert_same_tensors(ranks[0], other)
    assert_equal_to_float_noise(trained("biggan", "phase", 2 * passes, 0, 1), ranks[0])


def uneven(rank: int, ranks: int) -> None:
    """Shares of 1, 2, ... images weigh as they should, and a gradient reaches the images of all."""
    sizes = list(range(1, ranks + 1))
    x = 100 + torch.randn(sum(sizes), 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    here = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
    plain = BatchNorm(3, 1e-5, 0.1).double().train()
    shared = SharedBatchNorm(copy.deepcopy(plain), distributed.gather_within(ranks), ranks)
    whole, part = x.clone().requires_grad_(), x[here].clone().requires_grad_()
    y, z = plain(whole), shared(part)
    (y * weights).sum().backward()
    (z * weights[here]).sum().backward()
    assert whole.grad is not None
    assert part.grad is not None
    assert torch.allclose(y[here], z, rtol=1e-10, atol=1e-10)
    assert torch.allclose(whole.grad[here], part.grad, rtol=1e-8, atol=1e-10)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(plain, name), getattr(shared, name), rtol=1e-12)
    alone = copy.deepcopy(shared)
    assert type(alone) is BatchNorm
    assert torch.equal(shared.eval()(part), alone.eval()(part))
    if rank == 0:
        alone.train()(part)  # which waits for nobody


QUICK = [case for case in CASES if case in ((FAMILIES[0], "phase", 2), (FAMILIES[1], "forward", 1))]


@pytest.mark.machine
@pytest.mark.parametrize(
    ("ranks", "cases"),
    [
        pytest.param(2, QUICK, id="2"),
        pytest.param(2, CASES, marks=pytest.mark.nightly, id="2-all"),
        pytest.param(4, CASES, marks=pytest.mark.nightly, id="4-all"),
    ],
)
def test_ranks_with_shared_moments_are_one_with_more_images(
    ranks: int, cases: list[tuple[str, str, int]], tmp_path: Path
) -> None:
    spawn(_rank, (ranks, str(tmp_path), distributed_port(), cases), ranks)
    assert cases
    if len(cases) > len(QUICK):
        graphs, failed = (tmp_path / "graphs-0").read_text().split()
        print(f"\n{graphs} graphs of both networks, broken at the messages")
        assert failed == "False"
        assert int(graphs) > 8, "a message is no part of a graph"
        assert_equal_to_float_noise(trained(*cases[0], 0, 1), load_file(tmp_path / "compiled-0"))
    for case in cases:
        alone = trained(*case, 0, 1)
        first, last = (load_file(tmp_path / f"{'-'.join(map(str, case))}-{rank}") for rank in (0, ranks - 1))
        assert_same_tensors(first, last)
        assert_equal_to_float_noise(alone, first)


def assert_equal_to_float_noise(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert (tensor - other[name]).abs().max() <= 1e-9 * max(float(tensor.abs().max()), 1e-3), name


def test_the_noise_of_moments_that_others_share_is_unknown() -> None:
    a = tiny("biggan")
    state = make_state(a, F64)
    share_batch_norms(state.generator, lambda vector: vector.expand(2, -1), 2)
    engine = Engine(device=CPU, accumulation={"discriminator": 2})
    train_step(state, share_of(a, 0, Share(BATCH, 0, 1, 2), BATCH), Objective(loss=Hinge()), engine)
    assert set(engine.noise_scales) == {"discriminator"}


@pytest.mark.parametrize(
    ("batch", "ranks", "asked", "found"),
    [(256, 8, None, 1), (64, 8, None, 4), (72, 6, None, 3), (8, 8, None, 8), (8, 1, None, 1), (64, 8, 2, 2)],
)
def test_ranks_share_until_there_are_images_enough(batch: int, ranks: int, asked: int | None, found: int) -> None:
    assert norm_group(TrainingConfig(model=tiny("biggan"), batch=batch, norm_group=asked), ranks) == found


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"norm_group": 3}, r"--norm-group 3: of 8 ranks, groups of equal size have 1, 2, 4, 8"),
        ({"norm_group": 2, "model": tiny("biggan", normalization="layer")}, "layer normalisation shares no moments"),
    ],
)
def test_groups_that_cannot_be(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        norm_group(TrainingConfig(**{"model": tiny("biggan"), "batch": 64, **values}), 8)  # type: ignore[arg-type]
