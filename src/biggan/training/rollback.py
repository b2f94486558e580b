"""Going back from a collapse to the last healthy checkpoint, with other draws and lower rates.

What is decided is written to ``rollback.json`` before anything is done, and holds until a checkpoint of the new attempt
is there: whoever is killed in between finds it, and does the same. Attempt 0 is the run as it was started.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from biggan.foundation.courses import Course
from biggan.foundation.durations import format_images
from biggan.foundation.files import write_json
from biggan.foundation.limits import Ge, Le, MaxLen
from biggan.foundation.records import Count, Name, read_record
from biggan.foundation.seeding import derive_seed
from biggan.training.checkpoint import Checkpoint, CheckpointStore
from biggan.training.configuration import AdamConfig, TrainingConfig
from biggan.training.health.records import last_healthy
from biggan.training.run_directory import ROLLBACK
from biggan.training.state import TrainState

MOST_ATTEMPTS = 3
"""After the first one; what collapses four times has another reason than chance and rates."""
RATE_FACTOR = 0.5
"""By which all rates of an attempt are multiplied, relative to the one before."""
STATUS = 3
"""Exit status of a run that ended because it collapsed."""
ADVICE = (
    "What helps: lower rates (above all D's), a larger batch, --terms lecam or r1, and for few images diffaugment; "
    "docs/collapse.md tells which for what"
)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """To begin a new attempt."""

    attempt: Annotated[int, Ge(1), Le(MOST_ATTEMPTS)]
    to: Count
    """Clock of the checkpoint from which it goes on; 0: from the beginning."""
    decided_at: Count
    reason: Name


@dataclass(frozen=True, kw_only=True)
class RollbackRecord:
    """``rollback.json``: all decisions of a run; the last one holds."""

    decisions: Annotated[tuple[Decision, ...], MaxLen(MOST_ATTEMPTS)]


class CollapseError(Exception):
    """The networks have collapsed, and the run does not go on as it was; the same on all ranks."""

    def __init__(self, reason: str, decision: Decision | None) -> None:
        super().__init__(reason)
        self.decision = decision
        """None: to stop."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """From where a run goes on."""

    newest: Checkpoint | None
    """None: from the beginning."""
    attempt: int = 0
    going_back: Decision | None = None
    """What was decided and is to be done now."""


def find_point(run_dir: Path, store: CheckpointStore) -> Point:
    """Return from where the run in a directory goes on; only reads.

    Raises:
        UserError: a record is damaged, or all checkpoints are.
    """
    newest = store.newest()
    path = run_dir / ROLLBACK
    decisions = read_record(RollbackRecord, path).decisions if path.is_file() else ()
    if not decisions:
        return Point(newest=newest, attempt=newest.record.attempt if newest else 0)
    last = decisions[-1]
    if newest is not None and newest.record.attempt >= last.attempt:
        return Point(newest=newest, attempt=newest.record.attempt)
    return Point(newest=store.newest(last.to) if last.to else None, attempt=last.attempt, going_back=last)


def go_back(point: Point, store: CheckpointStore) -> list[str]:
    """Put checkpoints of the attempt before aside; return what is to be said. Again and again comes to the same."""
    if point.going_back is None:
        return []
    clock = point.newest.images_seen if point.newest else 0
    store.set_aside(clock, f"attempt{point.attempt - 1}")
    begin = f"back to {clock:,} images" if clock else "back to the beginning"
    return [
        f"{begin}, attempt {point.attempt} of {MOST_ATTEMPTS}: other draws, learning rates times "
        f"{RATE_FACTOR**point.attempt:g} ({point.going_back.reason})"
    ]


def of_attempt(config: TrainingConfig, attempt: int) -> TrainingConfig:
    """Return the run with the draws and rates of an attempt; attempt 0 is the run itself."""
    if not attempt:
        return config

    def slower(adam: AdamConfig) -> AdamConfig:
        rate, factor = adam.learning_rate, RATE_FACTOR**attempt
        if isinstance(rate, Course):
            return dataclasses.replace(
                adam, learning_rate=dataclasses.replace(rate, first=rate.first * factor, last=rate.last * factor)
            )
        return dataclasses.replace(adam, learning_rate=rate * factor)

    return dataclasses.replace(
        config,
        seed=derive_seed(config.seed, "attempt", attempt),
        generator_adam=slower(config.generator_adam),
        discriminator_adam=slower(config.discriminator_adam),
    )


def decide(run_dir: Path, store: CheckpointStore, state: TrainState, reason: str) -> Decision | None:
    """Decide to go back, and write it down; return None if that has been done often enough."""
    if state.attempt >= MOST_ATTEMPTS:
        return None
    path = run_dir / ROLLBACK
    before = read_record(RollbackRecord, path).decisions if path.is_file() else ()
    earlier = tuple(one for one in before if one.attempt <= state.attempt)
    healthy = last_healthy(state.health) or 0
    if earlier and healthy <= earlier[-1].to:  # where this attempt began it was sick already
        healthy = max(earlier[-1].to - 1, 0)
    to = max((number for number in store.numbers() if number <= healthy), default=0)
    decision = Decision(attempt=state.attempt + 1, to=to, decided_at=state.images_seen, reason=reason)
    record = RollbackRecord(decisions=(*earlier, decision))
    write_json(path, dataclasses.asdict(record))
    return decision


def farewell(reason: str, clock: int, *, attempts: int) -> list[str]:
    """Return what is said when a run ends because it collapsed."""
    tried = f" for the {attempts + 1}th time" if attempts else ""
    return [f"stopped at {format_images(clock)} images, saved: collapsed{tried} ({reason})", ADVICE]
