"""Real ``torchrun``: it starts a job anew when a process dies, and the job goes on by itself as if nothing were."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import HANGS, assert_same_tensors
from tests.rooms.training import commands, elastic
from tests.rooms.training.test_run import final_state

PROMISED = 60.0
"""Seconds from a kill to the next checkpoint."""
RENDEZVOUS = "last_call_timeout=10,keep_alive_interval=3"
"""What torchrun is told (docs/clusters.md), so that a lost machine is done without in time."""
OPTIONS = "--batch 8 --checkpoint.every 160 --log.every 160 --log.judge none --log.samples-every 1G --seed 5".split()

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are looked up in /proc")


@contextmanager
def torchrun(run: Path, log: Path, launch: list[str], *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a job; end it, if it has not ended, when the block does."""
    words = ["-m", "biggan", "train", "digits", "--run-dir", str(run), *commands.SMALL, *OPTIONS, *options]
    command = [sys.executable, "-m", "torch.distributed.run", *launch, *words]
    with log.open("wb") as file:
        agent = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
    try:
        yield agent
    finally:
        for pid in [agent.pid, *elastic.children(agent.pid)] if agent.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        agent.wait()


def clock(run: Path) -> int:
    """Return the clock of the newest checkpoint, 0 if there is none."""
    pointer = run / "checkpoints" / "LAST"
    return int(pointer.read_text()) if pointer.exists() else 0


def alive(agent: subprocess.Popen[bytes]) -> Callable[[], bool]:
    return lambda: agent.poll() is None


def wait_for(what: Callable[[], bool], alive: Callable[[], bool], log: Path, seconds: float) -> float:
    """Wait until something is so; return the seconds that it took."""
    began = time.monotonic()
    while not what():
        assert alive(), f"ended:\n{log.read_text()}"
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s:\n{log.read_text()}"
        time.sleep(0.01)
    return time.monotonic() - began


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.nightly)])
def test_ranks_killed_again_and_again(kills: int, tmp_path: Path) -> None:
    """Kills of a rank chosen at random, each at a moment at random after the next checkpoint."""
    undisturbed, run, log = tmp_path / "undisturbed", tmp_path / "run", tmp_path / "log.txt"

    def words(run: Path) -> list[str]:
        often = ["--checkpoint.every", "32", "--log.every", "1G", "--duration", str(128 * kills)]
        return ["train", "digits", "--run-dir", str(run), *commands.SMALL, *OPTIONS, *often]

    def further_than(reached: int) -> bool:
        return clock(run) > reached and len(elastic.workers(agent.pid)) == 2

    done = commands.run_ranks(words(undisturbed), tmp_path / "logs", {})
    assert [one.status for one in done] == [0, 0], done[0].printed
    draw, reached = random.Random(kills), 0
    with elastic.job(words(run), log, 2, kills) as agent:
        for _ in range(kills):
            wait_for(partial(further_than, reached), agent.is_alive, log, HANGS)
            time.sleep(draw.uniform(0.0, 0.05))
            reached = clock(run)
            os.kill(draw.choice(elastic.workers(agent.pid)), signal.SIGKILL)
        agent.join(HANGS)
        assert agent.exitcode == 0, log.read_text()
    assert log.read_text().count("continuing at ") == kills
    assert_same_tensors(final_state(run), final_state(undisturbed))


@pytest.mark.nightly
def test_under_torchrun_the_next_checkpoint_comes_in_time(tmp_path: Path) -> None:
    """Three kills of a rank chosen at random under the real command, each after the next checkpoint."""
    alone = ["--standalone", "--nproc-per-node=2", "--max-restarts=3"]
    draw, killed, took = random.Random(2), [], []
    undisturbed, run, log = tmp_path / "undisturbed", tmp_path / "run", tmp_path / "log.txt"
    with torchrun(undisturbed, tmp_path / "undisturbed.txt", alone, "--duration", "3200") as agent:
        assert agent.wait(300) == 0, (tmp_path / "undisturbed.txt").read_text()
    with torchrun(run, log, alone, "--duration", "3200") as agent:
        wait_for(lambda: clock(run) > 0, alive(agent), log, 120)
        while len(killed) < 3:
            time.sleep(draw.uniform(0.0, 0.2))
            ranks = elastic.children(agent.pid)
            assert len(ranks) == 2
            killed.append(draw.randrange(2))
            os.kill(ranks[killed[-1]], signal.SIGKILL)
            reached = clock(run)
            took.append(wait_for(lambda reached=reached: clock(run) > reached, alive(agent), log, PROMISED))
        assert agent.wait(300) == 0, log.read_text()
    print(f"\nranks {killed} killed; the next checkpoint came after {', '.join(f'{t:.1f}' for t in took)} s")
    assert log.read_text().count("continuing at ") == 3
    assert "finished: 3,200 images" in log.read_text()
    assert_same_tensors(final_state(run), final_state(undisturbed))


@pytest.mark.nightly
def test_a_machine_that_is_lost(tmp_path: Path) -> None:
    """Two agents, one of them killed with all that it started: the other goes on alone and finishes."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = ["--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=3", "--rdzv-backend=c10d", "--rdzv-id=x"]
    common += [f"--rdzv-endpoint=localhost:{port}"]
    run, duration = tmp_path / "run", ("--duration", "1600")
    logs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    with (
        torchrun(run, logs[0], [*common, f"--rdzv-conf={RENDEZVOUS},is_host=1"], *duration) as first,
        torchrun(run, logs[1], [*common, f"--rdzv-conf={RENDEZVOUS},is_host=0"], *duration) as second,
    ):
        wait_for(lambda: clock(run) > 0, alive(second), logs[1], 180)
        assert '"ranks": 2' in (run / "config.json").read_text()
        gone = [second.pid, *elastic.children(second.pid)]
        assert len(gone) == 2
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        reached = clock(run)
        took = wait_for(lambda: clock(run) > reached, alive(first), logs[0], PROMISED)
        print(f"\nthe next checkpoint came {took:.1f} s after the second machine was lost")
        assert first.wait(300) == 0, logs[0].read_text()
    told = (run / "log.txt").read_text()
    assert "changed on resume: ranks 2 -> 1" in told
    assert "finished: 1,600 images" in told
