"""What the command line answers when something is wrong: with the user, the machine, or itself."""

from __future__ import annotations

import contextlib
import errno
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from biggan.cli import main as command_line
from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.models.snapshot import read_info
from tests.conftest import tiny
from tests.snapshots import write

CPU = ("--device", "cpu")
HOSTILE = ("\x1b[2J", "\x00", "$\\frac{", "a\nb", "\u202egnp", "../../x", "/abs", "..", "\u4e2d\u6587" * 40, "_x")


# -- whose mistake it was ----------------------------------------------------------------------------------------------


def fails_by_mistake(_: list[str]) -> int:
    return int("not a number \x1b[2J")


def fails_for_the_user(_: list[str]) -> int:
    raise UserError("--x \x1b[2J: choose another")


def fails_for_want_of_memory(_: list[str]) -> int:
    torch.empty(2**55, dtype=torch.uint8)
    return 0


def fails_for_want_of_gpu_memory(_: list[str]) -> int:
    raise torch.OutOfMemoryError("tried to allocate 20 GiB")


def fails_for_want_of_space(_: list[str]) -> int:
    raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")


def fails_for_want_of_a_file(_: list[str]) -> int:
    return len(Path("/nowhere/at/all").read_text())


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        (fails_by_mistake, 1, "ValueError: invalid literal"),
        (fails_for_the_user, 2, "error: --x \\x1b[2J: choose another"),
        (fails_for_want_of_memory, 2, "not enough memory for that; take fewer images at a time (--batch)"),
        (fails_for_want_of_gpu_memory, 2, "GPU has not enough memory"),
        (fails_for_want_of_space, 2, "/somewhere: No space left on device; free some space"),
        (fails_for_want_of_a_file, 2, "/nowhere/at/all: No such file"),
    ],
)
def test_the_last_line_says_whose_mistake_it_was(
    command: object, status: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    location = f"{__name__}:{command.__name__}"  # type: ignore[attr-defined]
    monkeypatch.setitem(command_line.COMMANDS, "info", (location, ""))
    assert main(["info"]) == status
    said = capsys.readouterr().err
    assert message in said
    assert said.splitlines()[-1].startswith("error: ")
    assert ("Traceback" in said) == (status == 1), "a bug keeps its traceback, and nothing else has one"
    assert "\x1b" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_under_what_is_printed_is_told_as_that() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "biggan", "--version"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.stderr.startswith("error: what is printed: No space left on device; free some space")
    assert done.returncode == 2


# -- disks that are full, outputs that exist ---------------------------------------------------------------------------


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


WRITERS = {
    "sample FILE --out OUT --count 2": "",
    "sample FILE --out OUT --count 2 --format npz": "samples.npz",
    "sample FILE --out OUT --count 2 --format grid": "grid.png",
    "sample FILE --out OUT --count 2 --standing-statistics 1": "",
    "sheet FILE --out OUT/x.png --columns 2": "x.png",
    "interpolate FILE --out OUT/x.png --frames 3": "x.png",
    "interpolate FILE --out OUT/x.gif --frames 3": "x.gif",
    "interpolate FILE --out OUT/x.mp4 --frames 3": "x.mp4",
    "calibrate FILE --out OUT/x.safetensors --truncations 0.5 --batches 1": "x.safetensors",
}


def words_of(line: str, snapshot: Path, out: Path) -> list[str]:
    return [word.replace("FILE", str(snapshot)).replace("OUT", str(out)) for word in line.split()] + [*CPU]


@pytest.mark.parametrize("line", WRITERS)
def test_outputs_are_never_replaced_in_silence(
    line: str, snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "mp4" in line:
        pytest.importorskip("av", reason="the video extra is not installed")
    out = tmp_path / "out"
    words = words_of(line, snapshot, out)
    assert main(words) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    with no_file_larger_than(50):
        assert main([*words, "--overwrite"]) == 2, "a full disk"
    assert "nothing that was there" in capsys.readouterr().err.lower()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first, "whole or as before, nothing beside"
    assert main([*words, "--overwrite"]) == 0
    assert {path.name for path in out.iterdir()} == first.keys()


@pytest.mark.parametrize("line", [line for line, name in WRITERS.items() if name])
def test_links_are_not_written_through(
    line: str, snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, victim = tmp_path / "out", tmp_path / "victim"
    out.mkdir()
    victim.write_text("dear")
    (out / WRITERS[line]).symlink_to(victim)
    assert main([*words_of(line, snapshot, out), "--overwrite"]) == 2
    assert "link" in capsys.readouterr().err
    assert victim.read_text() == "dear"


# -- names from files --------------------------------------------------------------------------------------------------


def test_hostile_class_names_stay_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = write(tmp_path / "x.safetensors", names=HOSTILE), tmp_path / "a" / "out"
    assert read_info(file).class_names == HOSTILE
    assert main(["info", str(file)]) == 0
    assert main(["info", str(file), "--json"]) == 0
    assert main(["sample", str(file), "--out", str(out), "--count", "20", *CPU]) == 0
    assert main(["sheet", str(file), "--out", str(tmp_path / "a" / "s.png"), "--columns", "1", *CPU]) == 0
    assert main(["sample", str(file), "--out", str(tmp_path / "b"), "--classes", "\x1b", *CPU]) == 2
    said = capsys.readouterr()
    assert not any(c in said.out + said.err for c in "\x1b\x00\u202e")
    assert {path.name for path in tmp_path.iterdir()} == {"x.safetensors", "a"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"out", "s.png"}
    assert len(list(out.glob("*.png"))) == 20


def test_hostile_labels_are_drawn_in_plots(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("matplotlib", reason="the plots extra is not installed")
    from biggan.foundation.plots import figure

    for ending in ("png", "svg"):
        with figure(tmp_path / f"x.{ending}") as axes:
            for place, name in enumerate(HOSTILE):
                axes.plot([1, 10], [place, 1000], label=name)
                axes.annotate(name, (1, place))
            axes.set_xlabel("$\\frac{")
            axes.set_yscale("symlog")
            axes.legend()
        assert (tmp_path / f"x.{ending}").stat().st_size > 1000
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    with pytest.raises(UserError, match=r"end the name of a plot in \.png"), figure(tmp_path / "x.exe"):
        pass


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sample FILE --out OUT/x --count 1000000000000", "--count 1000000000000: 1,000,000,000,000 images; at most"),
        ("sample FILE --out OUT/x --seeds 0-9000000 9-9000000", "at most 10,000,000 are made by one command"),
        ("sample FILE --out OUT/x --classes cat,dog --count 6000000", "--classes x --seeds: 12,000,000 images"),
        ("sample FILE --out OUT/x --format grid --count 2000000", "pixels, where 65,500 a side"),
        (
            "sample FILE --out OUT/x --standing-statistics 1000000000",
            "--standing-statistics 1000000000: 1 to 1,000,000",
        ),
        ("sample FILE --out OUT/x --seeds 99999999999999999999", "write numbers and ranges"),
        ("sample FILE --out OUT/x --seeds \u00b2", "write numbers and ranges"),
        ("sample FILE --out OUT/x --seeds ,", "name at least one seed"),
        ("sample FILE --out OUT/x --classes id:\u00b2", "no class 'id:\u00b2'"),
        ("sample FILE --out OUT/x --truncation nan", "--truncation nan: must be at least 0.001 and at most 1000"),
        ("sample FILE --out  --count 1", "--out"),
        ("sheet FILE --out OUT/x.png --columns 10000000", "--columns 10000000: one picture of"),
        ("sheet FILE --out OUT/x.exe", "end the name of a picture in .png"),
        ("interpolate FILE --out OUT/x.gif --frames 1000000000", "--frames 1000000000: 1 to 100,000"),
        (
            "interpolate FILE --out OUT/x.gif --frames 90000 --seeds 0-5",
            "--frames: the whole film has 450,001 frames",
        ),
        ("interpolate FILE --out OUT/x.png --frames 30000", "--frames 30000: one picture of 90,003 images"),
        (
            "interpolate FILE --out OUT/x.gif --frames-per-second 0",
            "--frames-per-second 0: 1 to 50 in a GIF, 240 in .mp4",
        ),
        ("calibrate FILE --out OUT/x.safetensors --batches 1000000000", "--batches 1000000000: 1 to 1,000,000"),
        ("calibrate FILE --out OUT/x.safetensors --truncations 0.5 inf", "--truncations inf: must be"),
    ],
)
def test_limits_are_said_before_work_begins(
    line: str, message: str, snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [w.replace("FILE", str(snapshot)).replace("OUT", str(tmp_path / "out")) for w in line.split(" ")]
    assert main([*words, *CPU]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_million_classes_take_too_many_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "x.safetensors", tiny("biggan", classes=200_000), names=())
    assert main(["sheet", str(file), "--out", str(tmp_path / "s.png"), *CPU]) == 2
    assert "200,000 classes with --columns 10 take 2,000 pages, where 1,000" in capsys.readouterr().err
    assert main(["sheet", str(file), "--out", str(tmp_path / "s.png"), "--classes", "id:199999", *CPU]) == 0


def test_a_disk_that_is_too_small_is_said_first(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.foundation import files, memory

    monkeypatch.setattr(files, "free_space", lambda _: 10_000)
    assert main(["sample", str(snapshot), "--out", str(tmp_path / "o"), "--count", "1000", *CPU]) == 2
    assert "writing 1,000 images needs 1.7 MiB, and 9.8 KiB are free" in capsys.readouterr().err
    monkeypatch.setattr(files, "free_space", lambda _: 10**12)
    monkeypatch.setattr(memory, "memory", lambda: 10_000)
    words = ["sample", str(snapshot), "--out", str(tmp_path / "o"), "--count", "1000", "--format", "npz", *CPU]
    assert main(words) == 2
    assert (
        "--format npz: 1,000 images need 750.0 KiB of memory, and this machine has 9.8 KiB" in capsys.readouterr().err
    )
    assert not (tmp_path / "o").exists()
