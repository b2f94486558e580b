"""G alone by features: the loss and its gradient, divided batches, ranks, and runs that are stopped."""

from __future__ import annotations

import dataclasses
import itertools
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.cli.main import main
from biggan.data.configuration import DataConfig
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.metrics.features import EXTRACTORS, ExtractorOptions
from biggan.training.checkpoint import read_checkpoint
from biggan.training.configuration import AdamConfig
from biggan.training.engine import Engine
from biggan.training.pretraining import Moments, check_pretraining, moments, prepared, pretrain_step, slope
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.evaluation.calling import TinyFeatures
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.training import commands
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_run import final_state, last_checkpoint
from tests.rooms.training.test_step import CPU, FREE, make_inputs, make_state

F64 = torch.float64
WORDS = (
    "train digits --batch 8 --micro-batch 4 --duration 32 --pretrain 96 --checkpoint.every 24 --log.every 8 "
    "--log.samples-every 1M --log.judge none --data.fraction 0.05"
).split()


def features(images: Tensor) -> Tensor:
    """Return sums of squares over patches and rows: something curved, of few numbers."""
    rows = torch.nn.functional.avg_pool2d(images.square() + images, 4).flatten(1)
    return torch.tanh(rows)


def of_reals(classes: int = 3) -> Moments:
    draw = torch.Generator().manual_seed(5)
    images = torch.rand(30, 1, 16, 16, generator=draw, dtype=F64) * 2 - 1
    return moments(features(images), torch.arange(30) % classes, classes)


def expected_loss(rows: Tensor, labels: Tensor, reals: Moments) -> Tensor:
    """Return the loss class by class, as the module's first lines say it."""
    total = rows.new_zeros(())
    spread, counts = reals.overall()
    assert counts.all()
    for c in range(len(reals.counts)):
        of = rows[labels == c]
        n = len(of)
        if n < 2:
            continue
        m, v = of.mean(dim=0), of.var(dim=0, correction=0)
        M, V = reals.mean[c], reals.variance[c]
        each = ((m - M) ** 2 - v / (n - 1)) / spread + (v - (n - 1) / n * V) ** 2 / spread**2
        total = total + n * each.mean()
    return total / len(rows)


def test_the_slope_is_the_gradient_of_the_loss() -> None:
    draw = torch.Generator().manual_seed(1)
    labels = torch.tensor([0, 0, 1, 1, 1, 2, 0])  # one fake of class 2, which teaches nothing
    rows = torch.randn(7, 16, generator=draw, dtype=F64, requires_grad=True)
    reals = of_reals()
    loss = expected_loss(rows, labels, reals)
    found, a, b = slope(moments(rows, labels, 3), reals)
    assert torch.allclose(found, loss, atol=1e-12)
    (gradient,) = torch.autograd.grad(loss, rows)
    assert torch.allclose(gradient, (a[labels] + 2 * b[labels] * rows.detach()) / rows.numel(), atol=1e-12)
    assert torch.equal(gradient[5], torch.zeros(16, dtype=F64))


@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_features_in_which_reals_do_not_differ_are_left_out_whatever_the_scale(scale: float) -> None:
    """A rectifier that no real excites; a variance below a millionth is none, if all are as small."""
    draw = torch.Generator().manual_seed(2)
    labels = torch.arange(12) % 3
    reals = scale * torch.randn(30, 4, generator=draw, dtype=F64)
    fakes = scale * torch.randn(12, 4, generator=draw, dtype=F64)
    reals[:, 3] = 0
    found = slope(moments(fakes, labels, 3), moments(reals, torch.arange(30) % 3, 3))
    assert torch.equal(found.a[:, 3], torch.zeros(3, dtype=F64))
    assert torch.equal(found.b[:, 3], torch.zeros(3, dtype=F64))
    assert float(found.a[:, :3].abs().min()) > 0
    ours = slope(moments(fakes[:, :3], labels, 3), moments(reals[:, :3], torch.arange(30) % 3, 3))
    assert float(found.loss) == pytest.approx(0.75 * float(ours.loss), rel=1e-9)
    full = slope(moments(fakes / scale, labels, 3), moments(reals / scale, torch.arange(30) % 3, 3))
    assert float(found.loss) == pytest.approx(float(full.loss), rel=1e-9)


def test_reals_are_as_large_as_fakes_where_training_crops_them_at_random() -> None:
    data = DataConfig(path="digits", random_crop=True, crop_margin=0.25)
    config = tiny_config(pretrain=8, pretrain_features="random", data=data)
    goal = prepared(config, None, CPU)
    assert goal is not None
    assert goal.source.read_many(np.arange(2)).shape[2:] == config.model.resolution


def test_a_rate_that_is_meant_for_another_batch_is_scaled_before_d_begins_too(tmp_path: Path) -> None:
    """A quarter of that batch has half of the rate, from the first fake on."""
    for name, adam in (
        ("meant", AdamConfig(learning_rate=1e-3, reference_batch=32)),
        ("plain", AdamConfig(learning_rate=5e-4)),
    ):
        data = DataConfig(path="digits", fraction=0.02)
        config = tiny_config(
            tmp_path / name, duration=8, pretrain=16, pretrain_features="random", data=data, generator_adam=adam
        )
        train(dataclasses.replace(config, batch=8), "digits")
    assert_same_tensors(final_state(tmp_path / "meant"), final_state(tmp_path / "plain"))


def test_fakes_that_are_the_reals_cost_nothing_on_average() -> None:
    """Over all pairs that three reals can make, the squared difference of means without what chance adds to it is 0."""
    values = torch.tensor([[-1.0], [0.5], [2.0]], dtype=F64)
    reals = moments(values, torch.zeros(3, dtype=torch.int64), 1)
    found = []
    for pair in itertools.product(range(3), repeat=2):
        fakes = moments(values[list(pair)], torch.zeros(2, dtype=torch.int64), 1)
        wide = (fakes.variance - reals.variance / 2) / reals.overall()[0]
        found.append(slope(fakes, reals).loss - wide.square().mean())
    assert float(torch.stack(found).mean()) == pytest.approx(0, abs=1e-14)


def trained(rank: int, ranks: int, parts: int) -> dict[str, Tensor]:
    a = tiny("biggan", **FREE, classes=3)
    state = make_state(a, F64)
    engine = Engine(device=CPU, accumulation={"discriminator": parts})
    for seed in range(2):
        z, y = make_inputs(a, batch=12, dtype=F64, seed=seed).generator
        rows = slice(rank * 12 // ranks, (rank + 1) * 12 // ranks)
        pretrain_step(state, z[rows], y[rows], 12, of_reals(), features, engine)
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()}


@pytest.mark.parametrize("parts", [2, 5])
def test_a_batch_gives_the_same_update_however_it_is_divided(parts: int) -> None:
    whole, divided = trained(0, 1, 1), trained(0, 1, parts)
    for key, value in whole.items():
        assert torch.allclose(divided[key], value, rtol=1e-9, atol=1e-10), key


def _rank(rank: int, ranks: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    save_file(trained(rank, ranks, 2), Path(folder) / str(rank))
    distributed.stop()


def test_two_ranks_are_one(tmp_path: Path) -> None:
    spawn(_rank, (2, str(tmp_path), distributed_port()), 2)
    one, other = (load_file(tmp_path / str(rank)) for rank in range(2))
    assert_same_tensors(one, other)
    for key, value in trained(0, 1, 1).items():
        assert torch.allclose(one[key], value, rtol=1e-9, atol=1e-10), key


def test_it_brings_features_closer() -> None:
    a = tiny("biggan", **FREE, classes=3)
    state, engine, reals = make_state(a, F64), Engine(device=CPU), of_reals()
    losses = []
    for seed in range(40):
        z, y = make_inputs(a, batch=24, dtype=F64, seed=seed).generator
        losses.append(float(pretrain_step(state, z, y, 24, reals, features, engine)))
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly)]
)
def test_a_run_that_is_stopped_before_d_begins_goes_on_to_the_bit(number: int, status: int, tmp_path: Path) -> None:
    words = [*WORDS, *commands.SMALL]
    attack = partial(commands.signal_at, "training/pretraining.py:pretrain_step", int(number), 9)
    for name, by in (("whole", None), ("half", attack)):
        done = commands.run([*words, "--run-dir", str(tmp_path / name)], tmp_path / f"{name}.txt", by)
        assert done.status == (status if by else 0), done.printed
    record = read_checkpoint(last_checkpoint(tmp_path / "half")).record
    assert record.images_seen == 0
    assert record.pretrained == (72 if number == signal.SIGTERM else 48)
    again = commands.run([*words, "--run-dir", str(tmp_path / "half")], tmp_path / "again.txt")
    assert again.status == 0, again.printed
    assert "96 of 96 fakes" in again.printed
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))
    assert read_checkpoint(last_checkpoint(tmp_path / "whole")).record.pretrained == 96


@pytest.mark.nightly
def test_two_ranks_of_a_run_stay_alike(tmp_path: Path) -> None:
    words = [*WORDS, *commands.SMALL, "--run-dir", str(tmp_path / "run")]
    for done in commands.run_ranks(words, tmp_path / "logs", {}):
        assert done.status == 0, done.printed
    assert read_checkpoint(last_checkpoint(tmp_path / "run")).images_seen == 32


def test_features_without_gradients_are_refused_and_those_with_give_some(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config(pretrain=8, pretrain_features="tiny")
    monkeypatch.setitem(EXTRACTORS._loaded, "tiny", TinyFeatures)  # an extractor of somebody's own
    with pytest.raises(UserError, match="--pretrain-features tiny: gives no gradients; choose one of inception, dino"):
        check_pretraining(config)
    images = (torch.rand(2, 3, 16, 16) * 255).requires_grad_()
    extractor = EXTRACTORS["random"](ExtractorOptions())
    (gradient,) = torch.autograd.grad(extractor(images).rows.sum(), images)
    assert float(gradient.abs().max()) > 0
    assert not extractor(images.detach().to(torch.uint8)).rows.requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"pretrain": 8, "statistics": "exact", "spectral_norm": "phase"},
            "--pretrain: G is called with micro-batches",
        ),
        (
            {"pretrain": 8, "pretrain_features": "clasifier"},
            "unknown --pretrain-features 'clasifier'; nearest: classifier",
        ),
        ({"pretrain_features": "clasifier"}, "unknown --pretrain-features 'clasifier'"),
    ],
)
def test_what_cannot_be_is_said(options: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_pretraining(tiny_config(**options))
    with pytest.raises(UserError, match="--pretrain -1: must not be negative"):
        tiny_config(pretrain=-1)


def test_a_classifier_of_one_class_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["--pretrain", "8", "--data.labels", "unconditional", "--run-dir", str(run)]
    for more in ([], ["--dry-run"]):
        assert main(["train", "digits", *words, *more]) == 2
        assert "use --pretrain-features random for these data" in capsys.readouterr().err
        assert not (run / "config.json").exists()
