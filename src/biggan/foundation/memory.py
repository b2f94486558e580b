"""How much memory there is, so that what cannot fit is refused before work begins."""

from __future__ import annotations

import os
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes


def memory() -> int | None:
    """Return the bytes of memory of this machine, None where that is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def free_memory() -> int:
    """Return the bytes of memory that a program may still take; what the machine has, where more is not told."""
    try:
        with Path("/proc/meminfo").open() as file:
            told = dict(line.split(":", 1) for line in file)
        return 1024 * int(told["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return memory() or 2**62


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
