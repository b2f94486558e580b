"""One update of one network, collected in any number of calls and on any number of ranks; what is moved, and when."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.data.configuration import DataConfig
from biggan.data.order.loader import Batch
from biggan.data.order.transforms import Transforms
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.losses.adversarial import Hinge
from biggan.models.architecture import SpectralNorm
from biggan.training.draws import FakeDraws, HostImages, RealBatches, StepDraws
from biggan.training.engine import Engine
from biggan.training.state import TrainState
from biggan.training.step import Objective, train_step
from biggan.training.update import Update
from tests.conftest import tiny
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_step import make_state

CPU = torch.device("cpu")
ROWS = 7  # odd: two ranks have unequal shares
BATCH_NORM = tiny("biggan", generator_spectral_norm=SpectralNorm(enabled=False))


def batches(calls: int) -> list[tuple[Tensor, Tensor]]:
    """Latents float64 and labels of each call: the first of ROWS rows, the second of two fewer, from elsewhere."""
    draw = torch.Generator().manual_seed(5)
    found = []
    for call in range(calls):
        rows = ROWS - 2 * call
        z = torch.randn(rows, BATCH_NORM.z_size, generator=draw, dtype=torch.float64) * (1 + 2 * call) + call
        found.append((z, torch.randint(10, (rows,), generator=draw)))
    return found


def own_update(state: TrainState, calls: int, rank: int, ranks: int) -> None:
    """Collect G's gradient in ``calls`` passes over different batches, as a step of one's own might."""
    with Engine(device=CPU).update(state, "generator") as update:
        for tensors in batches(calls):
            share = Share(len(tensors[0]), rank, ranks)
            part = [tensor[share.places] for tensor in tensors]
            for z, y in update.micro_batches(part, share.total):
                update.backward(state.generator(z, y).square().mean())


def collected(state: TrainState) -> dict[str, Tensor]:
    """Return the gradients and the running statistics of G."""
    generator = state.generator
    gradients = {f"gradient/{name}": p.grad for name, p in generator.named_parameters() if p.grad is not None}
    return gradients | {n: b for n, b in generator.named_buffers() if n.rpartition(".")[2] in RUNNING_STATISTICS}


def _rank(rank: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    for kind in ("batch", "layer"):
        for calls in (1, 2):
            state = make_state(model(kind), torch.float64)
            own_update(state, calls, rank, 2)
            save_file(collected(state), Path(folder) / f"{kind}-{calls}-{rank}")
    update = Update(parts=1, device=CPU)
    with pytest.raises(UserError, match="on 2 ranks say how many all of them have"):
        next(update.micro_batches([torch.zeros(3)]))
    distributed.stop()


def model(kind: str) -> Any:
    return tiny("biggan", normalization=kind, generator_spectral_norm=SpectralNorm(enabled=False))


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    spawn(_rank, (str(folder), distributed_port()), 2)
    return folder


@pytest.mark.machine
@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("kind", ["batch", "layer"])
def test_ranks_hold_the_same_bits(two_ranks: Path, kind: str, calls: int) -> None:
    first, second = (load_file(two_ranks / f"{kind}-{calls}-{rank}") for rank in (0, 1))
    assert first
    assert all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.machine
@pytest.mark.parametrize("calls", [1, 2])
def test_gradients_of_two_ranks_are_those_of_one(two_ranks: Path, calls: int) -> None:
    """Where no statistics of a batch stand between, in float64: nothing but the order of sums differs."""
    state = make_state(model("layer"), torch.float64)
    own_update(state, calls, 0, 1)
    several = load_file(two_ranks / f"layer-{calls}-0")
    for name, one in collected(state).items():
        assert float((one - several[name]).norm()) <= 1e-12 * max(float(one.norm()), 1e-6), name


@pytest.mark.machine
@pytest.mark.parametrize("calls", [1, 2])
def test_running_statistics_of_two_ranks_are_the_mean_of_what_each_saw(two_ranks: Path, calls: int) -> None:
    """Against one process that plays both ranks after each other, each from the same start, and weighs by rows."""
    moved = []
    for rank in (0, 1):
        state = make_state(model("batch"), torch.float64)
        own_update_of_rank_alone = copy.deepcopy(state)
        for z, y in batches(calls):
            share = Share(len(z), rank, 2)
            rows = torch.from_numpy(share.places)
            with torch.no_grad():
                own_update_of_rank_alone.generator(z[rows], y[rows])
        seen = sum(Share(len(z), rank, 2).size for z, _ in batches(calls))
        moved.append((seen, collected(own_update_of_rank_alone)))
    several = load_file(two_ranks / f"batch-{calls}-0")
    names = [name for name in several if name.rpartition(".")[2] in RUNNING_STATISTICS]
    assert names
    total = sum(seen for seen, _ in moved)
    for name in names:
        expected = sum(seen * statistics[name] for seen, statistics in moved) / total
        assert torch.allclose(several[name], expected, rtol=1e-12, atol=1e-14), name
        assert not torch.allclose(moved[0][1][name], moved[1][1][name], rtol=1e-3), "the ranks do see different images"


def test_a_loss_without_a_micro_batch_is_an_error() -> None:
    update = Update(parts=2, device=CPU)
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(UserError, match=r"outside of a loop over update.micro_batches"):
        update.backward(weight.sum())
    for (x,) in update.micro_batches([torch.ones(5)]):
        update.backward(weight.sum() * x.mean())
    assert torch.allclose(weight.grad, torch.ones(1)), "shares sum to one"
    with pytest.raises(UserError, match=r"outside of a loop over update.micro_batches"):
        update.backward(weight.sum())


# -- images move a micro-batch at a time -------------------------------------------------------------------------------


class Watched(torch.Tensor):
    """A tensor that notes the rows of every move of it or of a part of it."""

    moves: list[int]

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        result = super().__torch_function__(function, types, arguments, options or {})
        if function is torch.Tensor.to:
            Watched.moves.append(len(result))
            return result.as_subclass(torch.Tensor)
        return result


def draws_of(images: Tensor, transforms: Transforms) -> StepDraws:
    labels = torch.arange(len(images)) % 10
    batch = Batch(images=images, labels=labels, positions=np.arange(40, 40 + len(images)))
    share = Share(len(images))
    return StepDraws(
        RealBatches(lambda *_: iter([batch]), lambda _: share, 40),
        FakeDraws(seed=0, z_size=BATCH_NORM.z_size, class_weights=np.ones(10)),
        discriminator=lambda _: share,
        generator=lambda _: share,
        discriminator_steps=1,
        device=CPU,
        transforms=transforms,
    )


@pytest.mark.parametrize("parts", [1, 3])
def test_images_move_a_micro_batch_at_a_time(parts: int) -> None:
    images = torch.randint(256, (8, 1, 20, 20), dtype=torch.uint8).as_subclass(Watched)
    Watched.moves = []
    transforms = Transforms(DataConfig(path="digits", flip=True, random_crop=True), (16, 16), 0)
    inputs, _ = draws_of(images, transforms).next(40)
    assert Watched.moves == [], "drawing moves no image"
    engine = Engine(device=CPU, accumulation={"discriminator": parts})
    train_step(make_state(BATCH_NORM), inputs, Objective(loss=Hinge()), engine)
    assert Watched.moves == {1: [8], 3: [3, 3, 2]}[parts]


@pytest.mark.parametrize("sizes", [[8], [3, 3, 2], [1, 7]])
def test_what_is_done_to_an_image_does_not_depend_on_how_a_batch_is_cut(sizes: list[int]) -> None:
    images = torch.randint(256, (8, 1, 20, 20), dtype=torch.uint8)
    transforms = Transforms(DataConfig(path="digits", flip=True, random_crop=True), (16, 16), 0)
    positions = np.array([40, 41, 42, 50, 51, 45, 46, 47])
    whole = HostImages(images, positions, transforms)
    parts = whole.split(sizes)
    assert [len(part) for part in parts] == sizes
    assert torch.equal(torch.cat([part.to(CPU) for part in parts]), transforms(images, positions))


def test_the_update_looks_at_the_device_of_the_engine() -> None:
    """A second device exists everywhere: what is moved to ``meta`` has no content, but it has a place."""
    update = Update(parts=2, device=torch.device("meta"))
    parts = list(update.micro_batches([torch.zeros(5, 2), torch.zeros(5)], 5))
    assert [[tuple(t.shape) for t in part] for part in parts] == [[(3, 2), (3,)], [(2, 2), (2,)]]
    assert all(tensor.is_meta for part in parts for tensor in part)
