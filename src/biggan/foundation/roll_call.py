"""Which processes belong together this time, where the store by which they find each other remembers earlier times.

``torchrun`` keeps one store for all restarts of a job, and what the processes of an earlier start wrote there,
addresses at which nobody answers any more, is what those of the next would read: they would wait for the dead. The
number of the restart does not tell starts apart either, since each node counts its own. So whoever comes says so with
a word that nobody has used before; the first process lists the words, and when all have found their own in one list,
that list's token is the name of this time. Keys under that name are fresh.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Protocol

from biggan.foundation.errors import LostRankError

_LOOK_EVERY = 0.02  # seconds


class Store(Protocol):
    """What processes share: bytes under keys."""

    def set(self, key: str, value: str) -> None:
        """Write."""

    def get(self, key: str) -> bytes:
        """Read what is there; would wait for it else."""

    def check(self, keys: list[str]) -> bool:
        """Tell whether all of ``keys`` are there."""


def roll_call(store: Store, rank: int, ranks: int, seconds: float) -> str:
    """Wait until all of ``ranks`` processes are there; return a name of this time, the same for all and never used.

    Waiting is done in Python, so that a signal is heard.

    Args:
        store: common to all; may hold what earlier processes wrote.
        rank: of this process.
        ranks: how many there are.
        seconds: how long to wait.

    Raises:
        LostRankError: some did not come.
    """
    own, deadline = secrets.token_hex(8), time.monotonic() + seconds
    store.set(f"here/{rank}", own)
    if rank == 0:
        return _lead(store, ranks, own, deadline)
    return _follow(store, rank, own, deadline)


def _lead(store: Store, ranks: int, own: str, deadline: float) -> str:
    """List who is there, anew whenever that changes, until all agree to one list."""
    known: dict[str, str] = {}
    token = ""

    def agreed() -> bool:
        nonlocal known, token
        here = {str(rank): _read(store, f"here/{rank}") for rank in range(1, ranks)}
        here["0"] = own
        if here != known:
            known, token = here, secrets.token_hex(8)
            store.set("list", json.dumps({"token": token, "here": known}))
        return all(_read(store, f"seen/{rank}") == token for rank in range(1, ranks))

    def missing() -> str:
        late = [str(rank) for rank in range(1, ranks) if _read(store, f"seen/{rank}") != token]
        return f"rank {', '.join(late[:8])} of {ranks}"

    _wait(agreed, deadline, missing)
    store.set("go", token)
    return token


def _follow(store: Store, rank: int, own: str, deadline: float) -> str:
    """Confirm each list that has this process as it is now, until the first process says that all have."""
    token = ""

    def agreed() -> bool:
        nonlocal token
        listed = json.loads(_read(store, "list") or "{}")
        if listed.get("here", {}).get(str(rank)) == own and listed["token"] != token:
            token = listed["token"]
            store.set(f"seen/{rank}", token)
        return bool(token) and _read(store, "go") == token

    _wait(agreed, deadline, lambda: "some rank")
    return token


def _read(store: Store, key: str) -> str:
    return store.get(key).decode() if store.check([key]) else ""


def _wait(agreed: Callable[[], bool], deadline: float, missing: Callable[[], str]) -> None:
    while not agreed():
        if time.monotonic() >= deadline:
            raise LostRankError(f"{missing()} did not come in time; look at what it says, and start all again")
        time.sleep(_LOOK_EVERY)
