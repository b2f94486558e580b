"""A run whose terminal is closed saves; one whose output nobody reads goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import HANGS
from tests.rooms.training.commands import SMALL

TRAIN = [sys.executable, "-m", "biggan", "train", "digits", *SMALL, "--batch", "8", "--log.every", "64"]
OPTIONS = ["--log.samples-every", "100k", "--checkpoint.every", "100k", "--health.every", "0"]


def started(run: Path, duration: int, **options: object) -> subprocess.Popen[bytes]:
    words = [*TRAIN, *OPTIONS, "--run-dir", str(run), "--duration", str(duration)]
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=own, **options)  # type: ignore[call-overload,no-any-return]


def saved(run: Path) -> list[int]:
    """Return the clocks of the checkpoints."""
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir() if path.name.isdigit())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no terminals that hang up")
def test_a_closed_terminal_saves(tmp_path: Path) -> None:
    import pty

    leader, follower = pty.openpty()

    def own_terminal() -> None:
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever these tests were started with
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    run = tmp_path / "run"
    process = started(run, 10**6, stdin=follower, stdout=follower, stderr=follower, preexec_fn=own_terminal)
    os.close(follower)
    end = time.monotonic() + HANGS
    while not (run / "stats.jsonl").exists():
        assert time.monotonic() < end
        assert process.poll() is None
        os.set_blocking(leader, False)
        try:
            os.read(leader, 65536)
        except BlockingIOError:
            time.sleep(0.05)
    os.close(leader)
    assert process.wait(HANGS) == 128 + signal.SIGHUP
    (clock,) = saved(run)
    assert clock > 0


def test_output_that_nobody_reads_ends_no_training(tmp_path: Path) -> None:
    process = started(tmp_path / "run", 1024, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(HANGS) == 0
    assert saved(tmp_path / "run") == [1024]
    assert "finished" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_descriptors_are_no_mistake_of_ours(closed: str, tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    line = " ".join(["exec", *TRAIN, *OPTIONS, "--run-dir", run, "--duration", "64", closed])
    own = {**os.environ, "OMP_NUM_THREADS": "1"}
    assert subprocess.run(["sh", "-c", line], env=own, check=False, timeout=HANGS, capture_output=True).returncode == 0
    assert saved(tmp_path / "run") == [64]
