"""D alone, until it is ready for G.

A generator that can paint already and learns from a discriminator that knows nothing yet loses what it could. So a
new D is trained against a G whose weights and average rest, and G begins to learn when D has been right about enough
fakes and enough reals, three intervals running, of twenty that the warm-up has. If it never is, training stops.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.errors import UserError
from biggan.layers.heads import Verdict
from biggan.losses.scene import Judge
from biggan.training.checkpoint_record import WarmUpRecord
from biggan.training.engine import Engine
from biggan.training.state import TrainState
from biggan.training.step import Losses, Objective, StepInputs, train_discriminator

INTERVALS = 20
NEEDED = 3


def least_images(images: int) -> int:
    """Return after how many images G learns at the earliest, of a warm-up of at most ``images``."""
    return NEEDED * (images // INTERVALS)


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """What is asked of D, and for how long."""

    images: int
    """At most."""
    accuracy: float
    """Of fakes and of reals."""
    tell: Callable[[str], None]

    def active(self, state: TrainState) -> bool:
        """Tell whether D still warms up."""
        return state.warm_up is not None and state.warm_up.ended_at is None

    def check(self, state: TrainState) -> None:
        """Check that there is time left.

        Raises:
            UserError: there is none.
        """
        record = state.warm_up
        if record is None or record.ended_at is not None or state.images_seen < self.images:
            return
        raise UserError(
            f"D is not ready after {state.images_seen:,} images: in the last interval it was right about "
            f"{record.latest[0]:.0%} of fakes and {record.latest[1]:.0%} of reals, and {self.accuracy:.0%} of both are "
            f"asked for, {NEEDED} intervals running. G would forget what it can, so that it has not begun to learn. "
            f"Saved; the same command with a --d-warmup above {state.images_seen} goes on, a lower "
            "--d-warmup-accuracy asks for less."
        )

    def step(self, state: TrainState, inputs: StepInputs, objective: Objective, engine: Engine) -> Losses:
        """Update D, and note what it was right about before each update."""
        right: list[Tensor] = []

        def noting(D: Judge, *images: Tensor) -> tuple[Verdict, ...]:
            verdicts = objective.judge(D, *images)
            fakes, reals = (verdict.score for verdict in verdicts)
            right.append(torch.stack([(fakes < 0).sum(), (reals > 0).sum(), (reals == reals).sum()]))
            return verdicts

        losses = train_discriminator(state, inputs, dataclasses.replace(objective, judge=noting), engine)
        total = torch.stack(right).sum(dim=0).float()
        distributed.sum_in_place([total])
        self._note(state, total.tolist(), inputs.images_seen)
        return losses

    def _note(self, state: TrainState, counts: list[float], clock: int) -> None:
        record = state.warm_up
        assert record is not None
        interval = max(self.images // INTERVALS, 1)
        fakes, reals, images = (int(one + other) for one, other in zip(record.counts, counts, strict=True))
        if clock // interval == state.images_seen // interval:
            state.warm_up = dataclasses.replace(record, counts=(fakes, reals, images))
            return
        latest = (fakes / images, reals / images)
        passed = record.passed + 1 if min(latest) >= self.accuracy else 0
        ended = clock if passed >= NEEDED else None
        state.warm_up = WarmUpRecord(counts=(0, 0, 0), latest=latest, passed=passed, ended_at=ended)
        asked = f"ready at {self.accuracy:.0%}, {NEEDED} times running"
        rest = "it is ready, and G learns from here" if ended else asked
        self.tell(
            f"{clock:,} images, D alone: right about {latest[0]:.1%} of fakes and {latest[1]:.1%} of reals "
            f"({passed} of {NEEDED}); {rest}"
        )
