"""Preparation that is killed, meets another, or a full disk: one file, whole or absent."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from biggan.data.configuration import DataConfig
from tests.rooms.data.helpers import (
    MakeFolder,
    opened,
    prepare,
)


def slow_prepare(folder: Path, target: Path, workers: str = "2") -> subprocess.Popen[bytes]:
    program = (
        "import sys; from biggan.data.preparation import packing; from biggan.cli.main import main\n"
        "packing._PROGRESS_SECONDS = 0.02; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "data", "prepare", str(folder), str(target), "--resolution", "64"]
    return subprocess.Popen([*command, "--workers", workers], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.nightly
def test_kills_lose_nothing(make_folder: MakeFolder, tmp_path: Path) -> None:
    """SIGKILL again and again, while images are written: the file is what one undisturbed process makes."""
    folder = make_folder({"a": 500, "b": 500}, size=(150, 150))
    assert prepare(folder, tmp_path / "whole.hdf5", resolution="64") == 0
    target, stood = tmp_path / "x.hdf5", []
    progress = tmp_path / ".x.hdf5.progress"
    for kill in range(6):
        process = slow_prepare(folder, target)
        before = stood[-1] if stood else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
            if progress.exists() and json.loads(progress.read_text())["read"] > before:
                time.sleep(0.05 * kill)
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        if target.exists():
            break
        stood.append(json.loads(progress.read_text())["read"])
    assert len(stood) >= 1, "at least one kill fell into the work"
    assert stood == sorted(stood)
    finished = not target.exists()
    while not target.exists():
        assert slow_prepare(folder, target).wait() == 0
    assert target.read_bytes() == (tmp_path / "whole.hdf5").read_bytes()
    if finished:  # and not killed between the rename and the last tidying
        assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".x.")]


def test_a_kill_while_finishing(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The last act can be done twice: labels half-written by a killed process leave no trace."""
    from biggan.data.preparation import packing

    folder = make_folder({"a": 40, "b": 30})
    (folder / "a" / "0001.png").write_bytes(b"no image, so that fewer are written than were allocated")
    source = opened(folder, skip_corrupt=True)
    settings = DataConfig()
    packing.pack(source, tmp_path / "plain.hdf5", settings, workers=0)

    class Killed(BaseException):
        pass

    finish, times = packing._finish, []

    def killed_at_the_end(*arguments: Any) -> None:
        finish(*arguments)
        times.append(1)
        raise Killed

    packing._finish = killed_at_the_end
    try:
        with pytest.raises(Killed):
            packing.pack(source, tmp_path / "x.hdf5", settings, workers=0)
    finally:
        packing._finish = finish
    assert times
    done = packing.pack(source, tmp_path / "x.hdf5", settings, workers=0)
    assert done.resumed_at == 69
    assert (tmp_path / "x.hdf5").read_bytes() == (tmp_path / "plain.hdf5").read_bytes()


def test_two_processes_do_not_write_one_file(make_folder: MakeFolder, tmp_path: Path) -> None:
    from biggan.data.preparation.packing_progress import alone
    from biggan.foundation.errors import UserError

    path = tmp_path / "x.hdf5"
    program = (
        "import sys; from pathlib import Path; from biggan.data.preparation.packing_progress import alone\n"
        "with alone(Path(sys.argv[1])): print('mine', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(UserError, match="being written by another process"), alone(path):
            pass
        other.kill()
    with alone(path):  # the lock goes with the process that held it
        pass


def test_space_is_asked_for_first(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder({"a": 3, "b": 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 2000, 2000))  # type: ignore[attr-defined]
    assert prepare(folder, tmp_path / "x.hdf5") == 2
    assert re.search(r"needs 6.1 KiB, and 2.0 KiB are free", capsys.readouterr().err)
    assert not [p for p in tmp_path.iterdir() if p.name != "images" and not p.name.endswith(".lock")]


def test_a_full_disk(make_folder: MakeFolder, tmp_path: Path) -> None:
    """A file size limit stands in for a full disk: a clear error before any work, and nothing half-made."""
    folder = make_folder({"a": 30}, size=(70, 70))
    program = "import sys; from biggan.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "data", "prepare", str(folder / "a"), str(tmp_path / "x.hdf5")]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = subprocess.run(
        [*command, "--resolution", "64"], preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "cannot reserve 360.0 KiB" in done.stderr
    assert [p.name for p in tmp_path.iterdir() if "x.hdf5" in p.name and not p.name.endswith(".lock")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(make_folder: MakeFolder, tmp_path: Path) -> None:
    folder = make_folder({"a": 30}, size=(70, 70))
    small = tmp_path / "small"
    small.mkdir()
    script = f'mount -t tmpfs -o size=300k tmpfs {small} && exec "$@"'
    command = [sys.executable, "-m", "biggan", "data", "prepare", str(folder / "a"), str(small / "x.hdf5")]
    wrapped = ["unshare", "--mount", "sh", "-c", script, "sh", *command, "--resolution", "64"]
    done = subprocess.run(wrapped, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this system lets nobody mount")
    assert done.returncode == 2, done.stderr
    assert "needs 720.9 KiB, and 300.0 KiB are free" in done.stderr
