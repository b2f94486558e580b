"""A job that is started again with what cannot be: its own sentence, before an image is read, and nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from biggan.cli.main import main
from tests.conftest import assert_same_tensors
from tests.rooms.training.commands import SMALL
from tests.rooms.training.test_run import final_state

REFUSED = {
    "--norm-group 2": "--norm-group 2: of 1 rank",
    "--micro-batch 0": "--micro-batch 0",
    "--batch-schedule 0:8,64:12 --micro-batch 8": "12 images are no multiple of 1 rank x 8",
    "--batch-schedule 0:16": "32 images have been seen, with batches 0:8",
    "--batch-schedule auto:8..16 --micro-batch 8": "one group (--micro-batch 8, 1 rank)",
    "--statistics exact": "add --spectral-norm phase",
    "--statistics exact --spectral-norm phase --batch 10000000": "exact: 10000000 images at once",
    "--cuda-graphs": "--cuda-graphs: of a GPU with CUDA only",
    "--recompute generator --compile on": "--recompute: of networks that run as they are written",
    "--device cuda": "PyTorch sees no CUDA device",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_restart_that_cannot_be_leaves_all_as_it_was(
    tmp_path: Path,
    make_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    images = make_folder({"a": 6, "b": 6})
    options = "--model.resolution 16 16 --batch 8 --log.judge none --log.samples-every 1G --seed 5".split()

    def train(run: str, duration: int, *words: str) -> int:
        own = ["--run-dir", str(tmp_path / run), "--duration", str(duration), *words]
        return main(["train", "digits", "--data", str(images), *SMALL, *options, *own])

    assert train("run", 32) == 0
    before = contents(tmp_path / "run")
    away = images.rename(tmp_path / "away")
    for words, sentence in REFUSED.items():
        capsys.readouterr()
        assert train("run", 64, *words.split()) == 2, words
        said = capsys.readouterr().err
        assert sentence in said, (words, said)
        assert not re.search("Traceback|nothing at this path", said), said
        assert contents(tmp_path / "run") == before, words
    away.rename(images)
    for run in ("run", "undisturbed"):
        assert train(run, 64) == 0
    assert_same_tensors(final_state(tmp_path / "run"), final_state(tmp_path / "undisturbed"))
