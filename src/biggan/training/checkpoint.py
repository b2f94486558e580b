"""Private, complete, atomic: everything that is needed to go on.

A checkpoint is a directory ``checkpoints/<images>``: ``state.safetensors`` (networks and Adam moments),
``snapshot.safetensors`` (the public generator, which holds the moving average) and ``state.json`` (clock,
configuration, digests of the two). It is written under another name, synced, renamed; then the pointer ``LAST``
moves; then old ones go. A kill at any moment leaves either the old pointer with its checkpoint or the new one with
its.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import (
    digest,
    remove_unfinished,
    sync_directory,
    write_atomically,
    write_json,
)
from biggan.foundation.records import read_plain
from biggan.foundation.tensor_files import read_tensors, write_tensors
from biggan.models.snapshot import CHECKPOINTS, IN_CHECKPOINT, LAST, SnapshotInfo, write_snapshot
from biggan.training.configuration import CheckpointConfig
from biggan.training.state import TrainState

FORMAT = 1
STATE_TENSORS = "state.safetensors"
STATE_JSON = "state.json"
_WRITING, _LEAVING, _DAMAGED = ".writing-", ".leaving-", ".damaged"


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    path: Path
    meta: dict[str, Any]

    @property
    def images_seen(self) -> int:
        """The clock."""
        return int(self.meta["images_seen"])


class CheckpointStore:
    """The checkpoints of one run directory."""

    def __init__(self, run_dir: Path, config: CheckpointConfig, log: Callable[[str], None] = print) -> None:
        self.root = run_dir / CHECKPOINTS
        self.config, self.log = config, log
        self._damaged: list[int] = []

    # -- writing -----------------------------------------------------------------------------------------------------

    def save(self, state: TrainState, info: SnapshotInfo, configuration: dict[str, Any]) -> Path:
        """Write a checkpoint of ``state``, move ``LAST`` to it, and remove what need not be kept."""
        self.root.mkdir(parents=True, exist_ok=True)
        final = self.root / str(state.images_seen)
        temporary = self.root / f"{_WRITING}{state.images_seen}-{os.getpid()}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        tensors = {name: tensor for name, tensor in state.tensors().items() if not name.startswith("ema/")}
        write_tensors(temporary / STATE_TENSORS, tensors)
        write_snapshot(temporary / IN_CHECKPOINT, state.average.network or state.generator, info)
        meta = {
            "format": FORMAT,
            "images_seen": state.images_seen,
            "iterations": state.iterations,
            "best": [list(entry) for entry in state.best],
            "weights": info.weights,
            "configuration": configuration,
            "digests": {name: digest(temporary / name) for name in (STATE_TENSORS, IN_CHECKPOINT)},
        }
        write_json(temporary / STATE_JSON, {**meta, "self": _self_digest(meta)})
        sync_directory(temporary)
        if final.exists():  # an unpublished or damaged one of the same clock
            self._remove(final)
        temporary.replace(final)
        sync_directory(self.root)
        write_atomically(self.root / LAST, f"{final.name}\n")
        self._rotate(state)
        return final

    def _rotate(self, state: TrainState) -> None:
        """Remove all but the last, the best, and the first of each long interval; later clocks are another story."""
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
        for number in numbers:
            if number not in keep:
                self._remove(self.root / str(number))

    def _remove(self, path: Path) -> None:
        """Remove a directory so that a kill half-way leaves nothing that looks like a checkpoint."""
        leaving = path.with_name(f"{_LEAVING}{path.name}-{os.getpid()}")
        path.replace(leaving)
        shutil.rmtree(leaving, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what a killed process left half-written or half-removed, here and in the rest of the run."""
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
        return [int(path.name) for path in self.root.glob("*") if path.is_dir() and path.name.isdigit()]

    def last(self) -> int | None:
        """Return the clock that ``LAST`` points to, or the newest there is where it is lost."""
        pointer = self.root / LAST
        text = pointer.read_text().strip() if pointer.is_file() else ""
        numbers = self.numbers()
        if text.isdigit() and int(text) in numbers:
            return int(text)
        return max(numbers, default=None)

    def newest(self) -> Checkpoint | None:
        """Return the checkpoint to go on from: that of ``LAST``, or the one before it if it is damaged.

        Raises:
            UserError: there are checkpoints, but all are damaged.
        """
        last = self.last()
        if last is None:
            return None
        candidates = sorted((number for number in self.numbers() if number <= last), reverse=True)
        for number in candidates:
            try:
                return read_checkpoint(self.root / str(number))
            except UserError as error:
                self.log(f"checkpoint {number} is damaged and not used: {error}")
                self._damaged.append(number)
        raise UserError(
            f"{self.root}: all {len(candidates)} checkpoints are damaged (see above); nothing was removed. "
            "Restore one, or start over in another --run-dir."
        )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify a checkpoint without loading its tensors.

    Raises:
        UserError: incomplete or damaged.
    """
    if not (path / STATE_JSON).is_file():
        raise CorruptFileError(f"{path / STATE_JSON} is missing")
    meta = read_plain(path / STATE_JSON)
    if not isinstance(meta, dict) or meta.pop("self", None) != _self_digest(meta):
        raise CorruptFileError(f"{path / STATE_JSON} was changed or damaged")
    if meta["format"] != FORMAT:
        raise UserError(f"{path} is of checkpoint format {meta['format']}, this version reads {FORMAT}")
    for name, expected in meta["digests"].items():
        if not (path / name).is_file():
            raise CorruptFileError(f"{path / name} is missing")
        if digest(path / name) != expected:
            raise CorruptFileError(f"{path / name} is damaged (its digest differs)")
    return Checkpoint(path, meta)


def restore(checkpoint: Checkpoint, state: TrainState) -> None:
    """Overwrite ``state`` with a checkpoint.

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
    except (KeyError, ValueError) as error:
        raise CorruptFileError(f"{checkpoint.path} does not fit the networks: {error}") from error
    state.images_seen = checkpoint.images_seen
    state.iterations = int(checkpoint.meta["iterations"])
    state.best = [(str(name), float(value), int(images)) for name, value, images in checkpoint.meta["best"]]


def _self_digest(meta: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()
