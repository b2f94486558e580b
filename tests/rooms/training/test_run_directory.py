"""What lies in the run directory, and what may change when a run goes on."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_tensors
from biggan.models.snapshot import read_info
from biggan.training.checkpoint import read_checkpoint
from biggan.training.configuration import CheckpointConfig, LogConfig, MovingAverageConfig, TrainingConfig
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training.test_run import MakeFolder, final_state, last_checkpoint

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
    lines = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    clocks = [line["images_seen"] for line in lines if "health" not in line]
    assert clocks == sorted(set(clocks))
    assert last_checkpoint(run).name == str(100 + 7 * 15 + 3 * 2048)


def test_data_positions_are_consecutive_whatever_the_batch(tmp_path: Path) -> None:
    """The images that D sees over a resume with another batch are one unbroken sequence."""
    seen: list[np.ndarray[Any, Any]] = []
    from biggan.training import setup

    original = setup.train_step

    def spy(state: Any, inputs: Any, objective: Any, engine: Any) -> Any:
        seen.extend(batch.images.to(torch.device("cpu")).numpy() for batch in inputs.discriminator)
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
    assert stats[-1]["generator_noise_scale"] == "unknown", "an update is one group"
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
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("unreadable image, a/0002.png takes its place") == 1, "told once, though it comes again and again"
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
