"""What a device is and what it can do at most: rate of products, bandwidth of memory. Needs torch alone."""

from __future__ import annotations

import contextlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_ASKED = "driver_version,clocks.current.sm,clocks.current.memory,clocks.max.sm,power.limit"


def describe(device: torch.device) -> dict[str, Any]:
    """Return names, versions and clocks, as far as they can be found out."""
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU",
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "memory_bytes": properties.total_memory,
            "multiprocessors": properties.multi_processor_count,
            "capability": f"{properties.major}.{properties.minor}",
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
        }
    return found | clocks(device)


def clocks(device: torch.device) -> dict[str, Any]:
    """Return driver, clocks and power limit as nvidia-smi tells them; the clock that PyTorch knows, or nothing."""
    if device.type != "cuda":
        return {}
    command = ["nvidia-smi", f"--id={device.index or 0}", f"--query-gpu={_ASKED}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
        return dict(zip(_ASKED.split(","), (word.strip() for word in answer.split(",")), strict=True))
    except (OSError, subprocess.SubprocessError, ValueError):
        pass
    try:
        return {"clock_mhz": torch.cuda.clock_rate(device)}
    except Exception:  # needs a library that need not be there
        return {}


def most_resident() -> int:
    """Return the most bytes that this process has held in memory so far.

    What the kernel says of resources begins, in a process that another has started, with what that one held at most; on
    Linux the peak of the process's own memory is told apart.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How often something is repeated: at least ``least`` times, then as often as fits into ``seconds``."""

    warm_up: int = 2
    least: int = 3
    most: int = 12
    seconds: float = 6.0


BRIEF = Patience(warm_up=1, least=1, most=1)
"""Once: to see that it works."""


class Turns:
    """Lets several of these programs share a device: all may warm up (and compile) at once, one alone measures.

    They are to name the same file, whose lock tells the turns. Without a file there is nothing to wait for.
    """

    path: Path | None = None
    _shared: Any = None
    """The file while this program warms up."""

    @classmethod
    @contextlib.contextmanager
    def beside_others(cls) -> Iterator[None]:
        """Wait until nobody measures; while this lasts, nobody will."""
        with cls._locked(alone=False):
            yield

    @classmethod
    @contextlib.contextmanager
    def without_device(cls) -> Iterator[None]:
        """Let another measure meanwhile: what compiles for minutes while it warms up has no use for the device."""
        if cls._shared is None:
            yield
            return
        import fcntl

        fcntl.flock(cls._shared, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(cls._shared, fcntl.LOCK_SH)

    @classmethod
    @contextlib.contextmanager
    def alone(cls) -> Iterator[bool]:
        """Give back memory that is not in use, and wait until this program has the device for itself.

        Yields:
            whether there are others, so that the memory has to be taken again.
        """
        if cls.path is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()
        with cls._locked(alone=True):
            yield cls.path is not None

    @classmethod
    @contextlib.contextmanager
    def _locked(cls, *, alone: bool) -> Iterator[None]:
        if cls.path is None:
            yield
            return
        import fcntl  # not on Windows; nobody who names no file needs it

        with cls.path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            cls._shared = None if alone else file
            try:
                yield
            finally:
                cls._shared = None


def timed(action: Callable[[], object], device: torch.device, patience: Patience, in_a_row: int = 1) -> list[float]:
    """Return the seconds of one action in each repetition, sorted.

    A repetition has ``in_a_row`` of them before the device is waited for: one that is waited for after each stands
    still until the first kernels of the next arrive.
    """
    with Turns.beside_others():
        for _ in range(patience.warm_up):
            action()
        synchronize(device)
    found: list[float] = []
    with Turns.alone() as there_are_others:
        if there_are_others:
            action()
        while len(found) < patience.least or (len(found) < patience.most and in_a_row * sum(found) < patience.seconds):
            synchronize(device)
            began = time.perf_counter()
            for _ in range(in_a_row):
                action()
            synchronize(device)
            found.append((time.perf_counter() - began) / in_a_row)
    return sorted(found)


def product_rate(device: torch.device, dtype: torch.dtype, size: int, patience: Patience) -> float:
    """Return the operations a second of products of square matrices [size, size], 2 size^3 each."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    c = torch.empty_like(a)
    repeats = 8 if device.type == "cuda" else 1

    def multiply() -> None:
        for _ in range(repeats):
            torch.mm(a, b, out=c)

    return float(repeats * 2 * size**3 / statistics.median(timed(multiply, device, patience)))


def copy_bandwidth(device: torch.device, size: int, patience: Patience) -> float:
    """Return the bytes a second that a copy of ``size`` bytes within the device's memory reads and writes together."""
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / statistics.median(timed(lambda: target.copy_(source), device, patience))
