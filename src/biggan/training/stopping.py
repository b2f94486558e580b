"""SIGTERM, Ctrl-C and a closed terminal (SIGHUP): a wish that is granted where nothing is lost by it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from biggan.foundation import distributed
from biggan.training.leaving import Deadline


def heard() -> tuple[signal.Signals, ...]:
    """Return the signals that stop a run; that of a terminal which is closed is none of them where it is ignored."""
    closed = getattr(signal, "SIGHUP", None)  # Windows has none
    ignored = closed is None or signal.getsignal(closed) == signal.SIG_IGN  # as nohup has it
    return (signal.SIGTERM, signal.SIGINT, *(() if ignored else (closed,)))


class Stopped(BaseException):
    """A signal ended what was being done."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopRequest:
    """Notes signals from the first moment of set-up to the end of closing.

    While there is nothing to lose (set-up, or everything is saved) a signal ends what is being done at once. In between
    it is a wish, which the loop grants between iterations; a second Ctrl-C insists.
    """

    def __init__(self, seconds: float = 20.0) -> None:
        """Prepare.

        Args:
            seconds: in which all ranks must agree after a signal; see :mod:`biggan.training.leaving`.
        """
        self.signal: int | None = None
        self.deadline = Deadline(seconds)
        self._at_once = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Listen for a while; does nothing outside the main thread, where signals cannot be caught."""
        try:
            previous = {number: signal.signal(number, self._note) for number in heard()}
        except ValueError:
            yield self
            return
        try:
            with self.deadline.watching():
                yield self
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block there is nothing to lose.

        Raises:
            Stopped: a signal arrives, or has arrived before.
        """
        before, self._at_once = self._at_once, True
        try:
            self.check()
            yield
        finally:
            self._at_once = before

    @contextlib.contextmanager
    def patient(self) -> Iterator[None]:
        """Within the block there is something to lose."""
        before, self._at_once = self._at_once, False
        try:
            yield
        finally:
            self._at_once = before

    def agree(self, word: int = 0) -> int:
        """Make the wish of one process the wish of all; called on every one.

        Args:
            word: that outweighs all signals.

        Returns:
            The largest word of all, or signal; 0 if there is none.
        """
        found = distributed.largest(max(word, self.signal or 0))
        if found:
            self.deadline.agreed()
        return found

    def check(self) -> None:
        """Grant a wish that was noted.

        Raises:
            Stopped: there was one.
        """
        if self.signal is not None:
            raise Stopped(self.signal)

    def _note(self, number: int, _: FrameType | None) -> None:
        insists = self.signal == signal.SIGINT == number and not self._at_once
        self.signal = number
        if insists:
            raise KeyboardInterrupt
        if self._at_once:
            self._at_once = False  # what cleans up on the way out is not interrupted again
            raise Stopped(number)
