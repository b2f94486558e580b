"""Real commands in processes that start at once: forked from one that has imported everything."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch.multiprocessing

SMALL = (
    "--model.generator-width 4 --model.discriminator-width 4 --device cpu --log.no-tensorboard --log.sheet-columns 1 "
    "--log.interpolation-rows 1"
).split()
_ROOMS = ("training", "foundation", "evaluation", "sampling", "cli")

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["tests.rooms.training.preloaded"])


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    printed: str


Attack = Callable[[], None]
"""Called in the process before the command; must be importable, with its arguments bound by functools.partial."""


def start(
    words: Sequence[str], log: Path, attack: Attack | None = None, *, folder: Path | None = None, **environment: str
) -> Any:
    """Start ``biggan WORDS`` in a process of its own, in ``folder``; what it prints goes to ``log``."""
    process = _context.Process(target=_command, args=(list(words), str(log), attack, folder, environment))
    process.start()
    return process


def finish(process: Any, log: Path, seconds: float = 120) -> Done:
    """Wait for a command, which must not hang."""
    process.join(seconds)
    hung = process.is_alive()
    if hung:
        process.kill()
        process.join()
    printed = log.read_text() if log.exists() else ""
    assert not hung, f"still running after {seconds} s:\n{printed}"
    return Done(int(process.exitcode), printed)


def run(
    words: Sequence[str], log: Path, attack: Attack | None = None, *, folder: Path | None = None, **environment: str
) -> Done:
    """Run ``biggan WORDS`` to its end."""
    return finish(start(words, log, attack, folder=folder, **environment), log)


def spawn(function: Callable[..., None], arguments: tuple[Any, ...], processes: int) -> None:
    """Call ``function(rank, *arguments)`` in processes of their own, and fail if one fails."""
    torch.multiprocessing.start_processes(function, arguments, processes, start_method="forkserver")


def run_ranks(words: Sequence[str], folder: Path, attacks: dict[int, Attack], ranks: int = 2) -> list[Done]:
    """Run ``biggan WORDS`` on several ranks over gloo; ``{rank}`` in a word becomes the number of the rank."""
    return [finish(process, log, 90) for process, log in start_ranks(words, folder, attacks, ranks)]


def start_ranks(
    words: Sequence[str], folder: Path, attacks: dict[int, Attack], ranks: int = 2
) -> list[tuple[Any, Path]]:
    """Start what :func:`run_ranks` runs; return each process and where it prints to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    folder.mkdir(exist_ok=True)
    logs = [folder / f"rank{rank}.txt" for rank in range(ranks)]
    processes = [
        start(
            [word.replace("{rank}", str(rank)) for word in words],
            logs[rank],
            attacks.get(rank),
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(ranks),
            LOCAL_WORLD_SIZE=str(ranks),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=port,
        )
        for rank in range(ranks)
    ]
    return list(zip(processes, logs, strict=True))


def _command(
    words: list[str], log: str, attack: Attack | None, folder: Path | None, environment: dict[str, str]
) -> None:
    os.environ.update(environment)
    os.chdir(folder or ".")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from biggan.cli.main import main

    if attack is not None:
        attack()
    try:
        status = main(words)
    except KeyboardInterrupt:  # before the command has begun: as the interpreter itself ends then
        status = 130
    sys.setprofile(None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


# -- attacks -----------------------------------------------------------------------------------------------------------


def call_names(found: str) -> None:
    """Write the name of every function of the package that is called, in order of its first call, to ``found``."""
    seen: dict[str, None] = {}

    def watch(frame: FrameType, event: str, _: Any) -> None:
        name = _name(frame) if event == "call" else None
        if name is not None and name not in seen:
            seen[name] = None
            with Path(found).open("a") as file:
                file.write(f"{name}\n")

    sys.setprofile(watch)


def signal_at(name: str, number: int, occurrence: int = 1) -> None:
    """Send a signal to this process when the function ``name`` is called for the n-th time."""
    left = occurrence

    def watch(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left
        if event == "call" and _name(frame) == name:
            left -= 1
            if left == 0:
                sys.setprofile(None)
                os.kill(os.getpid(), number)

    sys.setprofile(watch)


def _name(frame: FrameType) -> str | None:
    _, found, inside = frame.f_code.co_filename.rpartition("/biggan/")
    if not found or inside.split("/")[0] not in _ROOMS:
        return None
    return f"{inside}:{frame.f_code.co_qualname}"


def when_it_exists(path: str, act: Callable[[], None]) -> None:
    """Act, in a thread, as soon as ``path`` exists."""

    def wait() -> None:
        while not Path(path).exists():
            time.sleep(0.002)
        act()

    threading.Thread(target=wait, daemon=True).start()


def no_file_larger_than(count: int) -> None:
    """Let this process write no file beyond ``count`` bytes, as if the disk were full there."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, count))
