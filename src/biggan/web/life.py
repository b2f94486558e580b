"""Whether a run trains, by what its lock shows: nothing is written, and no training that begins is hindered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from biggan.foundation.locks import RENEW_EVERY, Sign, last_sign

LOCK = ".lock"
SILENT_HERE = 2.5 * RENEW_EVERY
"""Seconds without a sign after which the lock of a process of this machine is taken for a copy, that of its folder."""
SILENT_ELSEWHERE = 6 * RENEW_EVERY
"""Seconds without a sign after which another machine counts as lost; shared file systems show one a minute late."""


@dataclass(frozen=True)
class _Seen:
    """The last sign of life of a run.

    Attributes:
        sign: it.
        since: when it was first seen, by our clock.
        new: whether it came while one looked, so that no clocks need to agree on its age.
    """

    sign: Sign
    since: float
    new: bool


class Life:
    """What was seen of the locks of runs. One for each server."""

    def __init__(self) -> None:
        self._seen: dict[Path, _Seen] = {}

    def trains(self, run: Path) -> bool:
        """Tell whether somebody trains in the run directory ``run``.

        A process of this machine is looked up. One of another machine, or of another container, is known by its lock
        alone, which it renews every 20 seconds.
        """
        sign = last_sign(run / LOCK)
        if sign is None:
            self._seen.pop(run, None)
            return False
        now, before = time.monotonic(), self._seen.get(run)
        seen = before if before is not None and before.sign == sign else _Seen(sign, now, before is not None)
        self._seen[run] = seen
        silent = SILENT_HERE if sign.here else SILENT_ELSEWHERE
        if now - seen.since >= silent:
            return False
        return seen.new or abs(time.time() - sign.renewed / 1e9) < silent
