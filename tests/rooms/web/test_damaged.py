"""Damaged files among what is served: the terminal is told of each once, and the others are drawn from."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from biggan.foundation.errors import CorruptFileError
from biggan.web import models, places
from biggan.web.telling import MOST
from tests.rooms.web.served import client, run
from tests.snapshots import write


def noise(path: Path, size: int = 3000) -> Path:
    path.write_bytes(random.Random(0).randbytes(size))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-100])
    return path


def test_damaged_ones_are_told_once_and_the_others_are_drawn_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "_LOOK", 0.0)
    monkeypatch.setattr(models, "_LOOK", 0.0)
    first = cut(run(tmp_path / "a run", 1.0) / "snapshots" / "640.safetensors")
    (tmp_path / "b begun" / "checkpoints").mkdir(parents=True)
    later = cut(run(tmp_path / "run", 1.0) / "snapshots" / "640.safetensors")
    good = write(tmp_path / "good.safetensors")
    bits = write(tmp_path / "z bits.safetensors")
    bits.write_bytes(bits.read_bytes()[:-50] + bytes(50))
    damaged = [first, later, noise(tmp_path / "noise.safetensors"), cut(write(tmp_path / "cut.safetensors"))]
    with client(tmp_path) as api:
        said = capsys.readouterr().err
        assert sorted(line.split(" is not")[0] for line in said.splitlines()) == sorted(
            f"cannot be drawn from: {path}" for path in damaged
        )
        for _ in range(2):
            answer = api.get("/api/image")
            assert "model=good.safetensors&" in answer.headers["x-biggan-query"], "the first that can be read"
            assert api.get("/api/image?model=a+run").status_code == 500
            assert api.get("/api/image?model=z+bits.safetensors").status_code == 500
            assert api.get("/api/model").json()["model"] == "good.safetensors"
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert f"{bits} is damaged" in said, "which only reading all of it shows"
        assert not capsys.readouterr().err
        good.unlink()
        assert api.get("/api/image").status_code == 500, "the first of all, where the default is gone"


def test_no_more_than_so_many_lines_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "good.safetensors")
    for number in range(MOST + 10):
        noise(tmp_path / f"noise{number}.safetensors", 10)
    with client(tmp_path) as api:
        assert api.get("/api/image").status_code == 200
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MOST + 1
    assert lines[-1].startswith(f"more than {MOST} files")


def test_where_none_can_be_read_the_server_does_not_start(tmp_path: Path) -> None:
    cut(run(tmp_path / "run", 1.0) / "snapshots" / "640.safetensors")
    with pytest.raises(CorruptFileError, match=r"640\.safetensors is not a readable"), client(tmp_path):
        pass
