"""Two real processes under torchrun (gloo): what ranks must agree on, and what one process would have done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from biggan.data.opening import open_source
from biggan.foundation.config import from_json
from biggan.foundation.groups import Share
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.models.architecture import SpectralNorm
from biggan.models.contract import build
from biggan.training.configuration import TrainingConfig
from biggan.training.draws import FakeDraws
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.rooms.training.commands import run_ranks
from tests.rooms.training.test_run import final_state

SMALL = (
    "--model.generator-width 4 --model.discriminator-width 4 --device cpu --log.samples-every 1G --log.judge none "
    "--log.no-tensorboard"
).split()


def torchrun(ranks: int, words: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)


@pytest.mark.nightly  # by day ranks are forked, and torchrun's agent starts them in test_restarts
def test_two_ranks_train_resume_and_agree(tmp_path: Path) -> None:
    """A batch of 7 does not divide by two; state is compared bitwise over ranks at each checkpoint."""
    run = tmp_path / "run"
    words = ["-m", "biggan", "train", "digits", "--run-dir", str(run), "--batch", "7", *SMALL]
    done = torchrun(2, [*words, "--duration", "42", "--checkpoint.every", "14"])
    assert done.returncode == 0, done.stderr
    assert "2 ranks x 3..4 x 1 accumulated = 7" in done.stdout
    assert done.stdout.count("finished: 42 images") == 1, "one process speaks"
    done = torchrun(2, [*words, "--duration", "56"])
    assert done.returncode == 0, done.stderr
    assert "continuing at 42 images" in done.stdout
    alone = subprocess.run(
        [sys.executable, *words, "--duration", "70"], capture_output=True, text=True, timeout=300, check=False
    )
    assert alone.returncode == 0, alone.stderr
    assert "changed on resume: ranks 2 -> 1" in (run / "log.txt").read_text()
    stored = json.loads((run / "config.json").read_text())
    assert stored["used"]["ranks"] == 1


WORKER = """
import dataclasses, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from biggan.foundation import distributed
from biggan.foundation.launch import announced_rank
from biggan.training import setup
from tests.conftest import tiny_config
from tests.rooms.training.test_distributed import FREE
original = setup.train_step
def spy(state, inputs, objective, engine):
    losses = original(state, inputs, objective, engine)
    Path({out!r}, f"{{inputs.images_seen}}-{{distributed.rank()}}").write_text(
        " ".join(str(len(b.images)) for b in inputs.discriminator) + f" {{len(inputs.generator.latents)}}")
    return losses
setup.train_step = spy
setup.train(tiny_config(Path({run!r}), **{values}), "digits")
"""

FREE = {  # nothing that depends on how a batch is divided
    "normalization": "layer",
    "generator_spectral_norm": SpectralNorm(enabled=False),
    "discriminator_spectral_norm": SpectralNorm(enabled=False),
}


@pytest.mark.parametrize(
    ("ranks", "batch", "generator_batch"),
    [
        pytest.param(2, 8, 8, marks=[pytest.mark.machine, pytest.mark.nightly]),
        (2, 7, 5),
        pytest.param(3, 7, 4, marks=pytest.mark.nightly),
    ],
)
def test_ranks_equal_one_process(ranks: int, batch: int, generator_batch: int, tmp_path: Path) -> None:
    """Without batch statistics and power iteration, r ranks give what one process gives, to rounding."""
    values = f"dict(model=FREE, batch={batch}, generator_batch={generator_batch}, duration={batch * 4})"
    script = tmp_path / "worker.py"
    (tmp_path / "out").mkdir()
    root = str(Path(__file__).parents[3])
    script.write_text(
        WORKER.format(tests=root, out=str(tmp_path / "out"), run=str(tmp_path / "several"), values=values)
    )
    done = torchrun(ranks, [str(script)])
    assert done.returncode == 0, done.stderr
    train(
        tiny_config(tmp_path / "one", model=FREE, batch=batch, generator_batch=generator_batch, duration=batch * 4),
        "digits",
    )
    shares = [(tmp_path / "out" / f"{batch}-{rank}").read_text().split() for rank in range(ranks)]
    assert [sum(int(s[i]) for s in shares) for i in range(2)] == [batch, generator_batch]
    assert max(int(s[0]) for s in shares) - min(int(s[0]) for s in shares) <= 1
    one, several = final_state(tmp_path / "one"), final_state(tmp_path / "several")
    assert one.keys() == several.keys()
    for name, value in one.items():
        # Adam divides by the root of the second moment: rounding of tiny gradients is enlarged.
        assert torch.allclose(value, several[name], rtol=1e-3, atol=3e-4), name


def test_begun_on_four_ranks_it_ends_on_two_as_on_one(tmp_path: Path) -> None:
    """Four groups of two images: one a rank, then two, or all four on one; everything by phase, through checkpoints."""
    words = "train digits --batch 8 --micro-batch 2 --norm-group 1 --spectral-norm phase --statistics phase".split()
    words += [*SMALL, "--log.every", "1G", "--run-dir"]
    for name, parts in (("several", ((4, 16), (2, 32))), ("one", ((1, 32),))):
        for ranks, duration in parts:
            run = [*words, str(tmp_path / name), "--duration", str(duration)]
            done = run_ranks(run, tmp_path / f"{name}-{ranks}", {}, ranks)
            assert [one.status for one in done] == [0] * ranks, done[0].printed
    assert "changed on resume: ranks 4 -> 2" in (tmp_path / "several" / "log.txt").read_text()
    one, several = final_state(tmp_path / "one"), final_state(tmp_path / "several")
    assert one.keys() == several.keys()
    for name, value in one.items():
        # Adam divides by the root of the second moment: rounding of tiny gradients is enlarged.
        assert torch.allclose(value, several[name], rtol=1e-3, atol=3e-4), name


@pytest.mark.nightly
def test_running_statistics_move_by_the_moments_averaged_over_ranks(tmp_path: Path) -> None:
    """One iteration of two ranks against two copies of G that see a half each: theirs averaged is the ranks'."""
    words = [
        "-m",
        "biggan",
        "train",
        "digits",
        "--run-dir",
        str(tmp_path / "run"),
        "--batch",
        "8",
        *SMALL,
        "--norm-group",
        "1",
    ]
    done = torchrun(2, [*words, "--duration", "8"])
    assert done.returncode == 0, done.stderr
    state = final_state(tmp_path / "run")

    config = from_json(TrainingConfig, json.loads((tmp_path / "run" / "config.json").read_text())["config"])
    counts = open_source(config.data, config.model.resolution).class_counts().astype(np.float64)
    fakes = FakeDraws(seed=config.seed, z_size=config.model.z_size, class_weights=counts)
    halves = []
    for rank in range(2):
        generator = build(config.model, config.seed).generator.train()
        with torch.no_grad():
            for purpose in ("discriminator", "generator"):
                generator(*fakes.draw(purpose, 0, Share(8, rank, 2)))
        halves.append(generator.state_dict())
    names = [name for name in halves[0] if name.rpartition(".")[2] in RUNNING_STATISTICS]
    assert names
    for name in names:
        expected = (halves[0][name] + halves[1][name]) / 2
        assert torch.allclose(state[f"generator/{name}"], expected, rtol=1e-4, atol=1e-6), name
        assert not torch.allclose(halves[0][name], halves[1][name], rtol=1e-4, atol=1e-6), "the halves do differ"


def test_ranks_that_drift_are_caught(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "import torch\n"
        "from biggan.foundation import distributed\n"
        "from biggan.training.step import train_step\n"
        "def step(state, inputs, objective, engine):\n"
        "    losses = train_step(state, inputs, objective, engine)\n"
        "    with torch.no_grad():\n"
        "        state.generator.linear.bias += distributed.rank()\n"
        "    return losses\n"
    )
    words = ["-m", "biggan", "train", "digits", "--run-dir", str(tmp_path / "run"), "--batch", "4", *SMALL]
    done = torchrun(2, [*words, "--duration", "16", "--checkpoint.every", "4", "--step", f"{own}:step"])
    assert done.returncode != 0
    assert "rank 1 and rank 0 have drifted apart at generator/linear.bias (1 of " in done.stderr
    assert not (tmp_path / "run" / "checkpoints" / "LAST").exists()


@pytest.mark.nightly
def test_more_ranks_than_images(tmp_path: Path) -> None:
    words = ["-m", "biggan", "train", "digits", "--run-dir", str(tmp_path / "run"), "--batch", "1", *SMALL]
    done = torchrun(2, [*words, "--duration", "4"])
    assert done.returncode != 0
    assert "there are 2 ranks, and each needs an image" in done.stderr
