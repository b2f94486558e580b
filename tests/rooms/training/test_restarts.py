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
from pathlib import Path

import pytest

from tests.conftest import assert_same_tensors
from tests.rooms.training import commands
from tests.rooms.training.test_run import final_state

PROMISED = 60.0
"""Seconds from a kill to the next checkpoint."""
OPTIONS = "--batch 8 --checkpoint.every 160 --log.every 160 --log.judge none --log.samples-every 1G --seed 5".split()

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="children are looked up in /proc"),
]


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
        for pid in [agent.pid, *children(agent.pid)] if agent.poll() is None else []:
            os.kill(pid, signal.SIGKILL)
        agent.wait()


def children(parent: int) -> list[int]:
    """Return the living processes that ``parent`` started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return sorted(found)


def clock(run: Path) -> int:
    """Return the clock of the newest checkpoint, 0 if there is none."""
    pointer = run / "checkpoints" / "LAST"
    return int(pointer.read_text()) if pointer.exists() else 0


def wait_for(what: Callable[[], bool], agent: subprocess.Popen[bytes], log: Path, seconds: float) -> float:
    """Wait until something is so; return the seconds that it took."""
    began = time.monotonic()
    while not what():
        assert agent.poll() is None, f"ended with {agent.returncode}:\n{log.read_text()}"
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s:\n{log.read_text()}"
        time.sleep(0.01)
    return time.monotonic() - began


def test_ranks_killed_again_and_again(tmp_path: Path) -> None:
    """Three kills of a rank chosen at random, each after the next checkpoint."""
    alone = ["--standalone", "--nproc-per-node=2", "--max-restarts=3"]
    draw, killed, took = random.Random(2), [], []
    undisturbed, run, log = tmp_path / "undisturbed", tmp_path / "run", tmp_path / "log.txt"
    with torchrun(undisturbed, tmp_path / "undisturbed.txt", alone, "--duration", "3200") as agent:
        assert agent.wait(300) == 0, (tmp_path / "undisturbed.txt").read_text()
    with torchrun(run, log, alone, "--duration", "3200") as agent:
        wait_for(lambda: clock(run) > 0, agent, log, 120)
        while len(killed) < 3:
            time.sleep(draw.uniform(0.0, 0.2))
            ranks = children(agent.pid)
            assert len(ranks) == 2
            killed.append(draw.randrange(2))
            os.kill(ranks[killed[-1]], signal.SIGKILL)
            reached = clock(run)
            took.append(wait_for(lambda reached=reached: clock(run) > reached, agent, log, PROMISED))
        assert agent.wait(300) == 0, log.read_text()
    print(f"\nranks {killed} killed; the next checkpoint came after {', '.join(f'{t:.1f}' for t in took)} s")
    assert log.read_text().count("continuing at ") == 3
    assert "finished: 3,200 images" in log.read_text()
    assert_same_tensors(final_state(run), final_state(undisturbed))


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
        torchrun(run, logs[0], [*common, "--rdzv-conf=is_host=1"], *duration) as first,
        torchrun(run, logs[1], [*common, "--rdzv-conf=is_host=0"], *duration) as second,
    ):
        wait_for(lambda: clock(run) > 0, second, logs[1], 180)
        assert '"ranks": 2' in (run / "config.json").read_text()
        gone = [second.pid, *children(second.pid)]
        assert len(gone) == 2
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        reached = clock(run)
        took = wait_for(lambda: clock(run) > reached, first, logs[0], 180)
        print(f"\nthe next checkpoint came {took:.1f} s after the second machine was lost")
        assert first.wait(300) == 0, logs[0].read_text()
    told = (run / "log.txt").read_text()
    assert "changed on resume: ranks 2 -> 1" in told
    assert "finished: 1,600 images" in told
