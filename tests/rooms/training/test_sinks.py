"""Sinks get what a run writes, under the same names; they change no weight and end no run."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest

from biggan.foundation.errors import UserError
from biggan.training.configuration import LogConfig, TrainingConfig
from biggan.training.health.configuration import HealthConfig
from biggan.training.setup import train
from biggan.training.sinks.weights_and_biases import WeightsAndBiases
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training.test_run import final_state

SHEETS = {f"samples/{name}" for name in ("fixed", "classes", "interpolation_z", "interpolation_y", "interpolation_zy")}
INSTALLED = importlib.util.find_spec("wandb") is not None


def config_of(run: Path, duration: int = 32, *, looks: bool = True, **sinks: bool) -> TrainingConfig:
    log = LogConfig(every=16, samples_every=32, sheet_columns=1, interpolation_rows=1, tensorboard=False)
    log = dataclasses.replace(log, **sinks)
    return tiny_config(run, duration=duration, batch=8, log=log, health=HealthConfig(every=duration if looks else 0))


def numbers_of(run: Path) -> set[str]:
    """Return the names of the numbers in stats.jsonl as sinks call them."""
    found: set[str] = set()
    for line in (run / "stats.jsonl").read_text().splitlines():
        record = json.loads(line)
        found |= {f"health/{name}" for name in record.pop("health", {}) if not name.endswith("gradient_norm")}
        found |= {f"singular_values/{name}" for name in record.pop("singular_values", {})}
        numbers = {name for name, value in record.items() if value != "unknown"}
        found |= numbers - {"images_seen", "iterations", "findings"}
    return found


def test_tensorboard_gets_all_and_changes_nothing(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(config_of(tmp_path / "without"), "digits")
    train(config_of(tmp_path / "with", tensorboard=True), "digits")
    assert_same_tensors(final_state(tmp_path / "without"), final_state(tmp_path / "with"))
    assert not (tmp_path / "without" / "tensorboard").exists()
    events = EventAccumulator(str(tmp_path / "with" / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == numbers_of(tmp_path / "with")
    assert set(events.Tags()["images"]) == SHEETS
    lines = [json.loads(line) for line in (tmp_path / "with" / "stats.jsonl").read_text().splitlines()]
    written = [(event.step, event.value) for event in events.Scalars("G_loss")]
    assert written == [(line["images_seen"], pytest.approx(line["G_loss"])) for line in lines if "G_loss" in line]


def test_a_sink_that_fails_is_told_once_and_the_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    run = tmp_path / "run"
    train(config_of(run, 8, looks=False), "digits")
    (run / "tensorboard").write_text("in the way")
    train(config_of(run, 48, looks=False, tensorboard=True), "digits")
    log = (run / "log.txt").read_text()
    assert log.count("no TensorBoard files from here on: ") == 1
    assert "finished: 48 images" in log
    assert (run / "samples" / "48" / "fixed.png").is_file()


def test_without_wandb_nothing_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightsAndBiases, "package", "no_such_package")
    with pytest.raises(UserError, match=r"--log.wandb needs W&B.*biggan-torch\[wandb\]"):
        train(config_of(tmp_path / "run", wandb=True), "digits")
    assert not (tmp_path / "run" / "config.json").exists()


@pytest.mark.skipif(not INSTALLED, reason="W&B is not installed (the extra wandb)")
def test_wandb_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = tmp_path / "run"
    train(config_of(run, 32, wandb=True), "digits")
    identity = (run / "wandb.id").read_text().strip()
    train(config_of(run, 48, wandb=True), "digits")
    assert (run / "wandb.id").read_text().strip() == identity
    files = sorted((run / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    written = b"".join(path.read_bytes() for path in files)
    for name in numbers_of(run) | SHEETS:
        assert name.encode() in written, name
    pictures = {
        f"samples/{path.name.rsplit('_', 2)[0]}" for path in (run / "wandb").glob("*/files/media/images/samples/*.png")
    }
    assert pictures == SHEETS
    train(config_of(tmp_path / "without", 32), "digits")
    train(config_of(tmp_path / "without", 48), "digits")
    assert_same_tensors(final_state(tmp_path / "without"), final_state(run))
    assert "from here on" not in (run / "log.txt").read_text()
