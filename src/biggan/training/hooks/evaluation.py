"""Evaluation of the published generator while it trains."""

from __future__ import annotations

from collections.abc import Callable

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import TrainingEvaluation
from biggan.evaluation.evaluate import evaluate
from biggan.evaluation.records import MetricRecord, best_value, summary
from biggan.evaluation.sides import generated
from biggan.foundation import distributed
from biggan.foundation.config import to_json
from biggan.foundation.devices import Backends
from biggan.sampling.sampler import Sampler
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.hooks.judging import report
from biggan.training.run import Run
from biggan.training.run_directory import METRICS
from biggan.training.sinks.contract import Sinks


class Evaluation(AtIntervals):
    """Measures the published generator on all ranks, and tells the number by which the best are kept."""

    def __init__(
        self, config: TrainingEvaluation, source: Callable[[], ImageSource], handling: str, sinks: Sinks
    ) -> None:
        super().__init__(config.every)
        self.config, self.handling = config, handling
        self._sinks = sinks
        self._open = source
        self._source: ImageSource | None = None

    def _act(self, run: Run) -> None:
        """Evaluate, unless the run is shorter than the interval."""
        if self.every is None or run.state.images_seen < self.every:
            return
        records = self._measure(run)
        if distributed.is_primary():
            for record in records:
                run.directory.note(METRICS, to_json(record))
            values = {f"metrics/{record.metric}": record.value for record in records if record.value is not None}
            self._sinks.scalars(run, values)
        run.tell(f"{run.state.images_seen:,} images: {summary(records) or 'no number could be computed'}")
        best = best_value(records, self.config.best_by)
        if best is not None:
            report(run, *best)

    def _measure(self, run: Run) -> list[MetricRecord]:
        if self._source is None:
            self._source = distributed.together(self._open, "opening the data of the evaluation")
        with Backends().for_a_while(), evaluating(run.sampled) as generator:
            side = generated(Sampler(generator, run.info()), self.config, self._source)
            return evaluate(side, self.config, source=self._source, device=run.device, handling=self.handling)
