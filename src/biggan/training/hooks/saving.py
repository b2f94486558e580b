"""Checkpoints and published snapshots."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.digests import digests
from biggan.foundation.errors import UserError
from biggan.foundation.names import SNAPSHOTS
from biggan.models.snapshot import SUFFIX, write_snapshot
from biggan.training.doubling import measured
from biggan.training.hooks.intervals import AtIntervals
from biggan.training.run import Run


class Checkpoints(AtIntervals):
    """Saves everything; first makes sure that it is finite and the same on all ranks."""

    def __init__(self, every: int | None, *, saved_at: int | None = None) -> None:
        """Prepare.

        Args:
            every: the interval.
            saved_at: the clock of the checkpoint from which the run goes on.
        """
        super().__init__(every)
        self._pending: tuple[str, ...] = ()
        self._saved_at = saved_at
        if saved_at is not None:
            self._acted_at = saved_at

    def saved_at(self, clock: int) -> bool:
        """Tell whether there is a checkpoint of ``clock``."""
        return self._saved_at == clock

    def save(self, run: Run, pending: tuple[str, ...]) -> None:
        """Save, unless it has been done at this clock; ``pending`` is what is still to be done at it."""
        self._pending = pending
        self.act(run)

    @property
    def step(self) -> int:
        """The interval, or one that never ends."""
        return self.every or 2**62

    def save_again(self, run: Run) -> None:
        """Save at a clock that stands still."""
        self._pending = ()
        self._acted_at = run.state.images_seen
        self._act(run)

    def note(self, run: Run, pending: tuple[str, ...]) -> None:
        """Write into the checkpoint of this clock what is left to do, and the values by which the best are kept."""
        distributed.on_primary(lambda: run.owned_store().note(run.state, pending), "noting what has been done")

    def _act(self, run: Run) -> None:
        run.engine.guard.check()
        run.state.doubling = measured(run.state.doubling, run.engine)
        check_ranks_agree(run.state.tensors())
        distributed.on_primary(
            lambda: str(run.owned_store().save(run.state, run.info(), run.configuration(), self._pending)),
            "saving a checkpoint",
        )
        self._saved_at = run.state.images_seen


class Snapshots(AtIntervals):
    """Publishes the generator."""

    def _act(self, run: Run) -> None:
        """Write ``snapshots/<images>.safetensors``."""
        run.engine.guard.check()
        path = run.directory.path / SNAPSHOTS / f"{run.state.images_seen}{SUFFIX}"
        distributed.on_primary(lambda: write_snapshot(path, run.sampled, run.info()), "writing a snapshot")


def check_ranks_agree(tensors: dict[str, Tensor]) -> None:
    """Compare all state bitwise over ranks, by digests that are computed where it lies.

    Raises:
        UserError: ranks differ; names the first tensor that does, and the first rank that has another.
    """
    if distributed.world_size() == 1:
        return
    own = distributed.together(lambda: digests(tensors), "reading the state back")
    everyone = cast("list[dict[str, tuple[str, int]]]", distributed.gather_objects(own))
    first = everyone[0]
    # All ranks compare with the first, so that all come to the same end.
    for rank, other in enumerate(everyone):
        wrong = [name for name in sorted(first.keys() | other.keys()) if first.get(name) != other.get(name)]
        if wrong:
            raise UserError(
                f"rank {rank} and rank 0 have drifted apart at {wrong[0]} ({len(wrong)} of {len(first)} tensors "
                "differ); a step of your own must do the same on every rank. No checkpoint was written."
            )
