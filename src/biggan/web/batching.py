"""Many ask, one draws: whatever waits for the same network is drawn as one batch, by one thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from biggan.web.bounds import RequestError

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Waiting(Generic[Job, Result]):
    group: Hashable
    job: Job
    answer: Future[Result] = field(default_factory=Future)


class Batcher(Generic[Job, Result]):
    """A bounded queue and the thread that empties it.

    Args:
        work: jobs of one group to their results, in order; an error is the answer to all of them.
        waiting: jobs that may wait.
        batch: most jobs that are worked on at once.
    """

    def __init__(self, work: Callable[[Sequence[Job]], Sequence[Result]], waiting: int, batch: int) -> None:
        self._work, self._most, self._batch = work, waiting, batch
        self._queue: deque[_Waiting[Job, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.batches = 0
        self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
        self._thread.start()

    def submit(self, group: Hashable, job: Job) -> Future[Result]:
        """Return the answer to be. Jobs of one group are worked on together, in the order in which they came.

        Raises:
            RequestError: too many wait (503), or the server stops.
        """
        waiting: _Waiting[Job, Result] = _Waiting(group, job)
        with self._changed:
            if self._closed:
                raise RequestError("the server is stopping", 503)
            if len(self._queue) >= self._most:
                raise RequestError(f"{self._most} images wait to be drawn already; ask again in a moment", 503)
            self._queue.append(waiting)
            self._changed.notify()
        return waiting.answer

    def close(self) -> None:
        """Answer what waits with an error, and end the thread."""
        with self._changed:
            self._closed = True
            left = list(self._queue)
            self._queue.clear()
            self._changed.notify()
        for one in left:
            one.answer.cancel()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._next():
            try:
                results = self._work([one.job for one in batch])
                answers = list(zip(batch, results, strict=True))
            except Exception as error:  # of whatever kind: who asked is told, and the others go on
                for one in batch:
                    one.answer.set_exception(error)
                continue
            self.batches += 1
            for one, result in answers:
                one.answer.set_result(result)

    def _next(self) -> list[_Waiting[Job, Result]]:
        """Return the next jobs that are still wanted, of the group that waits longest; none when all is over."""
        while True:
            with self._changed:
                while not self._queue and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return []
                group = self._queue[0].group
                taken = [one for one in self._queue if one.group == group][: self._batch]
                chosen = {id(one) for one in taken}
                self._queue = deque(one for one in self._queue if id(one) not in chosen)
            wanted = [one for one in taken if one.answer.set_running_or_notify_cancel()]
            if wanted:
                return wanted
