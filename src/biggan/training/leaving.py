"""A rank that was told to stop leaves in time, whatever it is waiting for.

Python runs the handler of a signal between two instructions of the main thread. A main thread that waits for another
rank, or for a GPU that does, executes none until that one answers, and a dead one never does. So a thread hears of the
signal too: the interpreter's own handler, in C, writes its number to a descriptor at once. If the ranks have not agreed
to stop within the time, that thread ends the process by ``os._exit``. Nothing gentler can: an exception does not reach
a thread inside a library, and the interpreter's orderly end would wait for it. Nothing is lost that was saved: whatever
is written takes its place whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

from biggan.foundation.launch import announced_world_size
from biggan.foundation.terminal import complain

_SIGNALS = (signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))
_OVER = 0  # written to the descriptor; no signal has this number
_LOST = 255
_LOST_STATUS = 75
_LAST_WORDS = 2.0  # seconds for what is done at the end, which may itself wait


class Deadline:
    """Ends this process if it was told to stop and ranks have not agreed about it in time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.last: Callable[[], None] = lambda: None
        """What to do at the end: to give back what others would wait for."""
        self._agreed = threading.Event()
        self._write_end = -1

    @contextlib.contextmanager
    def watching(self) -> Iterator[Deadline]:
        """Watch for a while; does nothing for one process, or outside the main thread, where no signal is heard."""
        if announced_world_size() == 1 or threading.current_thread() is not threading.main_thread():
            yield self
            return
        read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)
        before = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        _watched.append(os.getpid())
        thread = threading.Thread(target=self._watch, args=(read_end,), name="leaves in time", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(before)
            _watched.clear()
            self.agreed()
            os.write(self._write_end, bytes([_OVER]))
            thread.join()
            os.close(self._write_end)
            os.close(read_end)
            self._write_end = -1

    def agreed(self) -> None:
        """All ranks know that they are to stop; from here on each takes the time that it needs."""
        self._agreed.set()

    def lost(self) -> None:
        """Another rank is gone: end within the time, though what is left of the group may not let go."""
        if self._write_end >= 0:
            os.write(self._write_end, bytes([_LOST]))

    def _watch(self, read_end: int) -> None:
        while True:
            for number in os.read(read_end, 1):
                if number == _OVER:
                    return
                if (number == _LOST or number in _SIGNALS) and not self._agreed.wait(self.seconds):
                    self._leave(number)

    def _leave(self, number: int) -> None:
        # In a thread, because the main one may hold what printing needs, and a disk may not answer either.
        words = threading.Thread(target=self._say, args=(number,), daemon=True)
        words.start()
        words.join(_LAST_WORDS)
        os._exit(_LOST_STATUS if number == _LOST else 128 + number)

    def _say(self, number: int) -> None:
        with contextlib.suppress(Exception):
            self.last()
        if number != _LOST:
            complain(
                f"{signal.Signals(number).name}: not all ranks could agree within {self.seconds:g} s (--stop-timeout); "
                "left without saving, and the same command goes on from the last checkpoint"
            )


_watched: list[int] = []


def _forget() -> None:
    """In a forked process, such as one that decodes images: its signals are not its parent's."""
    if _watched:
        _watched.clear()
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
