"""The stable contract of ``biggan train``: durations, resuming, errors, what lies in the run directory."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_tensors
from biggan.models.snapshot import read_info, read_snapshot
from biggan.training.checkpoint import CheckpointStore, read_checkpoint
from biggan.training.configuration import CheckpointConfig, LogConfig, MovingAverageConfig, TrainingConfig
from biggan.training.setup import train
from tests.conftest import FAMILIES, assert_same_tensors, tiny_config

MakeFolder = Callable[..., Path]
SMALL = "--model.generator-width 4 --model.discriminator-width 4 --device cpu --log.no-tensorboard".split()


def last_checkpoint(run: Path) -> Path:
    return run / "checkpoints" / (run / "checkpoints" / "LAST").read_text().strip()


def final_state(run: Path) -> dict[str, torch.Tensor]:
    """Return everything that training changes, as it lies in the newest checkpoint."""
    checkpoint = last_checkpoint(run)
    read_checkpoint(checkpoint)
    state = read_tensors(checkpoint / "state.safetensors")
    return state | {f"ema/{k}": v for k, v in read_tensors(checkpoint / "snapshot.safetensors").items()}


# -- the command line --------------------------------------------------------------------------------------------------


def test_a_folder_of_images_from_the_command_line(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = make_folder({"red": 5, "blue": 7}), tmp_path / "run"
    words = ["train", "digits", "--data", str(root), "--run-dir", str(run), "--batch", "8", "--duration", "20", *SMALL]
    assert main(words) == 0
    printed = capsys.readouterr().out
    for part in ("2 classes: blue 7, red 5", "1 rank x 8 x 1 accumulated = 8", "finished: 24 images"):
        assert part in printed
    assert (run / "snapshots" / "24.safetensors").is_file()
    assert (run / "samples" / "24" / "classes.png").is_file()
    for name in ("fixed", "interpolation_zy", "interpolation_z", "interpolation_y"):
        assert (run / "samples" / "24" / f"{name}.png").is_file()
    assert last_checkpoint(run).name == "24"
    assert (run / "data_card.png").is_file()
    assert "2 classes: blue 7, red 5" in (run / "log.txt").read_text()
    stored = json.loads((run / "config.json").read_text())
    assert stored["preset"] == "digits"
    assert stored["config"]["micro_batch"] == 8
    assert stored["used"]["discriminator"]["accumulation"] == 1
    info = read_info(run / "snapshots" / "24.safetensors")
    assert info.class_names == ("blue", "red")
    assert info.architecture.channels == 3
    assert info.architecture.resolution == (16, 16)
    assert (info.images_seen, info.iterations, info.weights) == (24, 3, "ema")

    assert main(words) == 0
    assert "is finished: 24 of 20 images" in capsys.readouterr().out
    assert main([*words, "--duration", "60"]) == 0
    assert "continuing at 24 images" in capsys.readouterr().out
    assert last_checkpoint(run).name == "64"
    assert (run / "snapshots" / "24.safetensors").is_file()


def test_the_default_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--duration", "64", *SMALL]) == 0
    assert (tmp_path / "runs" / "digits" / "checkpoints" / "LAST").is_file()


def test_resolution_and_channels(make_folder: MakeFolder, tmp_path: Path) -> None:
    root, run = make_folder({"a": 3, "b": 3}), tmp_path / "run"
    words = ["train", "digits", "--data", str(root), "--run-dir", str(run), "--batch", "4", "--duration", "4", *SMALL]
    assert main([*words, "--resolution", "32x16", "--data.channels", "1", "--data.check"]) == 0
    a = read_info(next((run / "snapshots").iterdir())).architecture
    assert a.resolution == (32, 16)
    assert a.channels == 1


def test_a_flat_folder_trains_without_classes(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"flat": 6}) / "flat"
    words = [
        "train",
        "digits",
        "--data",
        str(root),
        "--run-dir",
        str(tmp_path / "run"),
        "--batch",
        "4",
        "--duration",
        "8",
    ]
    assert main([*words, *SMALL]) == 0
    info = read_info(next((tmp_path / "run" / "snapshots").iterdir()))
    assert info.architecture.classes == 0
    assert info.class_names == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "digitz"], "unknown preset 'digitz'; nearest: digits"),
        (["trian", "digits"], "unknown command 'trian'; nearest: train"),
        (["train", "digits", "--resolution", "100"], "nearest: 96x96, 104x104"),
        (["train", "digits", "--resolution", "36"], "multiples of 8 from 16"),
        (["train", "biggan-256"], "say where your images are with --data PATH"),
        (["train", "digits", "--data", "/nowhere"], "there is nothing at this path"),
        (["train", "digits", "--loss", "hing"], "unknown loss 'hing'; nearest: hinge"),
        (["train", "digits", "--step", "missing.py:step"], "there is no file missing.py"),
        (["train", "digits", "--model.generator-attention", "64"], "its stages give 8x8, 16x16"),
        (["train", "digits", "--compatibility", "ema-averages"], "nearest: ema-averages-all-buffers"),
        (["train", "--batch", "3"], "name a preset first"),
    ],
)
def test_mistakes_are_named(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    if words[0] == "train":
        words = [*words, "--run-dir", str(run), "--device", "cpu", "--duration", "32"]
    assert main(words) == 2
    printed = capsys.readouterr().err.replace("│", " ")  # options are checked by a parser that draws boxes
    assert message in " ".join(printed.split())
    assert not run.exists(), "nothing was begun"


def test_unknown_options_name_their_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--bacth", "3"]) == 2
    captured = capsys.readouterr()
    assert "--batch" in captured.err + captured.out


@pytest.mark.parametrize("preset", ["digits", "biggan-pytorch-bs256x8", "biggan-512"])
def test_dry_run(preset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", preset, "--dry-run", "--run-dir", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    for part in ("parameters: G ", "accumulated = ", "MiB a device", '"learning_rate"'):
        assert part in printed
    if preset == "biggan-pytorch-bs256x8":
        assert "1 rank x 32 x 64 accumulated = 2048" in printed
        assert "G 70,433,988, D 87,982,370" in printed
    assert not (tmp_path / "run").exists()


# -- the run directory -------------------------------------------------------------------------------------------------


def test_a_directory_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty and not a run .*thesis.tex"):
        train(tiny_config(tmp_path), "digits")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        train(tiny_config(tmp_path / "file"), "digits")


def test_another_run_is_refused(tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16)
    train(config, "digits")
    changes: list[tuple[TrainingConfig, str]] = [
        (
            dataclasses.replace(config, model=dataclasses.replace(config.model, latent_size=15)),
            "--model.latent-size 15",
        ),
        (dataclasses.replace(config, resolution=(32, 32)), "--resolution 32x32: this run was started with 16x16"),
        (dataclasses.replace(config, seed=4), "--seed 4: this run was started with 0"),
    ]
    for changed, message in changes:
        with pytest.raises(UserError, match=message):
            train(dataclasses.replace(changed, duration=999), "digits")
    with pytest.raises(UserError, match="started from the preset 'digits', not 'other'"):
        train(config, "other")
    (tmp_path / "run" / "config.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        train(config, "digits")


def test_other_classes_are_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", duration=16)
    data = dataclasses.replace(config.data, path=str(make_folder({"a": 3, "b": 3}, name="one")))
    train(dataclasses.replace(config, data=data), "digits")
    for classes, message in (
        ({"a": 3, "b": 3, "c": 3}, "--data: number of classes"),
        ({"a": 3, "x": 3}, "class 'x' stands where"),
    ):
        other = dataclasses.replace(data, path=str(make_folder(classes, name=message[:5])))
        with pytest.raises(UserError, match=message):
            train(dataclasses.replace(config, data=other, duration=99), "digits")
    grown = dataclasses.replace(data, path=str(make_folder({"a": 9, "b": 3}, name="grown")))
    train(dataclasses.replace(config, data=grown, duration=32), "digits")
    assert "the data changed: 6 -> 12 images" in (tmp_path / "run" / "log.txt").read_text()


def test_what_may_change_is_logged_and_loses_nothing(tmp_path: Path) -> None:
    """Batch, micro-batch, accumulation and D steps: nothing is skipped, repeated or negative."""
    run = tmp_path / "run"
    config = tiny_config(run, duration=40, batch=8)
    train(config, "digits")
    train(dataclasses.replace(config, duration=100, batch=12, micro_batch=4), "digits")
    train(dataclasses.replace(config, duration=200, batch=5, discriminator_steps=3), "digits")
    train(
        dataclasses.replace(config, duration=5000, batch=2048, micro_batch=512), "digits"
    )  # more than there are images
    log = (run / "log.txt").read_text()
    for part in ("--batch 8 -> 12", "--micro-batch 8 -> 4", "--discriminator-steps 1 -> 3", "--batch 5 -> 2048"):
        assert f"changed on resume: {part}" in log
    clocks = [json.loads(line)["images_seen"] for line in (run / "stats.jsonl").read_text().splitlines()]
    assert clocks == sorted(set(clocks))
    assert last_checkpoint(run).name == str(100 + 7 * 15 + 3 * 2048)


def test_data_positions_are_consecutive_whatever_the_batch(tmp_path: Path) -> None:
    """The images that D sees over a resume with another batch are one unbroken sequence."""
    seen: list[np.ndarray[Any, Any]] = []
    from biggan.training import setup

    original = setup.train_step

    def spy(state: Any, inputs: Any, objective: Any, engine: Any) -> Any:
        seen.extend(batch.images.numpy() for batch in inputs.discriminator)
        return original(state, inputs, objective, engine)

    config = tiny_config(tmp_path / "run", duration=30, batch=10)
    own = tmp_path / "own.py"
    own.write_text("from biggan.training.step import train_step\n")
    setup.train_step = spy  # type: ignore[assignment]
    try:
        train(config, "digits")
        train(dataclasses.replace(config, duration=70, batch=20), "digits")
    finally:
        setup.train_step = original
    from biggan.data.opening import open_source
    from biggan.data.order.epochs import DataOrder

    source = open_source(config.data, (16, 16))
    expected = np.stack([source.read(i) for i in DataOrder(len(source), 0).indices(0, 70)])
    assert np.array_equal(np.concatenate(seen), expected)


def test_without_an_average_the_snapshot_holds_g(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=16, ema=MovingAverageConfig(enabled=False)), "digits")
    path = tmp_path / "run" / "snapshots" / "16.safetensors"
    assert read_info(path).weights == "generator"
    g = {
        k.removeprefix("generator/"): v for k, v in final_state(tmp_path / "run").items() if k.startswith("generator/")
    }
    assert_same_tensors(read_tensors(path), g)


def test_intervals(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(
        tiny_config(
            run,
            duration=100,
            checkpoint=CheckpointConfig(every=24, keep_last=2, keep_every=48, snapshot_every=50),
            log=LogConfig(every=16, samples_every=40, sheet_columns=1, tensorboard=True, judge="digits"),
        ),
        "digits",
    )
    # Checkpoints at 24, 40, 48, 72, 80, 96, 104: what is judged is saved. The last two stay, the first of each 48, and
    # the best judged one, whichever it is.
    kept = {int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit()}
    best = max(read_checkpoint(last_checkpoint(run)).record.best, key=lambda entry: entry[1])
    assert kept == {24, 48, 96, 104} | {best[2]}
    assert {p.name for p in (run / "samples").iterdir()} == {"40", "80", "104"}
    assert {p.stem for p in (run / "snapshots").iterdir()} == {"56", "104"}
    stats = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert [s["images_seen"] for s in stats] == [16, 32, 48, 64, 80, 96, 104]
    for key in (
        "D_loss_real",
        "G_loss",
        "images_per_second",
        "data_wait",
        "generator_gradient_norm",
        "singular_values",
    ):
        assert key in stats[-1]
    assert "G.linear" in stats[-1]["singular_values"]
    assert (run / "log.txt").read_text().count("samples are recognised") == 3
    assert list((run / "tensorboard").iterdir())


def test_one_class_and_many_channels(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "five.h5", "w") as file:
        file["imgs"] = np.random.default_rng(0).integers(0, 256, (9, 5, 16, 16), dtype=np.uint8)
        file["labels"] = np.zeros(9, np.int64)
    config = tiny_config(tmp_path / "run", duration=16)
    data = dataclasses.replace(config.data, path=str(tmp_path / "five.h5"))
    train(dataclasses.replace(config, data=data), "digits")
    a = read_info(tmp_path / "run" / "snapshots" / "16.safetensors").architecture
    assert (a.channels, a.classes) == (5, 1)


def test_unreadable_images_met_while_training_are_named(make_folder: MakeFolder, tmp_path: Path) -> None:
    root = make_folder({"a": 3, "b": 3})
    path = root / "a" / "0001.png"
    path.write_bytes(path.read_bytes()[:300])
    config = tiny_config(tmp_path / "run", duration=16)
    train(dataclasses.replace(config, data=dataclasses.replace(config.data, path=str(root), workers=1)), "digits")
    assert "unreadable image, a/0002.png takes its place" in (tmp_path / "run" / "log.txt").read_text()
    checked = dataclasses.replace(config.data, path=str(root), check=True)
    with pytest.raises(UserError, match=r"a/0001.png"):
        train(dataclasses.replace(config, data=checked, run_dir=str(tmp_path / "other")), "digits")
    assert not (tmp_path / "other").exists()


def test_non_finite_numbers_stop_training_and_write_no_checkpoint(tmp_path: Path) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "import torch\n"
        "from biggan.training.step import train_step\n"
        "def step(state, inputs, objective, engine):\n"
        "    if state.iterations == 3:\n"
        "        with torch.no_grad():\n"
        "            state.discriminator.head.linear.bias.fill_(float('nan'))\n"
        "    return train_step(state, inputs, objective, engine)\n"
    )
    run = tmp_path / "run"
    config = tiny_config(run, duration=80, step=f"{own}:step", checkpoint=CheckpointConfig(every=16))
    with pytest.raises(UserError, match=r"step 4: the discriminator's loss is not finite"):
        train(config, "digits")
    assert last_checkpoint(run).name == "16"
    read_checkpoint(last_checkpoint(run))


# -- exact resume ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_twenty_steps_are_ten_and_ten(family: str, tmp_path: Path) -> None:
    """Bitwise, EMA and optimizer included; the second ten in a process of their own."""
    values = {"model": {"generator_attention": ("8",)}, "discriminator_steps": 2, "batch": 6}
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


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


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
    assert "Traceback" not in printed
    saved = read_checkpoint(last_checkpoint(run))
    assert saved.images_seen > 0
    assert main([*command[3:], "--duration", str(saved.images_seen + 64)]) == 0


# -- learning ----------------------------------------------------------------------------------------------------------


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
