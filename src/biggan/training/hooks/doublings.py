"""Batches that double with the noise scale: decided at the end of an interval of checkpoints, and announced."""

from __future__ import annotations

from biggan.training.batches import schedules
from biggan.training.checkpoint_record import DoublingRecord
from biggan.training.doubling import decide, is_due, measured
from biggan.training.noise_scale import ratio
from biggan.training.run import Run


class Doublings:
    """Decides, when an interval of checkpoints has ended, which batches double at the end of the next one."""

    def __init__(self, every: int) -> None:
        self.every = every
        self._unmeasured: set[str] = set()

    def act(self, run: Run) -> None:
        """Decide, if an interval has ended; called on all processes."""
        state = run.state
        now = state.images_seen
        due = [name for name, record in state.doubling.items() if is_due(record, now, self.every)]
        if not due:
            return
        records = measured(state.doubling, run.engine)
        before = schedules(run.config, state.doubling)["discriminator"]
        goal = (now // self.every + 1) * self.every
        change = before.reached(now, goal, run.config.discriminator_steps)
        decided = {name: decide(record, now, change) if name in due else record for name, record in records.items()}
        state.doubling = decided
        for name in due:
            if name in run.engine.noise_scales:
                run.engine.noise_scales[name].begin_interval()
            if decided[name].batch != records[name].batch:
                run.tell(f"{now:,} images: {_announced(name, records[name], decided[name])}")
            elif not records[name].sums[2] and name not in self._unmeasured:
                self._unmeasured.add(name)
                run.tell(
                    f"{now:,} images: no update since {records[name].since:,} told the noise scale of the {name} (each "
                    f"must be of one batch, in groups); its batch stays {records[name].batch}"
                )
        if schedules(run.config, state.doubling)["discriminator"] != before:
            run.draws.loader.change(change, now)


def _announced(name: str, before: DoublingRecord, after: DoublingRecord) -> str:
    scale = ratio(before.sums)
    found = "drowns its signal" if scale is None else f"({scale:,.0f} images) is above its batch"
    return (
        f"the gradient noise of the {name} {found}: from {after.steps[-1][0]:,} images on it is {before.batch} -> "
        f"{after.batch} (at most {after.high})"
    )
