"""What every source of labelled images offers, and how one is chosen by looking at a path."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biggan.data.configuration import DataConfig
from biggan.foundation.errors import UserError
from biggan.foundation.registry import Registry

ImageArray = npt.NDArray[np.uint8]


class UnreadableImageError(UserError):
    """One image that cannot be used; the message names it and says why."""


@dataclass(frozen=True, kw_only=True)
class SourceNotes:
    """What a source found out about itself, for the data card."""

    kind: str
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)
    """(height, width) of the images as they lie there -> how many."""
    modes: dict[str, int] = field(default_factory=dict)
    """Colour mode -> how many."""
    examined: int = 0
    """How many images the two above were read off."""


class ImageSource(ABC):
    """Labelled images of one size, in a fixed order (by class name, then by path, where there are files)."""

    def __init__(self, resolution: tuple[int, int]) -> None:
        self.resolution = resolution
        self.channels = 3
        self.class_names: tuple[str, ...] = ()
        """Names by class index; empty if the images have no classes."""
        self.labels: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        """Class index of every image, int64 [N]; zeros without classes."""
        self.in_memory = False
        """Whether reading is so cheap that worker processes would only cost."""
        self.remarks: list[str] = []
        """Sentences for the user: what was ignored, converted, or looks odd."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def read(self, index: int) -> ImageArray:
        """Return image ``index`` at the source's size, uint8 [C, H, W].

        Raises:
            UnreadableImageError: it is corrupt.
        """

    @abstractmethod
    def notes(self) -> SourceNotes:
        """Return what is known about the images as they lie there."""

    def name(self, index: int) -> str:
        """Return how a person finds image ``index``."""
        return f"image {index}"

    def substitute(self, index: int) -> int:
        """Return the image that takes the place of an unreadable one: the next of the same class."""
        label = self.labels[index]
        for step in range(1, len(self)):
            other = (index + step) % len(self)
            if self.labels[other] == label:
                return other
        return (index + 1) % len(self)

    def leave_out(self, indices: Sequence[int]) -> None:
        """Remove images from the listing; called before training only."""
        raise UserError(f"{type(self).__name__} cannot leave out {len(indices)} corrupt images; repair the file")

    def class_counts(self) -> npt.NDArray[np.int64]:
        """Return the number of images of each class, int64 [K]; [N] of one entry without classes."""
        return np.bincount(self.labels, minlength=max(len(self.class_names), 1)).astype(np.int64)


class SourceKind(ABC):
    """How one kind of source is recognised and opened."""

    @staticmethod
    @abstractmethod
    def matches(path: str) -> bool:
        """Tell whether ``path`` is of this kind."""

    @staticmethod
    @abstractmethod
    def open(path: str, resolution: tuple[int, int], config: DataConfig) -> ImageSource:
        """Open it.

        Raises:
            UserError: what is there cannot be used; the message says why and what to do.
        """


SOURCES: Registry[type[SourceKind]] = Registry(
    "data source",
    {
        "digits": "biggan.data.digits:DigitsKind",
        "hdf5": "biggan.data.hdf5:Hdf5Kind",
        "folder": "biggan.data.image_folder:ImageFolderKind",
    },
)


def open_source(config: DataConfig, resolution: tuple[int, int]) -> ImageSource:
    """Return the source that ``config.path`` names, its images ``resolution`` = (height, width) large.

    Raises:
        UserError: no path, nothing there, or nothing that any kind of source recognises.
    """
    if config.path is None:
        raise UserError("this preset has no data of its own: say where your images are with --data PATH")
    for name in SOURCES:
        if SOURCES[name].matches(config.path):
            source = SOURCES[name].open(config.path, resolution, config)
            if not len(source):
                raise UserError(f"--data {config.path}: no images found")
            return source
    if not Path(config.path).exists():
        raise UserError(f"--data {config.path}: there is nothing at this path (looked from {Path.cwd()})")
    raise UserError(f"--data {config.path}: not a folder of images, not an HDF5 file, not one of {', '.join(SOURCES)}")
