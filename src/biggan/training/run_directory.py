"""The run directory: what lies there, and whether a command may go on in it.

``config.json  log.txt  stats.jsonl  data_card.png  samples/  checkpoints/<images>/ + LAST
snapshots/<images>.safetensors``
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from biggan.foundation.config import from_json, to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.records import read_plain
from biggan.training.configuration import TrainingConfig

FORMAT = 1
CONFIG = "config.json"
LOG = "log.txt"
STATS = "stats.jsonl"
CARD = "data_card.png"
SAMPLES = "samples"


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """What ``config.json`` tells about a run when it was last started."""

    preset: str
    config: TrainingConfig
    class_names: tuple[str, ...]
    images: int
    data_key: str
    """Hash of the images and labels; empty in runs that were started before it was recorded."""
    ranks: int


class RunDirectory:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stored(self) -> dict[str, Any] | None:
        """Return what ``config.json`` holds, or None where there is no run yet.

        Raises:
            UserError: the directory holds something that is no run, or its configuration cannot be read.
        """
        file = self.path / CONFIG
        if file.is_file():
            stored = read_plain(file)
            if not isinstance(stored, dict) or stored.get("format") != FORMAT or "config" not in stored:
                raise CorruptFileError(f"{file} is not the configuration of a run of this version")
            return stored
        if self.path.exists():
            if not self.path.is_dir():
                raise UserError(f"--run-dir {self.path}: this is a file")
            # A process killed before its first file was whole leaves only a temporary one.
            left = sorted(p.name for p in self.path.iterdir() if not p.name.startswith(f".{CONFIG}."))
            if left:
                raise UserError(
                    f"--run-dir {self.path}: not empty and not a run (no {CONFIG}; it holds {', '.join(left[:4])}). "
                    "Nothing was changed; choose another directory."
                )
        return None

    def stored_run(self) -> StoredRun | None:
        """Return the run that lies here, or None.

        Raises:
            UserError: see :meth:`stored`.
        """
        stored = self.stored()
        if stored is None or not self.has_checkpoint():
            return None  # a start that failed before there was anything to go on with decides nothing
        try:
            return StoredRun(
                preset=str(stored["preset"]),
                config=from_json(TrainingConfig, stored["config"], str(self.path / CONFIG)),
                class_names=tuple(stored["data"]["class_names"]),
                images=int(stored["data"]["images"]),
                data_key=str(stored["data"].get("key", "")),
                ranks=int(stored["used"]["ranks"]),
            )
        except KeyError as error:
            raise CorruptFileError(
                f"{self.path / CONFIG} lacks {error}; restore it, or use another --run-dir"
            ) from error

    def has_checkpoint(self) -> bool:
        """Tell whether training has ever been saved here."""
        from biggan.models.snapshot import CHECKPOINTS  # late: it imports torch

        folder = self.path / CHECKPOINTS
        return folder.is_dir() and any(path.name.split(".")[0].isdigit() for path in folder.iterdir())

    def write_config(self, preset: str, config: TrainingConfig, facts: dict[str, Any]) -> None:
        """Write ``config.json``: the configuration as it was resolved, and what was derived from it."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(
            self.path / CONFIG,
            {"format": FORMAT, "preset": preset, "config": to_json(config), **facts},
        )

    def log(self, message: str) -> None:
        """Append lines to ``log.txt``."""
        self.path.mkdir(parents=True, exist_ok=True)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write("".join(f"{stamp} {line}\n" for line in message.splitlines() or [""]))
