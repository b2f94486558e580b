"""The run directory: what lies there, and whether a command may go on in it.

``config.json  init.json  rollback.json  log.txt  stats.jsonl  data_card.png  samples/  checkpoints/<images>/ + LAST
snapshots/<images>.safetensors``
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import append_json_line, append_text, replacing, write_json
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS, clock_of
from biggan.foundation.records import Count, Name, parse_plain, read_record
from biggan.foundation.terminal import complain, one_line, printable, say
from biggan.training.configuration import TrainingConfig

FORMAT = 1
CONFIG = "config.json"
INIT = "init.json"
ROLLBACK = "rollback.json"
LOG = "log.txt"
STATS = "stats.jsonl"
METRICS = "metrics.jsonl"
CARD = "data_card.png"
SAMPLES = "samples"
LOCK = ".lock"
_OUTPUTS = (CONFIG, INIT, ROLLBACK, LOG, STATS, METRICS, CARD, SAMPLES, CHECKPOINTS, SNAPSHOTS, "tensorboard")
_SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class StoredData:
    """What ``config.json`` tells about the images."""

    source: Name
    images: Count
    class_names: tuple[str, ...]
    key: Name = ""
    """Hash of the images and labels; empty in runs that were started before it was recorded."""


@dataclass(frozen=True, kw_only=True)
class StoredBatch:
    """How a network's batch was divided."""

    batch: Count
    ranks: Count
    micro_batch: Count
    accumulation: Count


@dataclass(frozen=True, kw_only=True)
class StoredUse:
    """What was derived from the configuration."""

    ranks: Count
    precision: Name = "float32"
    tf32: bool = False
    """Whether float32 products could be rounded to TF32."""
    discriminator: StoredBatch
    generator: StoredBatch
    images_per_iteration: Count
    found_micro_batch: Count | None = None
    """Images that a rank handles at once, where that was found by trying."""
    images_for_moments: Count | None = None
    """Images whose moments G's batch norm takes together; None in runs that were started before it was recorded."""


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What ``config.json`` tells about a run when it was last started."""

    format: Count
    preset: Name
    config: TrainingConfig
    used: StoredUse
    data: StoredData
    versions: dict[str, str] = field(default_factory=dict)


class RunDirectory:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told: set[str] = set()

    # -- what lies there ---------------------------------------------------------------------------------------------

    def started(self) -> StoredRun | None:
        """Return what ``config.json`` holds, or None where there is no run yet.

        Raises:
            UserError: the directory holds something that is no run, or a link where a run writes, or its configuration
                cannot be read.
        """
        self.refuse_links()
        file = self.path / CONFIG
        if file.is_file():
            stored = read_record(StoredRun, file)
            if stored.format != FORMAT:
                raise CorruptFileError(f"{file} is of run format {stored.format}, this version reads {FORMAT}")
            return _as_meant(stored)
        if self.path.exists():
            if not self.path.is_dir():
                raise UserError(f"--run-dir {self.path}: this is a file")
            # A process killed before its first file was whole leaves only a temporary one, and its lock.
            left = sorted(p.name for p in self.path.iterdir() if not p.name.startswith((f".{CONFIG}.", LOCK, ".clock")))
            if left:
                raise UserError(
                    f"--run-dir {self.path}: not empty and not a run (no {CONFIG}; it holds "
                    f"{one_line(', '.join(left[:_SHOWN]))}). Nothing was changed; choose another directory."
                )
        return None

    def stored_run(self) -> StoredRun | None:
        """Return the run that can be continued here, or None.

        Raises:
            UserError: see :meth:`started`.
        """
        # A start that failed before there was anything to go on with decides nothing.
        return self.started() if self.has_checkpoint() else None

    def has_checkpoint(self) -> bool:
        """Tell whether training has ever been saved here."""
        folder = self.path / CHECKPOINTS
        return folder.is_dir() and any(clock_of(path.name.split(".")[0]) is not None for path in folder.iterdir())

    def refuse_links(self) -> None:
        """Check that nothing that a run writes is a link, which would be followed out of the directory.

        Raises:
            UserError: names the link.
        """
        for name in _OUTPUTS:
            output = self.path / name
            below = (
                Path(folder) / entry
                for folder, folders, files in os.walk(output)
                for entry in (*folders, *files)
                if not output.is_symlink()
            )
            for path in (output, *below):
                if path.is_symlink():
                    raise UserError(
                        f"--run-dir {self.path}: {one_line(str(path.relative_to(self.path)))} is a link, and a run "
                        "writes through none. Put what it points to in its place, or choose another directory."
                    )

    # -- writing -----------------------------------------------------------------------------------------------------

    def write_config(self, preset: str, config: TrainingConfig, facts: dict[str, Any]) -> None:
        """Write ``config.json``: the configuration as it was resolved, and what was derived from it."""
        write_json(
            self.path / CONFIG,
            {"format": FORMAT, "preset": preset, "config": to_json(config), **facts},
        )

    def tell(self, *messages: str) -> None:
        """Print and log."""
        for message in messages:
            say(message)
            self.log(message)

    def log(self, message: str) -> None:
        """Append lines to ``log.txt``; if that fails, it is said on the terminal, once."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        lines = "".join(f"{stamp} {line}\n" for line in printable(message).splitlines() or [""])
        self._append(LOG, lambda path: append_text(path, lines))

    def note(self, name: str, record: dict[str, Any]) -> None:
        """Append a line to a file of records; if that fails, it is said on the terminal, once."""
        self._append(name, lambda path: append_json_line(path, record))

    def _append(self, name: str, write: Callable[[Path], None]) -> None:
        try:
            write(self.path / name)
        except (UserError, OSError) as error:
            if name not in self._told:
                self._told.add(name)
                complain(f"{name} is not complete from here on: {error}")

    def rewind(self, clock: int, again: Collection[str] = ()) -> None:
        """Drop the lines that the run wrote after ``clock``: it goes on from there, and will write them again.

        Args:
            clock: images seen in the checkpoint from which it goes on.
            again: what is done at that clock is done again, "evaluation" and "health" among it.
        """
        look = clock - ("health" in again)
        _rewind(self.path / STATS, lambda record: record["images_seen"] <= (look if "health" in record else clock))
        # What `biggan evaluate` added names the file that it measured, and stays.
        last = clock - ("evaluation" in again)
        _rewind(self.path / METRICS, lambda record: record.get("file") is not None or record["images_seen"] <= last)


def _as_meant(stored: StoredRun) -> StoredRun:
    """Return the run with terms as they were when it was stored."""
    if not stored.config.terms:
        return stored
    from biggan.losses.stored_terms import as_stored  # which imports torch

    config = dataclasses.replace(stored.config, terms=as_stored(stored.config.terms))
    return dataclasses.replace(stored, config=config)


def _rewind(path: Path, stays: Callable[[dict[str, Any]], bool]) -> None:
    """Write the lines of ``path`` anew that stay; one that a killed process left half-written does not."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        if all(_stays(line, stays) for line in file):
            return
    with replacing(path) as temporary, path.open("rb") as old, temporary.open("wb") as new:
        new.writelines(line for line in old if _stays(line, stays))


def _stays(line: bytes, stays: Callable[[dict[str, Any]], bool]) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        return stays(parse_plain(line, "a line of a log"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return True  # no line of a run: somebody's own
