"""Exact resume, checkpoints, a step of one's own, signals, and that something is learnt."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.models.snapshot import read_info, read_snapshot
from biggan.training.checkpoint import CheckpointStore, read_checkpoint
from biggan.training.configuration import CheckpointConfig, MovingAverageConfig
from biggan.training.setup import train
from tests.conftest import FAMILIES, assert_same_tensors, tiny_config
from tests.rooms.training.test_run import SMALL, MakeFolder, damaged, final_state, last_checkpoint

# -- exact resume ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "rhythm"),
    [
        *(
            pytest.param(family, "forward", marks=[] if family in ("biggan", "r3gan") else pytest.mark.nightly)
            for family in FAMILIES
        ),
        ("biggan", "phase"),
    ],
)
def test_twenty_steps_are_ten_and_ten(family: str, rhythm: str, tmp_path: Path) -> None:
    """Bitwise, EMA and optimizer included; the second ten in a process of their own."""
    values = {"model": {"generator_attention": ("8",)}, "discriminator_steps": 2, "batch": 6, "micro_batch": 3}
    values["spectral_norm"] = rhythm
    values["data"] = dataclasses.replace(tiny_config().data, flip=True)
    whole = tiny_config(tmp_path / "whole", family, duration=20 * 12, **values)
    train(whole, "digits")
    values["model"] = {"generator_attention": ("8",)}
    half = tiny_config(tmp_path / "half", family, duration=10 * 12, **values)
    train(half, "digits")
    train(dataclasses.replace(half, duration=20 * 12), "digits")
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))
    kinds = {name.rpartition("/")[2] for name in final_state(tmp_path / "whole") if name.startswith("optimizer/")}
    assert kinds == {"exp_avg", "exp_avg_sq", "step"}


def test_folder_and_hdf5_give_identical_weights(make_folder: MakeFolder, tmp_path: Path) -> None:
    import h5py

    from biggan.data.configuration import DataConfig
    from biggan.data.opening import open_source

    folder = DataConfig(path=str(make_folder({"a": 7, "b": 5})), workers=0)
    source = open_source(folder, (16, 16))
    with h5py.File(tmp_path / "same.hdf5", "w") as file:
        file["imgs"] = np.stack([source.read(i) for i in range(len(source))])
        file["labels"] = source.labels
        file["class_names"] = list(source.class_names)
    packed = DataConfig(path=str(tmp_path / "same.hdf5"), workers=2)
    for name, data in (("folder", folder), ("packed", packed)):
        train(tiny_config(tmp_path / name, data=data, duration=80), "digits")
    assert_same_tensors(final_state(tmp_path / "folder"), final_state(tmp_path / "packed"))


def test_the_average_may_be_switched_on_later(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16, ema=MovingAverageConfig(enabled=False))
    train(config, "digits")
    train(dataclasses.replace(config, duration=32, ema=MovingAverageConfig(decay=0.5)), "digits")
    assert read_info(tmp_path / "run" / "snapshots" / "32.safetensors").weights == "ema"


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["state.safetensors", "snapshot.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(file: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = tiny_config(run, duration=80, checkpoint=CheckpointConfig(every=40, keep_last=3))
    train(config, "digits")
    shutil.copytree(run, tmp_path / "intact")
    damaged(run / "checkpoints" / "80" / file)
    train(config, "digits")
    log = (run / "log.txt").read_text()
    assert "checkpoint 80 is damaged and not used" in log
    assert "continuing at 40 images" in log
    assert_same_tensors(final_state(run), final_state(tmp_path / "intact"))


def test_when_all_are_damaged_nothing_is_removed(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16)
    train(config, "digits")
    damaged(tmp_path / "run" / "checkpoints" / "16" / "state.safetensors")
    with pytest.raises(UserError, match="all 1 checkpoints are damaged"):
        train(dataclasses.replace(config, duration=32), "digits")
    assert (tmp_path / "run" / "checkpoints" / "16").exists()


def test_a_lost_pointer_is_found_again(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16)
    train(config, "digits")
    (tmp_path / "run" / "checkpoints" / "LAST").unlink()
    assert CheckpointStore(tmp_path / "run", CheckpointConfig()).last() == 16
    assert train(config, "digits").already_finished


# -- a step of one's own -----------------------------------------------------------------------------------------------


def test_own_step(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(
        "from biggan.training.step import train_step\n"
        "from biggan.training.optimizers import make_adam\n"
        "from biggan.training.configuration import AdamConfig\n"
        "from torch import nn\n"
        "def prepare(state):\n"
        "    extra = nn.Linear(2, 2)\n"
        "    state.add('extra', extra, make_adam(extra, AdamConfig()))\n"
        "def step(state, inputs, objective, engine):\n"
        "    with engine.update(state, 'extra') as update:\n"
        "        for (z,) in update.micro_batches([inputs.generator.latents[:, :2]]):\n"
        "            update.backward(state.networks['extra'](z).square().mean())\n"
        "    return train_step(state, inputs, objective, engine)\n"
    )
    for name, durations in (("whole", (48,)), ("half", (24, 48))):
        for duration in durations:
            train(tiny_config(tmp_path / name, duration=duration, step=f"{own}:step"), "digits")
    assert "extra/weight" in final_state(tmp_path / "whole")
    assert "optimizer/extra/weight/exp_avg" in final_state(tmp_path / "whole")
    assert_same_tensors(final_state(tmp_path / "whole"), final_state(tmp_path / "half"))


@pytest.mark.parametrize(
    ("text", "location", "message"),
    [
        ("def other(): pass", "{}:step", "no function 'step' in .*; it has other"),
        ("1 / 0", "{}:step", "fails: ZeroDivisionError"),
        ("", "{}", "write FILE.py:function"),
    ],
)
def test_own_steps_that_do_not_load(text: str, location: str, message: str, tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text(text)
    with pytest.raises(UserError, match=message):
        train(tiny_config(tmp_path / "run", step=location.format(own)), "digits")
    assert not (tmp_path / "run").exists()


# -- signals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_leave_with_a_message(number: signal.Signals, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "biggan", "train", "digits", "--run-dir", str(run), "--duration", "10M", *SMALL]
    process = subprocess.Popen(
        [*command, "--log.every", "64"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ),
    )
    deadline = time.monotonic() + 120
    while not (run / "stats.jsonl").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert f"{number.name}: saved at" in printed
    assert f"the same command continues from here, or biggan train --run-dir {run}\n" in printed
    assert "Traceback" not in printed
    saved = read_checkpoint(last_checkpoint(run))
    assert saved.images_seen > 0
    assert main([*command[3:], "--duration", str(saved.images_seen + 64)]) == 0


# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.nightly
def test_a_class_of_constant_colour_is_learnt_as_that_colour(tmp_path: Path) -> None:
    """Red and blue squares: more than 95 % right within seconds."""
    root = tmp_path / "squares"
    for name, colour in (("red", (220, 30, 30)), ("blue", (30, 30, 220))):
        (root / name).mkdir(parents=True)
        for i in range(20):
            Image.new("RGB", (16, 16), colour).save(root / name / f"{i}.png")
    config = tiny_config(tmp_path / "run", duration=16 * 300, batch=16)
    train(dataclasses.replace(config, data=dataclasses.replace(config.data, path=str(root), workers=0)), "digits")
    generator, info = read_snapshot(next((tmp_path / "run" / "snapshots").iterdir()))
    from biggan.sampling.sampler import Sampler

    images = Sampler(generator, info).sample(classes=["red", "blue"] * 100, seeds=range(200)).float()
    means = images.mean(dim=(2, 3))
    right = torch.where(torch.arange(200) % 2 == 0, means[:, 0] > means[:, 2], means[:, 2] > means[:, 0])
    assert float(right.float().mean()) > 0.95
