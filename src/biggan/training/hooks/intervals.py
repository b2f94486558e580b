"""What hooks share: they act at intervals, at most once a clock, on a generator at rest."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator

from biggan.models.contract import Generator
from biggan.training.run import Run


@contextlib.contextmanager
def evaluating(network: Generator) -> Iterator[Generator]:
    """Put a network into evaluation mode for a while."""
    mode = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(mode)


class AtIntervals(ABC):
    """A hook that acts at most once a clock."""

    def __init__(self, every: int | None) -> None:
        self.every = every
        self._acted_at = -1

    def act(self, run: Run) -> None:
        """Act, unless it has been done at this clock. Called on every process, networks at rest."""
        if run.state.images_seen != self._acted_at:
            self._acted_at = run.state.images_seen
            self._act(run)

    def due(self, before: int, after: int) -> bool:
        """Tell whether a multiple of the interval lies in (before, after]; without one it acts at the end only."""
        return self.every is not None and after // self.every > before // self.every

    @abstractmethod
    def _act(self, run: Run) -> None:
        """Do it."""
