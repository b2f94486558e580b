"""One process (or group of ranks) at a time in a run directory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from biggan.foundation import distributed, launch
from biggan.foundation.locks import RENEW_EVERY, STALE_AFTER, Lock, held
from biggan.foundation.terminal import complain
from biggan.training.run_directory import LOCK, RunDirectory


@contextlib.contextmanager
def owned(directory: RunDirectory) -> Iterator[Lock | None]:
    """Hold a run directory, which is created if need be, and removed again if nothing has come into it.

    Yields the lock on the first process, None on others.

    Raises:
        UserError: the directory is no place for a run; nothing was changed.
        HeldError: another process trains there.
    """
    with contextlib.ExitStack() as stack:
        locks: list[Lock] = []

        def take() -> None:
            directory.started()  # what is no run is not touched, not even by a lock
            missing = [path for path in (directory.path, *directory.path.parents) if not path.exists()]
            stack.callback(_remove_empty, missing)
            directory.path.mkdir(parents=True, exist_ok=True)
            # What held it on a machine that was lost is not known to be dead for minutes; a launcher does not wait.
            silence = STALE_AFTER + RENEW_EVERY if launch.is_restarted_by_a_launcher() else 0.0
            lock = held(directory.path / LOCK, f"the run directory {directory.path}", silence=silence, tell=complain)
            locks.append(stack.enter_context(lock))

        distributed.on_primary(take, "taking the run directory")
        yield locks[0] if locks else None


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty, and so are those above
            folder.rmdir()
