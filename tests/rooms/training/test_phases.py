"""What belongs to a phase and not to a forward: statistics, the flat gradient, the noise scale; and who waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from biggan.foundation import distributed
from biggan.foundation.courses import constant
from biggan.foundation.groups import Share, split_evenly
from biggan.layers.gathered_statistics import gathered_statistics
from biggan.layers.normalization import BatchNorm, BiasedBatchNorm, RunningInstanceNorm
from biggan.losses.adversarial import Hinge
from biggan.losses.orthogonal import Orthogonal
from biggan.training.configuration import AdamConfig, MovingAverageConfig
from biggan.training.ema import MovingAverage
from biggan.training.engine import Engine
from biggan.training.gradients import FlatGradients
from biggan.training.noise_scale import ratio
from biggan.training.optimizers import make_adam
from biggan.training.state import TrainState
from biggan.training.step import DiscriminatorBatch, GeneratorBatch, Objective, StepInputs, train_step
from tests.conftest import FAMILIES, tiny
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_step import CPU, make_inputs, make_state

F64 = torch.float64
BATCH = 18
GROUPS = 8
NORMS = [BatchNorm, BiasedBatchNorm, RunningInstanceNorm]


# -- statistics --------------------------------------------------------------------------------------------------------


def inputs_of(sizes: list[int]) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(size, 3, 4, 4, generator=draw, dtype=F64) * (place + 1) for place, size in enumerate(sizes)]


@pytest.mark.parametrize("kind", NORMS)
def test_one_group_moves_statistics_as_a_forward_does(kind: type[BatchNorm]) -> None:
    gathers, moves = kind(3, 1e-5, 0.1).double().train(), kind(3, 1e-5, 0.1).double().train()
    (x,) = inputs_of([5])
    with gathered_statistics([nn.Sequential(gathers)]):
        y = gathers(x)
        assert torch.equal(gathers.running_mean, torch.zeros(3, dtype=F64)), "not before the end"
    assert torch.equal(y, moves(x))
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(gathers, name), getattr(moves, name), rtol=1e-12)


@pytest.mark.parametrize("kind", NORMS)
def test_statistics_move_once_by_the_mean_of_all_groups(kind: type[BatchNorm]) -> None:
    sizes = [3, 3, 2]
    norm = kind(3, 1e-5, 0.1).double().train()
    moments = []
    for x in inputs_of(sizes):
        alone = kind(3, 1e-5, 1.0).double().train()
        alone(x)
        moments.append((alone.running_mean, alone.running_var))
    with gathered_statistics([norm]):
        for x in inputs_of(sizes):
            norm(x)
    share = 1 - 0.9**3
    for place, (name, start) in enumerate((("running_mean", 0.0), ("running_var", 1.0))):
        mean = torch.stack([n * m[place] for n, m in zip(sizes, moments, strict=True)]).sum(0) / sum(sizes)
        assert torch.allclose(getattr(norm, name), (1 - share) * start + share * mean, rtol=1e-12), name


def test_nothing_moves_by_nothing_nor_in_evaluation() -> None:
    norm = BatchNorm(3, 1e-5, 0.1).double().train()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    with gathered_statistics([norm]):
        pass
    with gathered_statistics([norm.eval()]):
        norm(inputs_of([4])[0])

    def fails() -> None:
        with gathered_statistics([norm.train()]):
            norm(inputs_of([4])[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert norm.gathered is None
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


# -- who sees which group ----------------------------------------------------------------------------------------------


def share_of(a: Any, seed: int, share: Share, batch: int = BATCH) -> StepInputs:
    """One rank's share of a batch that is the same for any number of ranks."""
    whole = make_inputs(a, batch=batch, dtype=F64, seed=seed)
    rows = torch.from_numpy(share.places)
    (d,), g = whole.discriminator, whole.generator
    return StepInputs(
        discriminator=(DiscriminatorBatch(d.images.to(CPU, non_blocking=False)[rows], *(t[rows] for t in d[1:])),),
        generator=GeneratorBatch(*(t[rows] for t in g)),
        batch=batch,
        generator_batch=batch,
        images_seen=(seed + 1) * batch,
    )


def trained(family: str, rank: int, ranks: int) -> dict[str, Tensor]:
    """Two iterations of the same groups, with everything by phase; weights, statistics, vectors, moments, average."""
    a = tiny(family)
    state, groups = make_state(a, F64), GROUPS // ranks
    engine = Engine(
        device=CPU,
        accumulation={"discriminator": groups},
        terms={"orthogonal": Orthogonal(weight=constant(1e-3))},
        spectral_norm="phase",
        statistics="phase",
    )
    for seed in range(2):
        train_step(state, share_of(a, seed, Share(BATCH, rank, ranks, groups)), Objective(loss=Hinge()), engine)
    scales = {f"noise/{name}": scale.take() for name, scale in engine.noise_scales.items()}
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()} | scales


def _rank(rank: int, ranks: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    for family in FAMILIES:
        save_file(trained(family, rank, ranks), Path(folder) / f"{family}-{rank}")
    for parts in (1, 3):  # one group a rank is enough where there are several
        measured, true = toy_scale(parts, rank, ranks)
        assert measured == pytest.approx(true, rel=0.05), parts
    distributed.stop()


@pytest.mark.machine
@pytest.mark.parametrize("ranks", [2, *(pytest.param(n, marks=pytest.mark.nightly) for n in (4, 8))])
def test_weights_do_not_depend_on_who_sees_which_group(ranks: int, tmp_path: Path) -> None:
    spawn(_rank, (ranks, str(tmp_path), distributed_port()), ranks)
    for family in FAMILIES:
        alone, several = trained(family, 0, 1), load_file(tmp_path / f"{family}-0")
        assert alone.keys() == several.keys()
        for name, tensor in alone.items():
            if name.startswith("noise"):
                continue  # of as many first groups as ranks in place of one: another estimate of the same
            assert (tensor - several[name]).abs().max() <= 1e-10 * max(float(tensor.abs().max()), 1e-3), (family, name)
        assert {name for name in alone if name.startswith("noise")} == {"noise/generator", "noise/discriminator"}
        last = load_file(tmp_path / f"{family}-{ranks - 1}")
        assert all(torch.equal(tensor, last[name]) for name, tensor in several.items())


# -- the flat gradient -------------------------------------------------------------------------------------------------


def test_gradients_are_views_that_lie_as_their_weights() -> None:
    network = make_state(tiny("biggan")).discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    frozen = next(network.parameters())
    frozen.requires_grad_(False)
    gradients = FlatGradients(network)
    gradients.clear()
    network(torch.randn(2, 1, 16, 16), torch.zeros(2, dtype=torch.int64)).sum().backward()
    trains = [p for p in network.parameters() if p is not frozen]
    assert frozen.grad is None
    assert len({p.grad.untyped_storage().data_ptr() for p in trains}) == 1  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.stride() == p.stride() and p.grad.any() for p in trains)
    kept = [p.grad.clone() for p in trains]  # type: ignore[union-attr]
    trains[0].grad = 2 * kept[0]  # as a step of one's own may leave it
    found = gradients.collect()
    assert len(found) == len(trains)
    assert torch.equal(found[0], 2 * kept[0])
    assert all(torch.equal(a, b) for a, b in zip(found[1:], kept[1:], strict=True))
    gradients.clear()
    assert not any(p.grad.any() for p in trains)  # type: ignore[union-attr]
    assert gradients.belongs_to(network)
    assert not gradients.belongs_to(network.double())


# -- the noise scale ---------------------------------------------------------------------------------------------------


class Toy(nn.Module):
    """The loss |w - x|^2 / 2 of x ~ N(mu, s^2): gradients w - x, whose noise and mean are known."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(size, dtype=F64))

    def forward(self, x: Tensor) -> Tensor:
        """Return the loss of each row."""
        return (self.w - x).square().sum(1) / 2


def toy_scale(parts: int, rank: int = 0, ranks: int = 1, updates: int = 400, batch: int = 30) -> tuple[float, float]:
    """Return the measured noise scale, and the true one."""
    rows = torch.from_numpy(Share(batch, rank, ranks, parts).places)
    size, s, mu = 40, 2.0, 0.4
    toy = Toy(size)
    state = TrainState(
        networks={"generator": toy, "discriminator": nn.Identity()},  # type: ignore[dict-item]
        optimizers={"generator": make_adam(toy, AdamConfig(learning_rate=0.0))},
        average=MovingAverage(MovingAverageConfig(enabled=False), toy),  # type: ignore[arg-type]
    )
    engine, draw = Engine(device=CPU, accumulation={"generator": parts}), torch.Generator().manual_seed(0)
    for _ in range(updates):
        x = (mu + s * torch.randn(batch, size, generator=draw, dtype=F64))[rows]
        with engine.update(state, "generator") as update:
            for (part,) in update.micro_batches([x], batch):
                update.backward(toy(part).mean())
    measured = ratio(engine.noise_scales["generator"].take().tolist())
    assert measured is not None
    return measured, size * s**2 / (size * (1 - mu) ** 2)


@pytest.mark.parametrize("parts", [2, 4, 15])
def test_the_noise_scale_is_that_of_a_toy(parts: int) -> None:
    measured, true = toy_scale(parts)
    assert measured == pytest.approx(true, rel=0.05)


def test_of_one_group_the_noise_scale_is_unknown() -> None:
    a, engine = tiny("biggan"), Engine(device=CPU)
    train_step(make_state(a), make_inputs(a), Objective(loss=Hinge()), engine)
    assert not engine.noise_scales
    assert ratio([0.0, 0.0, 0.0]) is None
    assert ratio([1.0, -1.0, 5.0]) is None


@pytest.mark.parametrize("by_phase", [False, True])
def test_measuring_it_changes_no_gradient(by_phase: bool) -> None:
    """Pulling gradients back through W / sigma after the first group, and the rest at the end, is linear."""
    a = tiny("biggan")
    state, x, y = make_state(a, F64), torch.randn(6, 1, 16, 16, dtype=F64), torch.zeros(6, dtype=torch.int64)
    engine = Engine(device=CPU, accumulation={"discriminator": 3}, spectral_norm="phase" if by_phase else "forward")
    with engine.update(state, "discriminator") as update:
        for images, labels in update.micro_batches([x, y], 6):
            update.backward(state.discriminator(images, labels).square().mean())
    once = make_state(a, F64)
    once.optimizers["discriminator"].zero_grad()
    with gathered_or_not(by_phase, once):
        for images, labels in zip(x.split(split_evenly(6, 3)), y.split(split_evenly(6, 3)), strict=True):
            (once.discriminator(images, labels).square().mean() / 3).backward()
    for (name, p), q in zip(state.discriminator.named_parameters(), once.discriminator.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert (p.grad - q.grad).abs().max() <= 1e-12 * q.grad.abs().max(), name


def gathered_or_not(by_phase: bool, state: TrainState) -> Any:
    import contextlib

    from biggan.layers.held_weights import held_weights

    return held_weights([state.discriminator]) if by_phase else contextlib.nullcontext()
