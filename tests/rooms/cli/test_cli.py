"""How the command line answers: at once, without torch, and with an error for a mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from biggan.cli.commands import COMMANDS
from biggan.cli.main import main
from biggan.foundation.errors import UserError
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
    _, printed = answer(["presets"])
    for said in ("biggan-pytorch-bs256x8", "launch_BigGAN_bs256x8.sh", "8 V100 of 16 GB, 15 days", "FID 9.91"):
        assert said in printed


def test_recipes_tell_hardware_and_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["presets", "--json"]) == 0
    for line in capsys.readouterr().out.splitlines():
        told = json.loads(line)
        assert told["hardware and time"]
        assert told["figure"]


@pytest.mark.parametrize("words", [["train", "--help"], ["train", "biggan-pytorch-cifar10", "-h"]])
def test_the_help_of_training_fits_two_screens(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.cli.train_help import SECTIONS

    monkeypatch.setenv("COLUMNS", "80")
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 66
    assert max(map(len, lines)) <= 80
    assert main(["train", "digits", "--help-all"]) == 0
    everything = capsys.readouterr().out
    for option in (option.split()[0] for options in SECTIONS.values() for option in options):
        assert option in everything or option == "--hours", option


@pytest.mark.parametrize(("terminal", "widest"), [("300", 118), ("100", 100), ("80", 80), ("60", 60), ("20", 60)])
def test_the_help_of_training_is_as_wide_as_the_terminal(
    terminal: str, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.cli.train_help import SECTIONS, short_help
    from biggan.presets.registry import get_preset

    monkeypatch.setenv("COLUMNS", terminal)
    for preset in (None, get_preset("biggan-pytorch-cifar10")):
        told = short_help(preset)
        assert widest - 15 < max(map(len, told.splitlines())) <= widest
        said = " ".join(told.split())
        for what in (one for options in SECTIONS.values() for pair in options.items() for one in pair):
            assert what in said, "every word is there, and whole"


@pytest.mark.parametrize("words", [["--terms", "help"], ["digits", "--terms", "help"]])
def test_terms_are_listed_with_their_papers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words]) == 0
    printed = capsys.readouterr().out
    assert "lecam" in printed
    assert "Tseng et al. 2021" in printed
    assert "decay=0.99" in printed


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        ("--terms cr --terms lecam", "--terms"),
        ("--terms=cr --dry-run --terms=lecam", "--terms"),
        ("--data.mix a=1 --data.mix b=1", "--data.mix"),
        ("--evaluation.metrics fid --evaluation.metrics kid", "--evaluation.metrics"),
    ],
)
def test_of_several_values_none_is_lost(line: str, twice: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", *line.split()]) == 2
    assert f"{twice}: is there 2 times, and the last would take the place" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("train --data x --hour 0.1", "'biggan train' has no option --hour; nearest: --hours"),
        (
            "train --batch 64 mmgen-sngan-32 --data x",
            "'mmgen-sngan-32': one preset, and before all options: biggan train mmgen-sngan-32",
        ),
        ("train --data digits auto", "'auto': one preset, and before all options: biggan train auto"),
        ("train digits mmgen-sngan-32", "'mmgen-sngan-32': one preset, and before all options: digits is one already"),
        ("train digits --batchsize=32", "'biggan train' has no option --batchsize; nearest: --batch"),
        ("sample x --out y --class cat", "'biggan sample' has no option --class; nearest: --classes"),
        ("explore sheet x --seed 3", "'biggan explore sheet' has no option --seed; nearest: --seeds"),
    ],
)
def test_the_options_nearest_to_one_that_is_not_there_are_named(
    line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {says}")
    assert main(["sample", "x", "--out", "y", "--count", "many"]) == 2  # there, with a value that is none
    assert "nearest" not in capsys.readouterr().err
    assert main(["sample", "x", "--count", "many", "--out", "y", "--", "--seeds"]) == 2  # what follows is no option
    assert "no option" not in capsys.readouterr().err


def test_of_one_value_the_last_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--batch", "8", "--batch", "16", "--micro-batch", "16", "--dry-run"]) == 0
    assert '"batch": 16' in capsys.readouterr().out


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


def test_a_preset_does_not_go_on_with_other_images_unless_it_is_said(tmp_path: Path) -> None:
    from biggan.cli.train import parse
    from biggan.training.setup import train
    from tests.conftest import tiny_config

    run = str(tmp_path / "run")
    train(tiny_config(tmp_path / "run", duration=16, batch=4), "digits")
    with pytest.raises(UserError, match=r"--data photos: .*run, where this would go, is a run on digits.*--run-dir"):
        parse("digits", ["--data", "photos"], run)
    assert parse("digits", ["--data", "photos", "--run-dir", run], run).data.path == "photos"
    assert parse("digits", ["--data", "digits"], run).batch == 4
