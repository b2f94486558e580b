"""Evaluation from the command line: the same number whatever the way, a protocol in every record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.evaluation.configuration import EvaluationConfig, TrainingEvaluation
from biggan.evaluation.records import METRICS_FILE, read_records
from biggan.foundation.errors import UserError
from biggan.metrics.definitions import METRICS
from biggan.metrics.fidelity_extractors import Inception
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo, write_snapshot
from biggan.sampling.identity import network_hash
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.evaluation.calling import ALL, evaluated, failed

MakeFolder = Callable[..., Path]
METRICS_BY_ROWS = {
    "kid",
    "kid_std",
    "kid_full",
    "precision",
    "recall",
    "nearest_real",
    "nearest_real_relative",
    "copies",
}
METRICS_BY_ROWS |= {f"prdc_k5_{name}" for name in ("precision", "recall", "density", "coverage")}


@pytest.mark.nightly  # by day test_ranks asks for most of them
def test_every_metric_on_a_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the run alone: its data, offline features, all metrics but the slowest, a record for each number."""
    before = (run / "checkpoints" / "160" / "snapshot.safetensors").read_bytes()
    found = evaluated(capsys, run, "--count", 600, "--metrics", ",".join(ALL))
    assert set(ALL) | {"cas"} == set(METRICS), "a new metric is tested here by itself, or below"
    for name, record in found.items():
        assert record.value is not None, name
        assert name.endswith("_classifier"), "never called by the name of the Inception number"
        conditions = record.conditions
        rows = METRICS_BY_ROWS & {name.removesuffix("_classifier")}
        asked = None if name.startswith("is") else 600 if rows else 1797
        assert conditions.real_count == asked, f"{name}: the count is that of the images that were used"
        assert record.protocol.startswith(f"{name}_600_{'600of1797' if rows else 'all1797'}_classifier")
        assert record.protocol.endswith("uint8_ema-running")
        assert conditions.reference is not None
        assert (conditions.reference.count, conditions.reference.resolution) == (1797, (16, 16))
        assert conditions.features is not None
        assert (len(conditions.features.weights), conditions.features.dimensions) == (64, 128)
        assert (conditions.judged.first_seed, conditions.judged.labels) == (0, "as the real images")
        assert (record.images_seen, record.ranks, record.device) == (160, 1, "cpu")
    assert found["kid_classifier"].conditions.parameters["subset_size"] == 600
    assert found["fd_classifier"].value > 0.5, "a generator that has learnt nothing"
    assert found["prdc_k5_coverage_classifier"].value < 0.9
    assert read_records(run / METRICS_FILE)[-len(found) :] == list(found.values())
    with Image.open(run / "memorisation.png") as picture:
        assert picture.size[0] >= 5 * 16, "a sample and its four nearest real images in a row"
        assert picture.size[1] >= 8 * 16
    again = ["--from", str(run), "--out", str(tmp_path / "again.png"), "--device", "cpu"]
    assert main(["recreate", str(run / "memorisation.png"), *again]) == 0
    assert "bitwise the picture in the file as far as a generator drew it" in capsys.readouterr().out
    assert (run / "checkpoints" / "160" / "snapshot.safetensors").read_bytes() == before


def test_a_picture_that_nothing_draws_again_says_what_it_shows(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--metrics", "memorisation", "--count", "60", "--generator-mode", "standing", "--standing-batches", "2"]
    assert main(["evaluate", str(run), *words, "--device", "cpu", "--out", str(tmp_path)]) == 0
    with Image.open(tmp_path / "memorisation.png") as picture:
        about = json.loads(picture.info["biggan-about"])
    assert (len(about["rows"]), about["statistics"]) == (8, "ema-standing2x64")
    assert about["generator"] == network_hash(biggan.load(run, "cpu").generator)
    again = ["recreate", str(tmp_path / "memorisation.png"), "--from", str(run), "--out", str(tmp_path / "a.png")]
    capsys.readouterr()
    assert main(again) == 2
    assert "the command that made it makes it again" in capsys.readouterr().err


@pytest.mark.nightly
def test_the_same_call_gives_the_same_number_whatever_the_batch(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [name for name in ALL if name != "class_fid"]  # which has too few images here
    calls = [evaluated(capsys, run, "--count", 150, "--metrics", *few, "--batch", batch) for batch in (64, 64, 7)]
    for name, record in calls[0].items():
        assert record.value == calls[1][name].value, name
        close = pytest.approx(calls[2][name].value, rel=2e-3, abs=2e-3)
        # Shares move by whole images where a distance lies at the edge of a ball.
        share = name.startswith(("copies", "precision", "recall", "prdc"))
        assert record.value == close or (share and abs(record.value - calls[2][name].value) < 0.03), name
    assert calls[1]["kid_classifier"].reference_from_cache


@pytest.mark.nightly
def test_the_generator_is_not_changed(run: Path) -> None:
    from biggan.data.opening import open_images
    from biggan.evaluation.evaluate import evaluate
    from biggan.evaluation.sides import generated

    sampler = biggan.load(run, "cpu")
    before = {name: value.clone() for name, value in sampler.generator.state_dict().items()}
    config = tiny_config().data
    source = open_images(config, (16, 16))
    numbers = {}
    for mode in ("running", "batch", "standing"):
        chosen = EvaluationConfig(
            metrics=("fid",),
            count=100,
            features="random",
            generator_mode=mode,
            standing_batches=2,
        )  # type: ignore[arg-type]
        side = generated(sampler, chosen, source)
        record = evaluate(side, chosen, source=source, device=torch.device("cpu"))[0]
        assert f"ema-{mode}" in record.protocol
        numbers[mode] = record.value
    assert len(set(numbers.values())) == 3, "the modes are different numbers"
    assert_same_tensors(before, sampler.generator.state_dict())
    assert not sampler.generator.training


def test_images_against_images(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = make_folder({"a": 30, "b": 30}, size=(16, 16), name="one")
    two = make_folder({"a": 30, "b": 30}, size=(16, 16), name="two", seed=1)
    options = ["--features", "random", "--metrics", "fid", "precision_recall"]
    same = evaluated(capsys, one, "--data", one, *options)
    assert same["fd_random"].value == pytest.approx(0, abs=1e-6)
    assert same["precision_random"].value == 1.0
    other = evaluated(capsys, one, "--data", two, *options)
    assert other["fd_random"].value > 1e-6
    assert other["fd_random"].conditions.count == 60
    assert (tmp_path / "metrics.jsonl").exists()
    mixed = make_folder({"c": 3}, size=(20, 24), name="one")
    assert "say at which to compare" in failed(capsys, two, "--data", mixed, *options)
    (two / "a" / "0000.png").write_bytes(b"no image")
    assert "1 of 60 images cannot be used" in failed(capsys, two, "--data", two, *options)


@pytest.mark.nightly
def test_accuracy_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is real passes for real: two halves of the digits."""
    found = evaluated(capsys, "digits", "--data", "digits", "--resolution", 16, "--metrics", "cas", "--out", run / "x")
    assert found["cas"].value > 0.97
    assert found["cas_train_real_test_fake"].value > 0.97
    assert found["cas"].conditions.features is None


def test_mistakes(run: Path, tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*words: object) -> str:
        return str(failed(capsys, *words))

    assert "nearest: fid" in error(run, "--metrics", "fidd")
    assert "nearest: inception" in error(run, "--features", "inceptoin")
    snapshot = run / "snapshots" / "160.safetensors"
    assert "--data" in error(snapshot)
    folder = make_folder({"a": 3, "b": 3}, size=(16, 16))
    assert "2 classes, this generator was trained on 10" in error(snapshot, "--data", folder)
    assert "compared at the size that it makes" in error(run, "--resolution", "32")
    assert "needs two classes" in error(folder / "a", "--data", folder / "a", "--features", "classifier")
    assert "--count 1" in error(run, "--count", 1)
    many = tmp_path / "five.npy"
    np.save(many, np.zeros((4, 5, 16, 16), np.uint8))
    assert "5 channels" in error(many, "--data", many, "--features", "random", "--metrics", "fid")


def test_the_snapshot_of_another_family_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No batch norm, no classes, colour: what is not there is not asked for."""
    model = tiny("sngan", classes=0, channels=3)
    info = SnapshotInfo(architecture=model, class_names=(), weights="generator", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "g.safetensors", build(model).generator.eval(), info)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (30, 3, 16, 16), dtype=np.uint8))
    words = (tmp_path / "g.safetensors", "--data", tmp_path / "x.npy", "--features", "random", "--count", 30)
    found = evaluated(capsys, *words, "--metrics", "fid", "prdc", "diversity")
    assert found["fd_random"].value > 0


def test_configuration_is_checked() -> None:
    with pytest.raises(UserError, match="--count 1"):
        EvaluationConfig(count=1)
    with pytest.raises(UserError, match=r"--evaluation\.every 0"):
        TrainingEvaluation(every=0)
    assert dataclasses.replace(EvaluationConfig(), standing_statistics=True).mode == "standing"


def test_weights_that_cannot_be_fetched_have_an_option(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Inception, "url", "https://127.0.0.1:9/weights.pth")
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path))
    said = failed(capsys, run, "--features", "inception", "--count", 8, "--metrics", "fid")
    assert "could not be downloaded" in said
    assert "--features.weights FILE" in said
    assert "--features classifier needs no weights" in said
