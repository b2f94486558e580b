"""One number for the published generator, by a judge that needs no downloaded weights."""

from __future__ import annotations

from typing import Any

from biggan.foundation import distributed
from biggan.metrics.judges import JUDGES
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.run import Run


class Judging(AtIntervals):
    """Scores the published generator; the best checkpoints are kept by this value."""

    def __init__(self, every: int, name: str) -> None:
        super().__init__(every)
        self.name = name
        self._judge: Any = None

    def _act(self, run: Run) -> None:
        """Judge, and report the value."""
        if distributed.is_primary():
            self._judge = self._judge or JUDGES[self.name]()
            with evaluating(run.sampled) as generator:
                verdict = self._judge.judge(generator)
            run.tell(f"{run.state.images_seen:,} images: {verdict}")
            value = verdict.value
        else:
            value = 0.0
        value = float(distributed.broadcast_object(value))  # type: ignore[arg-type]
        report(run, self.name, value)


def report(run: Run, name: str, value: float) -> None:
    """Note a value, larger is better, by which checkpoints of this clock are kept or not."""
    clock = run.state.images_seen
    run.state.best = [
        *(entry for entry in run.state.best if (entry[0], entry[2]) != (name, clock)),
        (name, value, clock),
    ]
