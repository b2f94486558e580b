"""The agent of ``torchrun`` itself, its workers forked from a process that has imported everything.

``torchrun`` is this agent behind a command line, and starts each worker as a new interpreter.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.conftest import HANGS

_context = multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def job(words: Sequence[str], log: Path, ranks: int, restarts: int) -> Iterator[Any]:
    """Run ``biggan WORDS`` on several ranks, all started anew when one dies; yield the agent's process."""
    _context.set_forkserver_preload(["tests.rooms.training.preloaded"])
    agent = _context.Process(target=_agent, args=(list(words), str(log), ranks, restarts))
    agent.start()
    try:
        yield agent
    finally:
        for pid in [agent.pid, *workers(agent.pid)] if agent.is_alive() else []:
            os.kill(pid, signal.SIGKILL)
        agent.join(HANGS)


def workers(agent: int) -> list[int]:
    """Return the living workers of an agent."""
    return sorted(pid for server in children(agent) for pid in children(server))


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


def _agent(words: list[str], log: str, ranks: int, restarts: int) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ["OMP_NUM_THREADS"] = "1"
    _context.set_forkserver_preload(["tests.rooms.training.preloaded"])
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id="test",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.05,
        start_method="forkserver",
    )
    elastic_launch(config, _worker)(words)


def _worker(words: list[str]) -> None:
    from biggan.cli.main import main

    status = main(words)
    if status:
        sys.exit(status)
