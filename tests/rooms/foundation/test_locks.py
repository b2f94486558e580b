"""Locks: one holder at a time, dead ones replaced by exactly one, whatever lies in the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.foundation.locks import (
    STALE_AFTER,
    HeldError,
    Holder,
    Sign,
    held,
    is_dead,
    last_sign,
    process_start,
    this_process,
)
from tests.conftest import HANGS

CONTENDER = """
import sys, time
from pathlib import Path
from biggan.foundation.locks import HeldError, held
lock, go, ready = map(Path, sys.argv[1:4])
ready.touch()
while not go.exists():
    time.sleep(0.0005)
try:
    with held(lock, "the prize"):
        print("won", flush=True)
        sys.stdin.read()
except HeldError as error:
    print(error, flush=True)
"""


def plant(path: Path, holder: Holder, age: float = 0.0) -> None:
    path.write_text(json.dumps(asdict(holder)))
    then = time.time() - age
    os.utime(path, (then, then))


def a_dead_process() -> Holder:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    started = process_start(process.pid) or ""
    process.wait()
    return replace(this_process(), pid=process.pid, started=started)


def race(tmp_path: Path, contenders: int) -> None:
    """Start all at one moment; the winner holds on until every other has been refused."""
    lock, go = tmp_path / "lock", tmp_path / "go"
    command = [sys.executable, "-c", CONTENDER, str(lock), str(go)]
    processes = [
        subprocess.Popen(
            [*command, str(tmp_path / f"ready{i}")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for i in range(contenders)
    ]
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("ready*"))) < contenders:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    go.touch()
    answers = [process.stdout.readline() for process in processes if process.stdout]
    winners = [process for process, answer in zip(processes, answers, strict=True) if answer == "won\n"]
    assert len(winners) == 1, answers
    assert all("the prize is in use by " in answer for answer in answers if answer != "won\n")
    named = [answer for answer in answers if f"process {winners[0].pid} on host" in answer]
    assert named, "the refused are told who holds it"
    for process in processes:
        process.communicate("")
        assert process.returncode == 0
    assert not list(tmp_path.glob("*lock*")), "released, and nothing left behind"
    go.unlink()
    for file in tmp_path.glob("ready*"):
        file.unlink()


def test_of_four_at_once_one_wins(tmp_path: Path) -> None:
    race(tmp_path, 4)


def test_of_eight_that_find_a_dead_one_one_wins(tmp_path: Path) -> None:
    plant(tmp_path / "lock", a_dead_process())
    race(tmp_path, 8)


@pytest.mark.nightly
@pytest.mark.parametrize("dead", [False, True])
def test_many_races(tmp_path: Path, dead: bool) -> None:
    for _ in range(25):
        if dead:
            plant(tmp_path / "lock", a_dead_process())
        race(tmp_path, 8)
    print(f"\n25 races of 8 for a lock{' of a dead process' if dead else ''}: one winner each")


def test_whoever_is_dead_and_who_is_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    own = this_process()
    assert not is_dead(path), "no lock, nobody dead"
    for holder, age, dead in (
        (own, 10 * STALE_AFTER, False),  # it lives: it may stand still as long as it likes
        (a_dead_process(), 0, True),
        (replace(own, started="another start"), 0, True),  # its number belongs to another process by now
        (replace(own, host="elsewhere"), 0, False),
        (replace(own, host="elsewhere"), STALE_AFTER + 60, True),
        (replace(own, place="another boot"), 0, False),
        (replace(own, place="another boot"), STALE_AFTER + 60, True),
    ):
        plant(path, holder, age)
        assert is_dead(path) is dead, (holder, age)


def test_who_only_looks_sees_the_last_sign_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    own = this_process()
    assert last_sign(path) is None, "no lock"
    for holder, here in (
        (own, True),
        (a_dead_process(), None),
        (replace(own, host="elsewhere"), False),
        (replace(own, place=""), False),
    ):
        plant(path, holder, 500)
        renewed = path.lstat().st_mtime_ns
        assert last_sign(path) == (None if here is None else Sign(renewed=renewed, here=here)), holder
        assert path.lstat().st_mtime_ns == renewed
        assert [one.name for one in tmp_path.iterdir()] == ["lock"]
    path.unlink()
    path.symlink_to(tmp_path / "another")
    plant(tmp_path / "another", own)
    assert last_sign(path) == Sign(renewed=path.lstat().st_mtime_ns, here=False), "what a link leads to is not read"


@settings(max_examples=20, deadline=None)
@given(
    st.binary(max_size=300) | st.dictionaries(st.text(max_size=8), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_whatever_the_file_holds_it_is_a_lock_until_it_is_old(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lock"
        path.write_bytes(content)
        with pytest.raises(HeldError, match="in use by another process"), held(path, "it"):
            pass
        os.utime(path, (1, 1))
        with held(path, "it"):
            assert path.exists()
        assert not path.exists()


def test_links_and_folders_are_never_followed_or_removed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(UserError), held(tmp_path / "lock", "it"):
        pass
    assert target.read_text() == "kept"


def test_patience_and_release(tmp_path: Path) -> None:
    import threading

    path, order = tmp_path / "lock", []
    with held(path, "it"):
        with pytest.raises(HeldError, match=f"process {os.getpid()} on host"), held(path, "it"):
            pass

        def wait() -> None:
            with held(path, "it", patience=60):
                order.append("second")

        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert not path.exists()


def test_a_lock_that_was_taken_away_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held(path, "the run") as lock:
        lock.check()
        plant(path, replace(this_process(), host="node7", pid=42))
        with pytest.raises(HeldError, match="process 42 on host node7 took it over"):
            lock.check()
    assert path.exists(), "another's lock is not released"


def test_a_silent_holder_elsewhere_is_waited_for_until_it_counts_as_dead(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", list[str]()
    plant(lock, replace(this_process(), host="node3", place="elsewhere"), age=STALE_AFTER - 0.4)
    with pytest.raises(HeldError), held(lock, "the prize"):
        pass
    with held(lock, "the prize", silence=20.0, tell=told.append) as own:
        own.check()
    assert len(told) == 1
    assert "the prize: waiting for a sign of life of process" in told[0]


def test_a_holder_that_lives_elsewhere_is_waited_for_no_longer_than_it_is_silent(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    plant(lock, replace(this_process(), host="node3", place="elsewhere"), age=60)
    timer = threading.Timer(0.3, os.utime, [lock])
    timer.start()
    began = time.monotonic()
    with pytest.raises(HeldError, match=r"in use by process .* on host node3"), held(lock, "the prize", silence=600.0):
        pass
    assert 0.25 < time.monotonic() - began < HANGS
    with held(tmp_path / "own", "it"), pytest.raises(HeldError), held(tmp_path / "own", "it", silence=600.0):
        pass
    assert time.monotonic() - began < HANGS, "who can be looked up, and lives, is not waited for"
    timer.join()
