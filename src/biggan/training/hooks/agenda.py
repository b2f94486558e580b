"""What is due when, and in which order: numbers, the checkpoint, and then all that looks at the saved weights."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from biggan.foundation.errors import LostRankError, UserError
from biggan.training.guard import NonFiniteError
from biggan.training.hooks.doublings import Doublings
from biggan.training.hooks.intervals import AtIntervals
from biggan.training.hooks.saving import Checkpoints
from biggan.training.hooks.statistics import Statistics
from biggan.training.rollback import CollapseError
from biggan.training.run import Run
from biggan.training.sinks.contract import Sinks


@dataclass(frozen=True, kw_only=True)
class Agenda:
    """The hooks of a run.

    The checkpoint comes first and carries what is still to be done at its clock, so that nothing is lost by a signal, a
    kill or a failure in a long evaluation: what was pending is made up for when the run goes on. What has been scored
    has been saved, so the best weights are among those that are kept.
    """

    statistics: Statistics
    doublings: Doublings
    """Of batches; decided before the checkpoint that holds what was decided."""
    checkpoints: Checkpoints
    views: Mapping[str, AtIntervals]
    """What looks at the weights, by name and in order: samples, snapshot, judge, evaluation. A failure is told,
    and training goes on."""
    scoring: frozenset[str]
    """Those of them whose value chooses checkpoints: whatever they see is saved first."""
    sinks: Sinks
    """Where hooks write numbers and pictures besides the run's own files; closed with the run."""
    essential: frozenset[str] = frozenset({"snapshot"})
    """Those without which a run is not finished."""
    _told: set[str] = field(default_factory=set)

    def between(self, run: Run, before: int) -> None:
        """Do what became due when the clock moved from ``before`` to where it is."""
        now = run.state.images_seen
        if self.statistics.due(before, now):
            self.statistics.act(run)
        pending = tuple(name for name, hook in self.views.items() if hook.due(before, now))
        self.doublings.act(run)
        if self.checkpoints.due(before, now) or self.scoring.intersection(pending):
            self.checkpoints.save(run, pending)
        self.work_off(run, pending)

    def close(self, run: Run) -> None:
        """Do everything, at the end."""
        self.statistics.act(run)
        self.doublings.act(run)
        pending = tuple(self.views)
        self.checkpoints.save(run, pending)
        self.work_off(run, pending, closing=True)

    def work_off(self, run: Run, pending: tuple[str, ...], *, closing: bool = False) -> None:
        """Act on the weights as they are, and note in their checkpoint, if there is one, what has been done.

        Args:
            run: the run.
            pending: names of what is to be done.
            closing: at the end; what the run is not finished without must not fail now.

        Raises:
            Stopped: a signal arrived, and the checkpoint says what is left to do.
            CollapseError: the networks have collapsed, and the run does not go on as it was.
            UserError: at the end, what the run is not finished without failed.
        """
        saved = bool(pending) and self.checkpoints.saved_at(run.state.images_seen)
        if saved:
            run.request.signal = run.request.agree() or run.request.signal
        with run.request.at_once() if saved else contextlib.nullcontext():
            left = tuple(name for name in self.views if name in pending)
            for name in left:
                failure = self._attempt(run, name)
                if failure is not None and closing and name in self.essential:
                    raise UserError(f"the {name} at the end failed: {failure}\nThe same command makes up for it.")
                left = tuple(other for other in left if other != name)
                if saved:
                    self.checkpoints.note(run, left)
                    run.request.check()

    def _attempt(self, run: Run, name: str) -> str | None:
        """Act; return what went wrong, which is told once for each message."""
        try:
            self.views[name].act(run)
        except (NonFiniteError, LostRankError, CollapseError):
            raise
        except Exception as error:  # of whatever kind: a run is worth more than a picture or a number of it
            message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            if (name + message) not in self._told:
                self._told.add(name + message)
                run.tell(f"{name} at {run.state.images_seen:,} images failed, training goes on: {message}")
            return message
        return None
