"""How the command line answers: at once, without torch, and with an error for a mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from biggan.cli.main import COMMANDS, main
from biggan.version import __version__

HELP = [["--help"], *([name, "--help"] for name in COMMANDS), ["train", "digits", "--help"]]


def answer(words: list[str]) -> tuple[set[str], str]:
    """Return the packages that a command imported, and what it printed."""
    command = [sys.executable, "-X", "importtime", "-m", "biggan", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    return imported, done.stdout


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    imported, printed = answer(words)
    assert "usage: biggan" in printed
    assert "biggan" in imported
    assert not imported & {
        "torch",
        "torchvision",
        "scipy",
        "sklearn",
        "h5py",
        "matplotlib",
        "safetensors",
        "tensorboard",
    }


def test_every_command_is_described() -> None:
    _, printed = answer(["--help"])
    for name, (_, what) in COMMANDS.items():
        assert name in printed
        assert what in printed


def test_presets_are_listed_with_titles() -> None:
    _, printed = answer(["train", "--help"])
    assert "biggan-pytorch-bs256x8" in printed
    assert "launch_BigGAN_bs256x8.sh" in printed


@pytest.mark.parametrize("words", [["--terms", "help"], ["digits", "--terms", "help"]])
def test_terms_are_listed_with_their_papers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) == 2
    printed = capsys.readouterr().out
    assert "lecam" in printed
    assert "Tseng et al. 2021" in printed
    assert "decay=0.99" in printed


def test_version_and_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().out
    assert main(["train"]) == 2
    assert "presets:" in capsys.readouterr().out


def test_both_spellings_of_the_data_options(tmp_path: Path) -> None:
    from biggan.cli.train import parse

    for words in (["--data", "a", "--data.check"], ["--data=a", "--data.check"], ["--data.path", "a", "--data.check"]):
        config = parse("digits", words, str(tmp_path / "run"))
        assert config.data.path == "a"
        assert config.data.check


def test_the_run_directory_supplies_what_is_not_given(tmp_path: Path) -> None:
    from biggan.cli.train import parse
    from biggan.training.setup import train
    from tests.conftest import tiny_config

    train(tiny_config(tmp_path / "run", duration=16, batch=4), "digits")
    config = parse("digits", ["--run-dir", str(tmp_path / "run"), "--duration", "1k"], str(tmp_path / "run"))
    assert config.batch == 4
    assert config.duration == 1000
    assert config.model.generator_width == 4
    assert parse("digits", [], str(tmp_path / "other")).batch == 64
