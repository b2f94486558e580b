"""One number for the published generator, by a judge that needs no downloaded weights."""

from __future__ import annotations

import math
from typing import Any

from biggan.foundation import distributed
from biggan.metrics.judges import JUDGES
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.run import Run
from biggan.training.sinks.contract import Sinks


class Judging(AtIntervals):
    """Scores the published generator; the best checkpoints are kept by this value."""

    def __init__(self, every: int, name: str, sinks: Sinks) -> None:
        super().__init__(every)
        self._sinks = sinks
        self.name = name
        self._judge: Any = None

    def _act(self, run: Run) -> None:
        """Judge, and report the value."""
        report(run, self.name, distributed.on_primary(lambda: self._judge_it(run), "judging"))

    def _judge_it(self, run: Run) -> float:
        self._judge = self._judge or JUDGES[self.name]()
        with evaluating(run.sampled) as generator:
            verdict = self._judge.judge(generator)
        run.tell(f"{run.state.images_seen:,} images: {verdict}")
        self._sinks.scalars(run, {f"judge/{self.name}": float(verdict.value)})
        return float(verdict.value)


def report(run: Run, name: str, value: float) -> None:
    """Note a value, larger is better, by which checkpoints of this clock are kept or not; none if it is not finite."""
    if not math.isfinite(value):
        return
    clock = run.state.images_seen
    run.state.best = [
        *(entry for entry in run.state.best if (entry[0], entry[2]) != (name, clock)),
        (name, value, clock),
    ]
