"""``biggan export``: what it says, what it refuses, and that nothing is lost by it."""

from __future__ import annotations

import signal
import typing
from functools import partial
from pathlib import Path

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.exporting import contract
from biggan.exporting.contract import ExportFormat
from biggan.models.export_file import read_export
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.cli.test_answers import no_file_larger_than
from tests.rooms.exporting.test_original import model
from tests.rooms.training import commands
from tests.snapshots import write

FORMATS = ("safetensors", "biggan-pytorch")
RUNTIME = {"page": ["--runtime", "https://example.org/dist/"]}
"""What a format needs to be asked with; the address is not fetched."""
PROGRAMS = tuple(pytest.param(name, marks=pytest.mark.nightly) for name in ("onnx", "torch-export", "page"))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a snapshot that every format can express."""
    (tmp_path / "given").mkdir()
    return write(tmp_path / "given" / "640.safetensors", model(), names=tuple("abcde"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", [*FORMATS, *PROGRAMS])
def test_what_exists_is_replaced_only_when_asked_and_whole(
    name: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["export", str(small), "--to", name, "--out", str(out / "x"), *RUNTIME.get(name, [])]
    before = small.read_bytes()
    assert main(words) == 0
    said = capsys.readouterr()
    assert str(out / "x") in said.out
    assert not said.err
    first = contents(out)
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    with no_file_larger_than(50):
        assert main([*words, "--overwrite"]) == 2, "a full disk"
    assert "nothing that was there" in capsys.readouterr().err.lower()
    assert contents(out) == first
    assert main([*words, "--overwrite"]) == 0
    assert contents(out).keys() == first.keys()
    assert small.read_bytes() == before


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (signal.SIGTERM, "safetensors"),
        (signal.SIGINT, "safetensors"),
        pytest.param(signal.SIGTERM, "page", marks=pytest.mark.nightly),
    ],
)
def test_a_signal_while_a_file_is_written_leaves_nothing_half(
    number: int, name: str, small: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ["export", str(small), "--to", name, "--out", str(out / "x"), *RUNTIME.get(name, [])]
    attack = partial(commands.signal_at, "foundation/files.py:sync_file", number)
    done = commands.run(words, tmp_path / "log", attack)
    assert done.status == 128 + number, done.printed
    assert not contents(out)


@pytest.mark.parametrize("name", list(contract.FORMATS))
def test_links_are_not_written_through(
    name: str, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("dear") if contract.FORMATS[name].suffix else victim.mkdir()
    (tmp_path / "x").symlink_to(victim)
    words = ["export", str(small), "--to", name, "--out", str(tmp_path / "x"), "--overwrite"]
    assert main([*words, *RUNTIME.get(name, [])]) == 2
    assert "link" in capsys.readouterr().err
    assert contents(victim) == {} if victim.is_dir() else victim.read_text() == "dear"


@pytest.mark.nightly
def test_a_link_for_the_second_file_is_found_before_the_first_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tiny_config(tmp_path / "run", duration=16), "digits")
    (tmp_path / "victim").write_text("dear")
    (tmp_path / "x-discriminator.onnx").symlink_to(tmp_path / "victim")
    words = ["export", str(tmp_path / "run"), "--to", "onnx", "--with-discriminator", "--overwrite"]
    assert main([*words, "--out", str(tmp_path / "x.onnx")]) == 2
    assert "link" in capsys.readouterr().err
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--to onx", "onx"),
        ("--to onnx --with-optimizers", "--with-optimizers: onnx holds no optimizers"),
        ("--to onnx --with-discriminator", "--with-discriminator: GIVEN holds G alone; name the run"),
        ("--to safetensors --with-optimizers", "--with-optimizers: GIVEN holds no moments"),
        ("--to safetensors --uint8", "--uint8: safetensors holds weights, not a program"),
        ("--to biggan-pytorch --truncation 0.5", "--truncation: biggan-pytorch holds weights"),
        ("--to onnx --truncation 0.5", "'biggan calibrate'"),
        ("--to onnx --truncation -1", "--truncation -1.0: must be at least"),
        ("--to onnx --out GIVEN", "exists; add --overwrite"),
        ("--to safetensors --out GIVEN --overwrite", "this is what is read, which is never changed"),
        ("--to onnx --out FOLDER", "this is a folder; name a file"),
        ("--to biggan-pytorch --out GIVEN", "this is a file; name a folder"),
    ],
)
def test_mistakes_are_said_and_nothing_is_written(
    words: str, message: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(small.parent)
    given = [word.replace("GIVEN", str(small)).replace("FOLDER", str(small.parent)) for word in words.split()]
    assert main(["export", str(small), *given]) == 2
    assert message.replace("GIVEN", str(small)) in " ".join(capsys.readouterr().err.split())
    assert contents(small.parent) == before


def test_a_missing_package_is_named(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = ExportFormat(
        name="x", suffix=".x", write=lambda *_: [], optimizers=False, runs=True, packages=("a_package_of_nobody",)
    )
    monkeypatch.setitem(contract.FORMATS._loaded, "onnx", without)
    assert main(["export", str(small), "--to", "onnx"]) == 2
    assert 'needs a_package_of_nobody: pip install "biggan-torch[export]"' in capsys.readouterr().err


def test_a_run_a_checkpoint_and_an_export_are_exported_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(tiny_config(run, duration=16), "digits")
    whole = ["--to", "safetensors", "--with-discriminator", "--with-optimizers"]
    assert main(["export", str(run), *whole]) == 0
    first = run / "16-export.safetensors"
    out = capsys.readouterr().out
    assert "holds the moving average of G, G itself, D, Adam's moments of G, Adam's moments of D" in out
    for source in (run / "checkpoints" / "16", first):
        assert main(["export", str(source), *whole, "--out", str(tmp_path / "again.safetensors"), "--overwrite"]) == 0
        assert read_export(tmp_path / "again.safetensors").digest == read_export(first).digest
    assert main(["export", str(first), "--to", "safetensors", "--out", str(tmp_path / "less.safetensors")]) == 0
    less = read_export(tmp_path / "less.safetensors")
    assert (less.discriminator, dict(less.moments)) == (None, {})
    assert_same_tensors(dict(less.generator or {}), dict(read_export(first).generator or {}))
    capsys.readouterr()
    assert main(["info", str(first)]) == 0
    assert "also holds: G itself, D, Adam's moments of G" in capsys.readouterr().out
    images = [biggan.load(path, "cpu").sample(seeds=[3]) for path in (run, first, tmp_path / "less.safetensors")]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    assert main(["train", "digits", "--run-dir", str(run), "--dry-run", "--device", "cpu"]) == 0, "still a run"


@pytest.mark.nightly
def test_the_statistics_of_a_truncation_are_in_the_program(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank, out = tmp_path / "bank.safetensors", tmp_path / "x.pt2"
    calibrated = ["calibrate", str(small), "--out", str(bank), "--truncations", "0.4", "0.8", "--batches", "2"]
    assert main([*calibrated, "--device", "cpu"]) == 0
    assert main(["export", str(bank), "--to", "torch-export", "--truncation", "0.4", "--out", str(out)]) == 0
    assert "standing statistics of truncation 0.4, from the file's bank" in capsys.readouterr().out
    sampler, program = biggan.load(bank, "cpu"), torch.export.load(out).module()
    z, labels = torch.randn(3, sampler.info.architecture.z_size), torch.tensor([0, 1, 2])
    assert torch.allclose(program(z, labels), sampler.at_truncation(0.4)(z, labels), atol=1e-5)
    assert not torch.allclose(program(z, labels), sampler.generator(z, labels), atol=1e-3)


def test_every_format_is_offered_and_documented() -> None:
    from biggan.cli.export import ExportOptions

    offered = typing.get_args(typing.get_type_hints(ExportOptions)["to"])
    assert set(offered) == set(contract.FORMATS)
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text()
    for name in contract.FORMATS:
        assert contract.FORMATS[name].name == name
        assert f"\n| `{name}` |" in page
