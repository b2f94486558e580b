"""A rank that dies, or answers no more: the others leave in time, and what goes on ends where it would have ended."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from biggan.cli.main import TRY_AGAIN
from biggan.foundation.errors import UserError
from tests.conftest import assert_same_tensors, tiny_config
from tests.rooms.training import commands
from tests.rooms.training.test_run import final_state

OPTIONS = (
    "--batch 8 --duration 48 --checkpoint.every 16 --log.every 8 --log.judge none --log.samples-every 1G --seed 5"
).split()


def words(run: Path, *more: str) -> list[str]:
    return ["train", "digits", "--run-dir", str(run), *commands.SMALL, *OPTIONS, *more]


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.nightly), 1])
def test_a_killed_rank_ends_the_other_and_nothing_is_lost(rank: int, tmp_path: Path) -> None:
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    attack = partial(commands.signal_at, "training/loop.py:_read", int(signal.SIGKILL), 4)
    done = commands.run_ranks(words(disturbed), tmp_path / "killed", {rank: attack})
    assert done[rank].status == -signal.SIGKILL
    other = done[1 - rank]
    assert other.status == TRY_AGAIN, other.printed
    assert "another process of this command ended" in other.printed
    assert "Traceback" not in other.printed
    for run in (disturbed, undisturbed):
        done = commands.run_ranks(words(run), tmp_path / f"{run.name} logs", {})
        assert [one.status for one in done] == [0, 0], [one.printed for one in done]
    assert "continuing at 16 images" in (disturbed / "log.txt").read_text()
    assert_same_tensors(final_state(disturbed), final_state(undisturbed))


def stopped(process: Any, seconds: float = 60) -> None:
    """Wait until a process has been stopped by SIGSTOP."""
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in /proc")
@pytest.mark.parametrize("asked", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["SIGTERM", "time-out"])
def test_nobody_waits_for_a_rank_that_answers_no_more(asked: bool, tmp_path: Path) -> None:
    """The first rank waits inside a collective, where no handler of Python's runs."""
    patience = "--rank-timeout 30 --stop-timeout 1" if asked else "--rank-timeout 0.15"
    attack = partial(commands.signal_at, "training/loop.py:_read", int(signal.SIGSTOP), 4)
    run = tmp_path / "run"
    (waiting, log), (silent, _) = commands.start_ranks(words(run, *patience.split()), tmp_path / "logs", {1: attack})
    try:
        stopped(silent)
        if asked:
            time.sleep(0.5)
            os.kill(waiting.pid, signal.SIGTERM)
        done = commands.finish(waiting, log, 30)
    finally:
        silent.kill()
        silent.join()
    assert done.status == (128 + signal.SIGTERM if asked else TRY_AGAIN), done.printed
    assert ("within 1 s (--stop-timeout)" if asked else "did not answer in time") in done.printed
    assert "same command goes on from the last checkpoint" in done.printed
    assert not (run / ".lock").exists(), "given back, for whoever goes on on another machine"


@pytest.mark.parametrize("name", ["rank_timeout", "stop_timeout"])
def test_times_that_cannot_be(name: str) -> None:
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} {value}: more than 0"):
            tiny_config(**{name: value})
