"""How much memory there is, so that what cannot fit is refused before work begins."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes

_CONTROL_GROUP = Path("/sys/fs/cgroup")


def memory() -> int | None:
    """Return the bytes of memory of this machine, None where that is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def free_memory() -> int:
    """Return the bytes of memory that a program may still take; what the machine has, where more is not told.

    In a container that is what its limit leaves.
    """
    try:
        with Path("/proc/meminfo").open() as file:
            told = dict(line.split(":", 1) for line in file)
        free = 1024 * int(told["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        free = memory() or 2**62
    return min(free, _left_by_the_container())


def _left_by_the_container() -> int:
    """Return the bytes that the limit of this control group leaves (its second version); many where there is none."""
    try:
        limit, used = (int((_CONTROL_GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # "max" is no number
        return 2**62
    return max(limit - used, 0)


def give_back_freed_memory() -> None:
    """Return to the system what has been freed, where the C library keeps it (glibc); else nothing happens.

    What makes and drops many small objects, such as a compiler, leaves a heap of which most is free and nothing
    returned, since some of each piece is still in use.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library; Windows wants a name
        return


def check_memory(needed: int, what: str, fix: str = "take fewer") -> None:
    """Check that ``needed`` bytes fit into the memory of this machine.

    Raises:
        UserError: they do not; says how many there are.
    """
    there = memory()
    if there is not None and needed > there:
        raise UserError(
            f"{what} need {format_bytes(needed)} of memory, and this machine has {format_bytes(there)}; {fix}"
        )
