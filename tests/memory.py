"""What a process holds in memory at most while it does something."""

from __future__ import annotations

import contextlib
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Growth:
    """Bytes by which this process grew at most; known when the block has ended."""

    bytes = 0


@contextlib.contextmanager
def watched() -> Iterator[Growth]:
    """Watch how far this process grows.

    On Linux the peak begins anew. Elsewhere it is that of the whole life of the process (and of what started it), so
    that a growth below that goes unseen.
    """
    found = Growth()
    if not _FORGET.exists():
        before = _peak_of_life()
        yield found
        found.bytes = _peak_of_life() - before
        return
    _FORGET.write_text("5")
    before = _read("VmRSS")
    yield found
    found.bytes = most_resident() - before


def most_resident() -> int:
    """Return the most bytes that this process held since it began, or since :func:`watched` last did."""
    return _read("VmHWM") if _STATUS.exists() else _peak_of_life()


def _read(name: str) -> int:
    return 1024 * int(_STATUS.read_text().split(f"{name}:")[1].split()[0])


def _peak_of_life() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
