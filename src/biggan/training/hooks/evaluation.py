"""Evaluation of the published generator while it trains."""

from __future__ import annotations

from collections.abc import Callable

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import TrainingEvaluation
from biggan.evaluation.evaluate import METRICS_FILE, Record, best_value, evaluate, generated
from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.foundation.files import append_json_line
from biggan.sampling.sampler import Sampler
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.hooks.judging import report
from biggan.training.run import Run


class Evaluation(AtIntervals):
    """Measures the published generator on all ranks; a failure is told once, and training goes on without."""

    def __init__(self, config: TrainingEvaluation, source: Callable[[], ImageSource], handling: str) -> None:
        super().__init__(config.every)
        self.config, self.handling = config, handling
        self._open = source
        self._source: ImageSource | None = None
        self._failed = False

    def _act(self, run: Run) -> None:
        """Evaluate, unless the run is shorter than the interval."""
        if self.every is None or run.state.images_seen < self.every or self._failed:
            return
        try:
            records = self._measure(run)
        except (UserError, OSError, RuntimeError) as error:
            self._failed = True
            run.tell(f"evaluation failed, and is off for the rest of this process: {error}")
            return
        if distributed.is_primary():
            for record in records:
                append_json_line(run.directory.path / METRICS_FILE, record)
        shown = ", ".join(f"{r['metric']} {r['value']:.4g}" for r in records if r["value"] is not None)
        run.tell(f"{run.state.images_seen:,} images: {shown}")
        best = best_value(records, self.config.best_by)
        if best is not None:
            report(run, *best)

    def _measure(self, run: Run) -> list[Record]:
        self._source = self._source or self._open()
        with evaluating(run.sampled) as generator:
            side = generated(Sampler(generator, run.info()), self.config, self._source)
            return evaluate(side, self.config, source=self._source, device=run.device, handling=self.handling)
