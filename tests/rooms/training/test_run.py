"""The stable contract of ``biggan train`` on the command line, and what other tests ask of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from biggan.cli.main import main
from biggan.foundation.tensor_files import read_tensors
from biggan.models.snapshot import read_info
from biggan.training.checkpoint import read_checkpoint

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


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


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
        (["train", "--bach", "3"], "--batch"),
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
