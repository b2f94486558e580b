"""Files are whole or absent, links are not followed, and a flipped bit is found."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from biggan.foundation import files, tensor_files
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import read_plain

TENSORS = {"a": torch.arange(3), "b": torch.ones((), dtype=torch.float64), "c": torch.randn(4, 5), "d": torch.zeros(0)}


def test_tensors_with_header(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.safetensors"
    tensor_files.write_tensors(path, TENSORS, {"k": [1, "é"]})
    assert tensor_files.read_header(path) == {"k": [1, "é"]}
    found = tensor_files.read_verified(path)
    assert found.header == {"k": [1, "é"]}
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in TENSORS.items())
    assert [p.name for p in path.parent.iterdir()] == ["file.safetensors"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_flipped_bit_is_found_wherever_it_lies(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file.safetensors"
    tensor_files.write_tensors(path, TENSORS, {"class_names": ["cat", "dog"], "images_seen": 7})
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"file\.safetensors"):
        tensor_files.read_tensors(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_cut_or_spliced_file_is_found(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "file.safetensors"
    tensor_files.write_tensors(path, TENSORS, {"k": 1})
    content = path.read_bytes()
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    changed = content[:start] + data.draw(st.binary(max_size=16)) + content[end:]
    path.write_bytes(changed)
    if changed != content:
        with pytest.raises(CorruptFileError):
            tensor_files.read_tensors(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>quota", "web page"),
        (b"PK\x03\x04rest", "pickled"),
        (b"\x80\x02}q", "pickled"),
        (b"", "readable"),
    ],
)
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=message):
        tensor_files.read_header(path)
    with pytest.raises(CorruptFileError, match=message):
        tensor_files.read_tensors(path)


def test_foreign_safetensors_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(CorruptFileError, match="no 'biggan' header"):
        tensor_files.read_header(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="does not exist"):
        tensor_files.read_header(tmp_path / "y.safetensors")
    assert list(tensor_files.read_foreign_tensors(tmp_path / "x.safetensors")) == ["a"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    files.write_json(path, {"old": 1})
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        files.write_json(path, {"new": 2})
    monkeypatch.undo()
    assert read_plain(path) == {"old": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


WRITERS = {
    "atomically": lambda path: files.write_atomically(path, b"x" * 50_000),
    "json": lambda path: files.write_json(path, ["x" * 50_000]),
    "tensors": lambda path: tensor_files.write_tensors(path, {"x": torch.zeros(50_000)}),
    "picture": lambda path: files.write_picture(path.with_suffix(".bmp"), Image.new("RGB", (200, 200))),
    "appended": lambda path: files.append_text(path, "x" * 50_000),
    "line": lambda path: files.append_json_line(path, {"x": "y" * 50_000}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_written_through_a_link(tmp_path: Path, writer: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    for name in ("link", "link.bmp"):
        (tmp_path / name).symlink_to(outside)
    with pytest.raises(UserError, match="is a link"):
        WRITERS[writer](tmp_path / "link")
    assert outside.read_text() == "precious"
    assert {p.name for p in tmp_path.iterdir()} == {"link", "link.bmp", "outside"}


def test_a_full_disk_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A limit on file size fails in the same place as a full disk, in a process of its own."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.rooms.foundation.test_files import WRITERS\n"
        "from biggan.foundation.files import NoSpaceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))\n"
        "for name, write in WRITERS.items():\n"
        "    (Path(sys.argv[1]) / name).mkdir()\n"
        "    try:\n"
        "        write(Path(sys.argv[1]) / name / 'file')\n"
        "    except NoSpaceError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.stdout.count("could not be written") == len(WRITERS), (done.stdout, done.stderr)
    assert {folder.name for folder in tmp_path.iterdir()} == set(WRITERS)
    for writer in WRITERS:
        left = [p.name for p in (tmp_path / writer).iterdir()]
        assert not [name for name in left if ".writing-" in name]
        if writer not in ("appended", "line"):
            assert not left


def test_what_will_not_fit_is_said_beforehand(tmp_path: Path) -> None:
    files.require_space(tmp_path / "not" / "there" / "yet", 1, "a checkpoint")
    with pytest.raises(files.NoSpaceError, match=r"a checkpoint needs 909\.5 TiB"):
        files.require_space(tmp_path, 10**15, "a checkpoint")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 * 2**30, "3.0 GiB")]
)
def test_bytes_as_people_say_them(count: int, text: str) -> None:
    assert files.format_bytes(count) == text


def test_numbers_that_json_cannot_say_become_null(tmp_path: Path) -> None:
    files.append_json_line(tmp_path / "lines", {"a": float("nan"), "b": [float("inf"), 1.5]})
    assert json.loads((tmp_path / "lines").read_text()) == {"a": None, "b": [None, 1.5]}


def test_a_temporary_name_fits_whatever_the_name(tmp_path: Path) -> None:
    files.write_atomically(tmp_path / ("é" * 120), b"x")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 8192


def test_a_picture_larger_than_its_format_allows_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"20,000 x 1 pixels, where WebP has 16,383 a side; use \.png"):
        files.write_picture(tmp_path / "x.webp", Image.new("L", (20_000, 1)))
    assert not list(tmp_path.iterdir())
