"""Evaluation while training: what is wrong with it is found at the start, and what fails later costs no training."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from biggan.cli.main import main
from biggan.evaluation.configuration import TrainingEvaluation
from biggan.training.checkpoint import read_checkpoint
from biggan.training.configuration import CheckpointConfig, LogConfig
from biggan.training.setup import train
from tests.conftest import tiny_config
from tests.rooms.training.test_run import last_checkpoint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--evaluation.metrics fidd", "unknown metric 'fidd'"),
        ("--evaluation.features inceptoin", "unknown"),
        ("--evaluation.features random --evaluation.best-by kidd", "--evaluation.best-by kidd"),
        ("--evaluation.metrics fid --evaluation.features random --evaluation.best-by is", "--evaluation.best-by is"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_wrong_names_are_found_at_the_start(
    words: str, message: str, dry: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    options = ["--run-dir", str(run), "--device", "cpu", "--evaluation.every", "1k", *words.split()]
    assert main(["train", "digits", *options, *(["--dry-run"] if dry else [])]) == 2
    assert message in capsys.readouterr().err
    assert not run.exists()


def test_a_failing_evaluation_is_told_once_and_tried_again(tmp_path: Path) -> None:
    """Weights that are no weights: every interval fails in the same way, and the run comes to its end."""
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"no weights at all")
    run = tmp_path / "run"
    evaluation = TrainingEvaluation(
        every=16, metrics=("fid",), count=8, features="inception", weights=str(weights), batch=8
    )
    train(tiny_config(run, duration=48, evaluation=evaluation), "digits")
    log = (run / "log.txt").read_text()
    assert log.count("evaluation at 16 images failed, training goes on: ") == 1
    assert "evaluation at 32 images" not in log, "the same message is not told again"
    assert "finished: 48 images" in log
    assert read_checkpoint(last_checkpoint(run)).record.pending == ()


def test_what_is_scored_is_saved(tmp_path: Path) -> None:
    """Judged at 24, 48, 72, 80, and checkpoints by their own interval only at the end: the best judged is kept."""
    run = tmp_path / "run"
    log = LogConfig(
        every=80, samples_every=24, sheet_columns=1, interpolation_rows=1, tensorboard=False, judge="digits"
    )
    config = tiny_config(run, duration=80, log=log, checkpoint=CheckpointConfig(every=10**9, keep_last=1))
    train(config, "digits")
    best = read_checkpoint(last_checkpoint(run)).record.best
    assert [clock for _, _, clock in best] == [24, 48, 72, 80]
    chosen = max(best, key=lambda entry: (entry[1], -entry[2]))[2]
    kept = {int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdecimal()}
    assert kept == {80, chosen}
    assert read_checkpoint(run / "checkpoints" / str(chosen)).record.images_seen == chosen
    again = dataclasses.replace(config, duration=80)
    assert train(again, "digits").already_finished
