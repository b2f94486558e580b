"""Every fenced block of the documents is parsed; what can be run on tiny data is run at night."""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro

from biggan.cli.commands import COMMANDS
from biggan.cli.main import main
from biggan.cli.option_names import FREE, command_of, kind_of, options_of
from biggan.cli.train import parse
from biggan.cli.words import without
from biggan.losses.terms import TERMS
from tests.browsers import RUNTIME
from tests.code_blocks import ROOT, Block, blocks, commands, smaller, synopses
from tests.conftest import HANGS, tiny, tiny_config
from tests.rooms.evaluation.calling import inception_weights
from tests.snapshots import write

SHELL = blocks("sh", "bash", "console")
PYTHON = blocks("python")
RUNNABLE = sorted({b.page for b in (*SHELL, *PYTHON)} - {ROOT / "CONTRIBUTING.md"})
"""Pages whose blocks are run: all but that which tells how to run these tests."""
OF_PAGES = "of_pages"
"""Folder of what is there for one page alone, and would be in the way of others."""


def understood(words: list[str]) -> None:
    """Check that a command is one that exists, with options that exist and values that are taken."""
    while re.fullmatch(r"[A-Z][A-Z_]*=\S*", words[0]):  # what a command finds in its environment
        words = words[1:]
    if words[0] == "torchrun":
        from torch.distributed.run import get_args_parser

        launch = get_args_parser().parse_args(words[1:])
        assert (launch.module, launch.training_script) == (True, "biggan"), words
        words = ["biggan", *launch.training_script_args]
    if words[0] == "biggan":
        biggan(words[1:])
    elif words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
        assert set(words[1:]) <= set(targets), words
    elif words[0] == "python":
        python(words[1:])
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in words[2:]:
            asked = re.fullmatch(r"(?:\.|biggan-torch|[\w./*-]+\.whl)(?:\[([\w,]+)\])?", word)
            assert asked or word.startswith("-"), words
            assert not asked or set((asked[1] or "").split(",")) - {""} <= set(extras), words
    else:
        assert words[0] in ("git", "cd", "docker", "source", "export", "eval", "npm", "curl"), f"what is {words[0]}?"


def biggan(words: list[str]) -> None:
    if not words or words[0] in ("--version", "--help"):
        return
    assert words[0] in COMMANDS, words
    found = command_of(words)
    if found is None:
        assert words[0] in FREE or words[1:] in ([], ["--help"]), f"no options are known of {words}"
        return
    command, rest = found
    if rest in (["--help"], ["--terms", "help"], []) and command in ("train", "pull"):
        return
    if command != "train":
        tyro.cli(kind_of(command), args=rest)
        return
    if rest[0].startswith("--"):  # auto, or a run that goes on
        rest = ["digits", *without(rest, "--hours")]
    preset, *options = ["digits" if word in ("PRESET", "auto") else word for word in rest]
    assert "--terms" not in options or all_terms_exist(options), options
    parse(preset, options, "nowhere")


def all_terms_exist(options: list[str]) -> bool:
    place = options.index("--terms") + 1
    end = next((i for i in range(place, len(options)) if options[i].startswith("--")), len(options))
    own = {"small-scores"} | set(re.findall(r'TERMS\.add\("([\w-]+)"', "".join(b.code for b in PYTHON)))
    return {word.partition(",")[0] for word in options[place:end]} <= set(TERMS) | own


def python(words: list[str]) -> None:
    if words[0] == "-m":
        path = ROOT.joinpath(*words[1].split("."))
        assert (
            words[1] in ("biggan", "venv", "http.server", "build") or path.exists() or path.with_suffix(".py").exists()
        )
        return
    script = ROOT / words[0]
    if not script.is_file():
        assert any(block.file == words[0] for block in PYTHON), f"there is no {words[0]}"
        return
    known = set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', script.read_text()))
    assert {word for word in words[1:] if word.startswith("--")} <= known, words


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_every_command_is_understood(block: Block) -> None:
    for words in commands(block):
        try:
            with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
                understood(words)
        except SystemExit as error:
            raise AssertionError(f"{block}: {shlex.join(words)} is not understood:\n{said.getvalue()}") from error
        except argparse.ArgumentError as error:
            raise AssertionError(f"{block}: {error}") from error
    for line in synopses(block):
        command = command_of(shlex.split(line)[1:]) if line.startswith("biggan ") else ("train", [])
        assert command is not None
        for option in re.findall(r"--[a-z][a-z0-9.-]*", line):
            assert option in options_of(command[0]), f"{block}: {option}"


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_every_python_block_compiles(block: Block) -> None:
    compile(block.code, str(block), "exec")


def test_the_checks_can_fail() -> None:
    for line in ("biggan trian digits", "biggan train digits --no-such 3", "make nothing", "python no.py", "rm -rf x"):
        with pytest.raises((AssertionError, SystemExit)), contextlib.redirect_stderr(io.StringIO()):
            understood(shlex.split(line))
    with pytest.raises(AssertionError, match="no-such-term"):
        understood(shlex.split("biggan train digits --terms no-such-term,weight=1"))


@pytest.fixture(scope="module")
def household(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the documents speak of: images in flowers/, and runs, all of them tiny."""
    import numpy as np
    from PIL import Image

    from biggan.data.configuration import DataConfig
    from biggan.training.setup import train

    folder = tmp_path_factory.mktemp("household")
    random = np.random.default_rng(0)
    for name in ("daisy", "rose", "tulip"):
        (folder / "flowers" / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "flowers" / name / f"{number}.png")
    for name in ("photos", "imagenet", f"{OF_PAGES}/recipes.md/imagenet/train"):
        shutil.copytree(folder / "flowers", folder / name)
    pixels = random.integers(0, 256, (20, 20), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "picture.png")
    model = {"latent_size": 24}  # as many directions as pages speak of
    train(tiny_config(folder / "runs" / "digits", model=model), "digits")
    train(tiny_config(folder / "runs" / "small"), "digits")
    model = {"channels": 3, "classes": 3, "resolution": (32, 32)}
    data = DataConfig(path=str(folder / "flowers"))
    train(tiny_config(folder / "runs" / "ch64", data=data, model=model), "digits")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        assert main(["train", "--data", "flowers/", "--resolution", "32", "--duration", "512"]) == 0
        _others(folder)
    return folder


def _others(folder: Path) -> None:
    """Write what pages take from elsewhere: weights of BigGAN-PyTorch and of Inception, programs of another day."""
    for path in ("weights", "node_modules/onnxruntime-web"):
        (folder / path).mkdir(parents=True)
    theirs = folder / "weights" / "BigGAN_I128_hdf5_seed0"
    whole = ["--with-discriminator", "--with-optimizers"]
    assert main(["export", "runs/ch64", "--to", "biggan-pytorch", "--out", str(theirs), *whole]) == 0
    shutil.copytree(folder / "runs" / "ch64", folder / OF_PAGES / "serving.md" / "runs" / "biggan-pytorch-ch64")
    shutil.copy(next((folder / "runs" / "ch64" / "snapshots").iterdir()), folder / "snapshot.safetensors")
    pictures = folder / OF_PAGES / "evaluation.md" / "pictures"
    assert main(["sample", "snapshot.safetensors", "--out", str(pictures), "--count", "12"]) == 0
    for path in theirs.iterdir():
        shutil.copy(path, folder)
    inception_weights(folder / "inception.pth")
    names = ("daisy", "rose", "sunflower", "tulip")
    snapshot = write(folder / "640.safetensors", tiny("biggan", latent_size=120, classes=len(names)), names=names)
    for form, name in (("onnx", "640-export.onnx"), ("torch-export", "640-export.pt2")):
        assert main(["export", str(snapshot), "--to", form, "--out", str(folder / name)]) == 0
    if os.environ.get(RUNTIME):
        (folder / "node_modules" / "onnxruntime-web" / "dist").symlink_to(_dist(Path(os.environ[RUNTIME])))


def _dist(runtime: Path) -> Path:
    return (runtime / "dist" if (runtime / "dist").is_dir() else runtime).resolve()


@pytest.mark.nightly
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.name)
def test_what_is_not_marked_runs(
    page: Path, household: Path, tmp_path: Path, run_block: Callable[[Block, Path], None]
) -> None:
    todo = sorted((b for b in (*SHELL, *PYTHON) if b.page == page and not b.not_run), key=lambda b: b.line)
    if not os.environ.get(RUNTIME):  # `make shipped` has it
        todo = [block for block in todo if "node_modules/onnxruntime-web" not in block.code]
    before = Path.cwd()
    folder = shutil.copytree(household, tmp_path / "household")  # what one page writes is in no other's way
    if (folder / OF_PAGES / page.name).is_dir():
        shutil.copytree(folder / OF_PAGES / page.name, folder, dirs_exist_ok=True)
    os.chdir(folder)
    try:
        for block in todo:
            run_block(block, folder)
    finally:
        os.chdir(before)


@pytest.fixture
def run_block(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Block, Path], None]]:
    """Yield what runs a block in a folder: commands of ours here, programs and scripts in processes of their own.

    What serves goes on serving until another does, or the page is at its end.
    """
    monkeypatch.setenv("WANDB_MODE", "offline")
    numbers, servers = itertools.count(), contextlib.ExitStack()

    def serving(words: list[str]) -> str:
        servers.close()
        return servers.enter_context(_served(words))

    def run(block: Block, folder: Path) -> None:
        if block.language == "python":
            if block.file:
                (folder / block.file).write_text(block.code)
            else:
                _alone([sys.executable, "-c", block.code], block)
            return
        address = serving(block.run_with["beside"]) if "beside" in block.run_with else ""
        known = [_in_environment(words, monkeypatch) for words in commands(block)]
        ours = [words for words in known if words[0] in ("biggan", "python", "curl", "torchrun")]
        assert ours, f"{block}: nothing of it is run, and it is not marked"
        for words in ours:
            if words[0] == "curl":
                _fetched(words, address)
            elif words[0] == "torchrun":
                _alone(_on_few_ranks(words, block, next(numbers)), block)
            elif words[:2] == ["biggan", "serve"]:
                serving(words[1:])
            elif words[0] == "biggan":
                added = block.run_with.get(words[1], [])
                words = smaller(words, added, next(numbers)) if added and "help" not in words else words
                with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
                    status = main(words[1:])
                asked_for_help = "--help" in words or "help" in words
                assert status == 0 or asked_for_help, f"{block}: {shlex.join(words)}\n{said.getvalue()}"
            else:
                _alone([sys.executable, *words[1:]], block)

    with servers:
        yield run


def _in_environment(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the words of a command after those that set a variable, which is set."""
    while match := re.fullmatch(r"([A-Z][A-Z_]*)=(\S*)", words[0]):
        monkeypatch.setenv(match[1], match[2])
        words = words[1:]
    return words


def _on_few_ranks(words: list[str], block: Block, number: int) -> list[str]:
    """Return what torchrun does, with what is added to its own options and to those of the training."""
    module = words.index("-m")
    launch = smaller(words[:module], block.run_with["torchrun"], number)
    return [
        *(sys.executable, "-m", "torch.distributed.run", *launch[1:]),
        *smaller(words[module:], block.run_with["train"], number),
    ]


@contextlib.contextmanager
def _served(words: list[str]) -> Iterator[str]:
    """Yield the address of a server that ``words`` start, at a free port; it ends well when it is told to."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "biggan", *words, "--port", "0"]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line)
                if found := re.search(r"http://[\d.]+:\d+/", line):
                    with urllib.request.urlopen(found[0], timeout=HANGS) as answer:
                        assert answer.status == 200, command
                    yield found[0]
                    break
            else:
                raise AssertionError(f"{shlex.join(command)}:\n{''.join(said)}")
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert process.wait(HANGS) == 0, command


def _fetched(words: list[str], address: str) -> None:
    """Do what ``curl -f -o FILE ADDRESS`` does, of a server that is at another address here."""
    assert words[:3] == ["curl", "-f", "-o"], words
    assert address, f"{words}: no server beside it"
    with urllib.request.urlopen(re.sub(r"http://127\.0\.0\.1:\d+/", address, words[4]), timeout=HANGS) as answer:
        Path(words[3]).write_bytes(answer.read())


def _alone(command: list[str], block: Block) -> None:
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert done.returncode == 0, f"{block}:\n{done.stdout}{done.stderr}"
