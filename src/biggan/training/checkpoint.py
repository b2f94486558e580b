"""Private, complete, atomic: everything that is needed to go on.

A checkpoint is a directory ``checkpoints/<images>``: ``state.safetensors`` (networks and Adam moments),
``snapshot.safetensors`` (the public generator, which holds the moving average) and ``state.json`` (clock,
configuration, digests of the two). It is written under another name, synced, renamed; then the pointer ``LAST``
moves; then old ones go. A kill at any moment leaves either the old pointer with its checkpoint or the new one with
its. What is found out about its weights later (values by which the best are kept, what has been done at its clock) is
noted by replacing ``state.json`` as a whole.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import (
    digest,
    full_disk_is_an_error,
    remove_unfinished,
    require_space,
    sync_directory,
    write_atomically,
)
from biggan.foundation.names import CHECKPOINTS, clock_of
from biggan.foundation.records import read_bounded
from biggan.foundation.tensor_files import read_tensors, write_tensors
from biggan.foundation.terminal import say
from biggan.models.snapshot import IN_CHECKPOINT, LAST, SnapshotInfo, write_snapshot
from biggan.training.checkpoint_record import CheckpointRecord, read_checkpoint_record, write_checkpoint_record
from biggan.training.configuration import CheckpointConfig
from biggan.training.health.records import last_healthy
from biggan.training.state import TrainState

STATE_TENSORS = "state.safetensors"
STATE_JSON = "state.json"
_FILES = {STATE_TENSORS, IN_CHECKPOINT, STATE_JSON}
_WRITING, _LEAVING, _DAMAGED = ".writing-", ".leaving-", ".damaged"
_MOST_IN_LAST = 64
_BESIDE_TENSORS = 2**20
"""Bytes that headers and records take at most, in the estimate of what a checkpoint needs."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    record: CheckpointRecord

    @property
    def images_seen(self) -> int:
        """The clock."""
        return self.record.images_seen


class CheckpointStore:
    """The checkpoints of one run directory."""

    def __init__(self, run_dir: Path, config: CheckpointConfig, tell: Callable[[str], None] = say) -> None:
        self.root = run_dir / CHECKPOINTS
        self.config, self.tell = config, tell
        self._damaged: list[int] = []

    # -- writing -----------------------------------------------------------------------------------------------------

    def save(
        self,
        state: TrainState,
        info: SnapshotInfo,
        configuration: dict[str, Any],
        pending: tuple[str, ...] = (),
    ) -> Path:
        """Write a checkpoint of ``state``, move ``LAST`` to it, and remove what need not be kept.

        Args:
            state: all of it.
            info: describes the snapshot inside.
            configuration: of the run, for the record.
            pending: what is still to be done at this clock.

        Raises:
            NoSpaceError: the disk is full; what was there before is as it was.
        """
        tensors = {name: tensor for name, tensor in state.tensors().items() if not name.startswith("ema/")}
        generator = state.average.network or state.generator
        needed = sum(t.numel() * t.element_size() for t in (*tensors.values(), *generator.state_dict().values()))
        require_space(self.root, needed + _BESIDE_TENSORS, f"a checkpoint at {state.images_seen:,} images")
        final = self.root / str(state.images_seen)
        temporary = self.root / f"{_WRITING}{state.images_seen}-{os.getpid()}"
        with full_disk_is_an_error(final):
            self.root.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(temporary, ignore_errors=True)
            try:
                temporary.mkdir()
                write_tensors(temporary / STATE_TENSORS, tensors)
                write_snapshot(temporary / IN_CHECKPOINT, generator, info)
                record = CheckpointRecord(
                    images_seen=state.images_seen,
                    iterations=state.iterations,
                    best=tuple(state.best),
                    weights=info.weights,
                    configuration=configuration,
                    pending=pending,
                    pretrained=state.pretrained,
                    warm_up=state.warm_up,
                    doubling=state.doubling,
                    attempt=state.attempt,
                    health=tuple(state.health),
                    digests={name: digest(temporary / name) for name in (STATE_TENSORS, IN_CHECKPOINT)},
                )
                write_checkpoint_record(temporary / STATE_JSON, record)
                sync_directory(temporary)
                if final.exists():  # an unpublished or damaged one of the same clock
                    self._remove(final)
                temporary.replace(final)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
            sync_directory(self.root)
            write_atomically(self.root / LAST, f"{final.name}\n")
        self.rotate(state)
        return final

    def note(self, state: TrainState, pending: tuple[str, ...]) -> None:
        """Write into the checkpoint of this clock what became known after it was saved, and keep the best.

        Does nothing if this clock has none.
        """
        path = self.root / str(state.images_seen) / STATE_JSON
        if not path.is_file():
            return
        record = read_checkpoint_record(path)
        write_checkpoint_record(
            path, dataclasses.replace(record, best=tuple(state.best), pending=pending, health=tuple(state.health))
        )
        self.rotate(state)

    def rotate(self, state: TrainState) -> None:
        """Remove all but the last, the best, the first of each long interval, and where somebody keeps something."""
        numbers = sorted(number for number in self.numbers() if number <= state.images_seen)
        keep = set(numbers[-self.config.keep_last :])
        for name in {name for name, _, _ in state.best}:
            scored = [entry for entry in state.best if entry[0] == name and entry[2] in numbers]
            ranked = sorted(scored, key=lambda entry: (-entry[1], entry[2]))
            keep |= {images for _, _, images in ranked[: self.config.keep_best]}
        if self.config.keep_every is not None:
            seen: set[int] = set()
            for number in numbers:
                interval = number // self.config.keep_every
                if interval not in seen:
                    seen.add(interval)
                    keep.add(number)
        if state.health:  # what one would go back to, and what will be that when later looks have been healthy, too
            healthy = last_healthy(state.health) or 0
            keep.update([number for number in numbers if number <= healthy][-1:])
            keep.update([number for number in numbers if number > healthy][:1])
        for number in numbers:
            if number not in keep and not _holds_more(self.root / str(number)):
                self._remove(self.root / str(number))

    def set_aside(self, above: int, ending: str) -> None:
        """Let ``LAST`` point to ``above``, and rename later checkpoints, which nothing goes on from any more.

        What a kill leaves of this is done by doing it again.
        """
        later = [number for number in self.numbers() if number > above]
        if not later:
            return
        if above:
            write_atomically(self.root / LAST, f"{above}\n")
        else:
            (self.root / LAST).unlink(missing_ok=True)
        for number in sorted(later, reverse=True):  # the earliest last: it is what LAST falls back to if it is lost
            self._put_aside(self.root / str(number), self.root / f"{number}.{ending}")

    def _put_aside(self, path: Path, aside: Path) -> None:
        if aside.exists():
            self._remove(aside)
        path.replace(aside)

    def _remove(self, path: Path) -> None:
        """Remove a directory so that a kill half-way leaves nothing that looks like a checkpoint."""
        leaving = path.with_name(f"{_LEAVING}{path.name}-{os.getpid()}")
        path.replace(leaving)
        shutil.rmtree(leaving, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed process left half-written or half-removed, here and in the rest of the run."""
        self.root.mkdir(parents=True, exist_ok=True)
        for path in self.root.glob(".*"):
            if path.is_dir() and path.name.startswith((_WRITING, _LEAVING)):
                shutil.rmtree(path, ignore_errors=True)
        remove_unfinished(self.root.parent)
        for number in self._damaged:  # out of the way of new ones, for whoever wants to repair it
            aside = self.root / f"{number}{_DAMAGED}"
            if not aside.exists():
                (self.root / str(number)).replace(aside)

    # -- reading -----------------------------------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        """Return the clocks of the checkpoints, in any state, in no order."""
        found = (clock_of(path.name) for path in self.root.glob("*") if path.is_dir())
        return [number for number in found if number is not None]

    def last(self) -> int | None:
        """Return the clock that ``LAST`` points to, or the newest there is where it is lost."""
        pointer, numbers = self.root / LAST, self.numbers()
        if pointer.is_file():
            try:
                number = clock_of(read_bounded(pointer, _MOST_IN_LAST).decode("ascii", "replace").strip())
            except CorruptFileError:
                number = None
            if number in numbers:
                return number
        return max(numbers, default=None)

    def newest(self, at_most: int | None = None) -> Checkpoint | None:
        """Return the checkpoint to go on from: that of ``LAST``, or the one before it if it is damaged.

        Args:
            at_most: a clock; later ones are passed over.

        Raises:
            UserError: there are checkpoints, but all are damaged.
        """
        last = self.last()
        last = last if at_most is None or last is None else min(last, at_most)
        if last is None:
            return None
        self._damaged.clear()
        candidates = sorted((number for number in self.numbers() if number <= last), reverse=True)
        for number in candidates:
            try:
                return read_checkpoint(self.root / str(number))
            except UserError as error:
                self.tell(f"checkpoint {number} is damaged and not used: {error}")
                self._damaged.append(number)
        if not candidates:
            raise UserError(
                f"{self.root}: none is left at {last:,} images or before, from where the run is to go on "
                "(rollback.json); nothing was removed. Restore one, or start over in another --run-dir."
            )
        raise UserError(
            f"{self.root}: all {len(candidates)} checkpoints are damaged (see above); nothing was removed. "
            "Restore one, or start over in another --run-dir."
        )


def _holds_more(path: Path) -> bool:
    """Tell whether there is something in a checkpoint that is no part of it: directions of its snapshot, say."""
    return any(entry.name not in _FILES and not entry.name.startswith(".") for entry in path.iterdir())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint without loading its tensors.

    Raises:
        UserError: incomplete or damaged.
    """
    record = read_checkpoint_record(path / STATE_JSON)
    if clock_of(path.name) not in (None, record.images_seen):
        raise CorruptFileError(f"{path / STATE_JSON} belongs to a checkpoint at {record.images_seen} images")
    for name in (STATE_TENSORS, IN_CHECKPOINT):
        if not (path / name).is_file():
            raise CorruptFileError(f"{path / name} is missing")
        if digest(path / name) != record.digests.get(name):
            raise CorruptFileError(f"{path / name} is damaged (its digest differs)")
    return Checkpoint(path, record)


def restore(checkpoint: Checkpoint, state: TrainState) -> None:
    """Overwrite ``state`` with a checkpoint; every tensor is checked before any is used.

    Raises:
        UserError: its tensors do not fit the networks.
    """
    tensors = read_tensors(checkpoint.path / STATE_TENSORS)
    if state.average.network is not None:
        # A run that had no average begins one from G, which is what its snapshot holds then.
        snapshot = read_tensors(checkpoint.path / IN_CHECKPOINT)
        tensors.update({f"ema/{name}": tensor for name, tensor in snapshot.items()})
    try:
        state.load_tensors(tensors)
    except ValueError as error:
        raise CorruptFileError(f"{checkpoint.path} does not fit the networks: {error}") from error
    state.images_seen = checkpoint.images_seen
    state.iterations = checkpoint.record.iterations
    state.best = list(checkpoint.record.best)
    state.pretrained = checkpoint.record.pretrained
    state.warm_up = checkpoint.record.warm_up
    state.doubling = checkpoint.record.doubling
    state.attempt = checkpoint.record.attempt
    state.health = list(checkpoint.record.health)
