"""Where images come from and how they are read. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from biggan.foundation.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The training images."""

    path: Annotated[str | None, tyro.conf.arg(aliases=["--data"])] = None
    """Folder with a sub-folder a class, flat folder, HDF5 file with imgs and labels, or the word digits."""
    check: bool = False
    """Read every image before training and stop if any is corrupt."""
    skip_corrupt: bool = False
    """Leave corrupt images out, with a report, instead of stopping."""
    channels: int | None = None
    """1 or 3 (gray, colour) for image files; by default 1 if every image is gray, else 3."""
    flip: bool = False
    """Mirror half of the images, chosen anew at each access."""
    workers: int | None = None
    """Processes that decode; by default as many as there are cores, and none for data in memory."""

    def __post_init__(self) -> None:
        if self.channels is not None and self.channels < 1:
            raise UserError(f"--data.channels {self.channels}: must be at least 1")
        if self.workers is not None and self.workers < 0:
            raise UserError(f"--data.workers {self.workers}: must not be negative")
