"""Whether a run trains: by its lock, whoever holds it, and not by how old its log is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from biggan.foundation.locks import held, process_start, this_process
from biggan.training.run_directory import LOCK
from biggan.web import life, runs
from biggan.web.life import SILENT_ELSEWHERE, SILENT_HERE, Life
from tests.rooms.web.served import client, run


def plant(path: Path, age: float, **changes: object) -> None:
    """Write the lock of a process, renewed ``age`` seconds ago."""
    (path / LOCK).write_text(json.dumps(asdict(replace(this_process(), **changes))))  # type: ignore[arg-type]
    renew(path, age)


def renew(path: Path, age: float) -> None:
    then = time.time() - age
    os.utime(path / LOCK, (then, then))


def test_a_run_is_live_while_it_is_held_and_not_a_moment_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_LOOK", 0.0)
    shown = tmp_path / "shown"
    path = run(shown / "run", 1.0)
    with held(path / LOCK, "the run directory"), client(shown) as api:
        before = sorted(path.rglob("*"))
        assert [one["live"] for one in api.get("/api/runs").json()["runs"]] == [True]
        assert sorted(path.rglob("*")) == before, "looking leaves nothing"
    shutil.copytree(path, shown / "the copy")
    with client(shown) as api:
        assert [one["live"] for one in api.get("/api/runs").json()["runs"]] == [False, False], "its last line is young"


def test_what_died_without_giving_back_its_lock_does_not_train(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    started = process_start(process.pid) or ""
    process.wait()
    plant(tmp_path, 0, pid=process.pid, started=started)
    assert not Life().trains(tmp_path)


def test_a_lock_that_was_copied_with_its_run_ages(tmp_path: Path) -> None:
    plant(tmp_path, SILENT_HERE - 5)
    assert Life().trains(tmp_path)
    renew(tmp_path, SILENT_HERE + 5)
    assert not Life().trains(tmp_path), "its process is alive, and renews another file"


def test_a_run_of_another_machine_is_known_by_how_its_lock_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ahead in (0.0, 7200.0, -7200.0):  # its clock
        known = Life()
        plant(tmp_path, SILENT_ELSEWHERE - 20 - ahead, host="elsewhere")
        assert known.trains(tmp_path) is (ahead == 0), "at the first look there is nothing but the clocks"
        renew(tmp_path, SILENT_ELSEWHERE - 40 - ahead)
        assert known.trains(tmp_path), "it was renewed while one looked"
        with monkeypatch.context() as later:
            later.setattr(life, "SILENT_ELSEWHERE", 0.0)
            assert not known.trains(tmp_path), "so long it was silent"
        renew(tmp_path, -ahead)
        assert known.trains(tmp_path), "it is there again"
        (tmp_path / LOCK).unlink()
        assert not known.trains(tmp_path)
