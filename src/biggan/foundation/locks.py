"""A lock that one process holds over something on disk, on this machine or on a file system that many share.

A lock is a small file, created so that exactly one process can succeed (``O_EXCL``), that says who holds it. While it
is held a thread renews its time. It is taken over when its holder is dead: gone or another process by now, where that
can be looked up (the same boot of the same machine); not renewed for long, by the clock of the file system, where it
cannot. No advisory locks are needed, so it works over NFS.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import create, full_disk_is_an_error
from biggan.foundation.records import Count, Name, parse_record

RENEW_EVERY = 20.0
"""Seconds between renewals."""
STALE_AFTER = 300.0
"""Seconds without renewal after which a holder that cannot be looked up counts as dead."""
_LOOK_EVERY = 0.1
_MOST_BYTES = 4096


class HeldError(UserError):
    """Another process holds the lock."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a lock."""

    host: Name
    place: Name
    """This boot of this machine, and the name space of its process numbers; empty where that is unknown."""
    pid: Count
    started: Name
    """When the process started, in whatever form the system tells it; empty where it does not."""
    nonce: Name
    """Tells one taking of a lock from the next."""

    def __str__(self) -> str:
        """Return for example ``process 4711 on host node3``."""
        return f"process {self.pid} on host {self.host}"


@dataclass(frozen=True, kw_only=True)
class Sign:
    """A sign of life: the lock was renewed."""

    renewed: int
    """When, in ns of the clock of its file system."""
    here: bool
    """Whether the holder is a process of this machine, which is there. A copy of its lock looks the same, but ages."""


class Lock:
    """A lock that this process holds."""

    def __init__(self, path: Path, what: str, holder: Holder) -> None:
        self.path, self.what, self.holder = path, what, holder
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"renews {path.name}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Make sure that the lock is still this process's.

        Raises:
            HeldError: it was taken over, because this process stood still for too long, or removed.
        """
        found = _read(self.path)
        if found != self.holder:
            raise HeldError(
                f"{self.what} is no longer this process's: "
                + (f"{found} took it over" if found else f"its lock {self.path} was removed")
                + ". Nothing more is written."
            )

    def _renew(self) -> None:
        while not self._left.wait(RENEW_EVERY):
            with contextlib.suppress(OSError):
                if _read(self.path) == self.holder:
                    os.utime(self.path)

    def release(self) -> None:
        """Give it back; does nothing if another has it."""
        self._left.set()
        with contextlib.suppress(OSError):
            if _read(self.path) == self.holder:
                self.path.unlink()


@contextlib.contextmanager
def held(
    path: Path,
    what: str,
    *,
    patience: float = 0.0,
    silence: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Lock]:
    """Hold the lock file ``path`` for a while.

    Args:
        path: the lock file; its folder must exist.
        what: what it stands for, for messages: "the run directory runs/digits".
        patience: seconds to wait for another process to give it back.
        silence: seconds to wait for a holder that cannot be looked up, while it gives no sign of life: the start after
            a machine was lost comes sooner than it is known that the machine was.
        tell: is told, once, for whom that is.

    Raises:
        HeldError: another process holds it; names host and process id.
    """
    lock = take(path, what, patience=patience, silence=silence, tell=tell)
    try:
        yield lock
    finally:
        lock.release()


def take(
    path: Path,
    what: str,
    *,
    patience: float = 0.0,
    silence: float = 0.0,
    tell: Callable[[str], None] = lambda _: None,
) -> Lock:
    """Take the lock file ``path``; whoever calls must release it. See :func:`held`."""
    own = this_process()
    began = time.monotonic()
    deadline, silent_until = began + patience, began + silence
    first_seen: tuple[Holder, int] | None = None
    while True:
        if _create(path, own):
            return Lock(path, what, own)
        if is_dead(path):
            _remove_dead(path, what)
            continue
        seen = _seen_elsewhere(path, own) if time.monotonic() < silent_until else None
        if seen is not None and first_seen in (None, seen):
            if first_seen is None:
                tell(f"{what}: waiting for a sign of life of {seen[0]}, which held it, for up to {silence:.0f} s")
            first_seen = seen
            time.sleep(_LOOK_EVERY)
        elif time.monotonic() >= deadline:
            found = _read(path)
            raise HeldError(
                f"{what} is in use by {found or 'another process'}. Wait for it or stop it; if it does not exist any "
                f"more, its lock {path} is taken over {STALE_AFTER / 60:.0f} minutes after its last sign of life."
            )
        else:
            time.sleep(_LOOK_EVERY)


def _seen_elsewhere(path: Path, own: Holder) -> tuple[Holder, int] | None:
    """Return who holds the lock and when it was renewed, if that process cannot be looked up here; else None."""
    holder = _read(path)
    if holder is None or (holder.place and (holder.host, holder.place) == (own.host, own.place)):
        return None
    with contextlib.suppress(OSError):
        return holder, path.lstat().st_mtime_ns
    return None


def _remove_dead(path: Path, what: str) -> None:
    """Remove the lock of a dead process, one process at a time.

    Were two to look at once, the slower might remove the lock that the faster has just taken. So whoever removes holds
    a lock of its own meanwhile; if it dies in these microseconds, that one is taken over in the same way.
    """
    with contextlib.suppress(HeldError):  # another is at it
        removing = take(path.with_name(f"{path.name}.takeover"), what)
        try:
            if is_dead(path):
                path.unlink(missing_ok=True)
        finally:
            removing.release()


def _create(path: Path, holder: Holder) -> bool:
    """Create the lock file; tell whether this process did."""
    with full_disk_is_an_error(path):
        try:
            descriptor = create(path)
        except FileExistsError:
            return False
        try:
            os.write(descriptor, json.dumps(asdict(holder)).encode())
            os.fsync(descriptor)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
    return True


def is_dead(path: Path) -> bool:
    """Tell whether whoever holds the lock file ``path`` is gone; False where there is no lock."""
    lives = _lives(_read(path))
    if lives is not None:
        return not lives
    try:
        renewed = path.lstat().st_mtime
    except FileNotFoundError:
        return False
    return _clock(path.parent) - renewed > STALE_AFTER


def last_sign(path: Path) -> Sign | None:
    """Return the last sign of life of whoever holds the lock file ``path``; None if nobody does, or a dead process.

    For those who only look: nothing is written, and nobody who takes the lock meanwhile is hindered.
    """
    try:
        renewed = path.lstat().st_mtime_ns
    except OSError:
        return None
    lives = _lives(_read(path))
    return None if lives is False else Sign(renewed=renewed, here=lives is True)


def _lives(holder: Holder | None) -> bool | None:
    """Tell whether a process is there; None where it cannot be looked up from here."""
    if holder is None or not holder.place or (holder.host, holder.place) != (socket.gethostname(), _place()):
        return None
    return holder.started == process_start(holder.pid)


def _clock(folder: Path) -> float:
    """Return the time of the file system that ``folder`` is on, which may be another machine's."""
    probe = folder / f".clock-{secrets.token_hex(8)}"
    try:
        os.close(create(probe))
        return probe.lstat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _read(path: Path) -> Holder | None:
    """Return who holds a lock; None if nobody does, or it cannot be read (as when it is just being written)."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return None
    try:
        return parse_record(Holder, os.read(descriptor, _MOST_BYTES + 1), str(path), limit=_MOST_BYTES)
    except (OSError, CorruptFileError):
        return None
    finally:
        os.close(descriptor)


def this_process() -> Holder:
    """Describe this process, anew at each call."""
    return Holder(
        host=socket.gethostname(),
        place=_place(),
        pid=os.getpid(),
        started=process_start(os.getpid()) or "",
        nonce=secrets.token_hex(8),
    )


def _place() -> str:
    """Return where process numbers mean what they mean here: the boot, and the name space (containers have others)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def process_start(pid: int) -> str | None:
    """Return when the process ``pid`` of this machine started, or None if there is none (or only its remains)."""
    try:
        # The name, in parentheses, may hold anything; behind it the state comes first, the start twentieth.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    except (OSError, IndexError):
        pass
    asked = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or None
