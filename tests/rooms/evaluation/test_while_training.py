"""Evaluation during training touches nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biggan.evaluation.configuration import TrainingEvaluation
from biggan.foundation.errors import UserError
from biggan.training.configuration import CheckpointConfig
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config
from tests.pooled_features import register
from tests.rooms.training.test_distributed import torchrun
from tests.rooms.training.test_run import final_state


def evaluation(**values: Any) -> TrainingEvaluation:
    return TrainingEvaluation(**{"every": 40, "count": 60, "metrics": ("fid", "kid"), "features": "random"} | values)


def test_training_is_untouched_by_evaluation(tmp_path: Path) -> None:
    register()
    plain = tiny_config(tmp_path / "plain", duration=80)
    train(plain, "digits")
    keeping = CheckpointConfig(every=40, keep_last=1, keep_best=1)
    watched = tiny_config(
        tmp_path / "watched", duration=80, evaluation=evaluation(features="pooled"), checkpoint=keeping
    )
    train(watched, "digits")
    assert_same_tensors(final_state(tmp_path / "plain"), final_state(tmp_path / "watched"))
    lines = [json.loads(line) for line in (tmp_path / "watched" / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines if line["metric"] == "fd_pooled"] == [40, 80]
    values = {line["images_seen"]: line["value"] for line in lines if line["metric"] == "fd_pooled"}
    best = min(values, key=values.__getitem__)
    kept = {int(p.name) for p in (tmp_path / "watched" / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {best, 80}


def test_none_starts_in_a_shorter_run_and_failures_are_told_once(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "short", duration=32, evaluation=evaluation()), "digits")
    assert not (tmp_path / "short" / "metrics.jsonl").exists()
    (tmp_path / "none.pth").write_bytes(b"no weights")
    broken = evaluation(features="inception", weights=str(tmp_path / "none.pth"))
    train(tiny_config(tmp_path / "broken", duration=160, evaluation=broken), "digits")
    log = (tmp_path / "broken" / "log.txt").read_text()
    assert log.count("images failed, training goes on: ") == 1
    assert "none.pth" in log
    assert "finished: 160 images" in log
    with pytest.raises(UserError, match="nearest: fid"):
        train(tiny_config(tmp_path / "typo", evaluation=evaluation(metrics=("fib",))), "digits")
    with pytest.raises(UserError, match="there is no such file"):
        train(tiny_config(tmp_path / "gone", evaluation=evaluation(weights=str(tmp_path / "gone.pth"))), "digits")


@pytest.mark.nightly
def test_training_with_two_ranks_evaluates_on_both(tmp_path: Path) -> None:
    words = (
        "-m biggan train digits --duration 64 --batch 16 --device cpu --log.samples-every 1G --log.judge none".split()
    )
    words += "--log.no-tensorboard --evaluation.every 32 --evaluation.count 40 --evaluation.metrics fid".split()
    words += "--evaluation.features random --model.generator-width 4 --model.discriminator-width 4".split()
    done = torchrun(2, [*words, "--run-dir", str(tmp_path / "run")])
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["images_seen"], line["ranks"]) for line in lines] == [(32, 2), (64, 2)]
