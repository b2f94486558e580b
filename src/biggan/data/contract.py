"""What every source of labelled images offers, and how one is chosen by looking at a path."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biggan.data.bounds import is_there
from biggan.data.configuration import ReadingConfig
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.registry import Registry

ImageArray = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]
_LONGEST_NAME = 1024  # characters of a class name


class UnreadableImageError(CorruptFileError):
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
    photographs: bool = True
    """Whether a network that was trained on photographs can judge them."""


class ImageSource(ABC):
    """Labelled images of one size, in a fixed order: by class, then by path (or as stored, where there is none)."""

    def __init__(self, resolution: tuple[int, int]) -> None:
        self.resolution = resolution
        self.channels = 3
        self.class_names: tuple[str, ...] = ()
        """Names by class index; empty if the images have no classes."""
        self.labels: Indices = np.zeros(0, dtype=np.int64)
        """Class index of every image, int64 [N]; zeros without classes."""
        self.in_memory = False
        """Whether reading is so cheap that worker processes would only cost."""
        self.left_out: tuple[tuple[str, str], ...] = ()
        """(name, reason) of corrupt images that were left out when it was opened."""
        self.remarks: list[str] = []
        """Sentences for the user: what was ignored, converted, or looks odd."""
        self.enlarged = 0
        """How many of the images that were examined are smaller than ``resolution``, and so enlarged."""
        self.shards: Indices | None = None
        """Which shard every image lies in, int64 [N], where reading across shards is dear."""
        self.parts: Indices | None = None
        """Which of several mixed data sets every image comes from, int64 [N]."""
        self.part_weights: tuple[float, ...] = ()
        """How often each of them is shown; empty: as often as it has images."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def read(self, index: int) -> ImageArray:
        """Return image ``index`` at the source's size, uint8 [C, H, W].

        Raises:
            UnreadableImageError: it is corrupt.
        """

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W]; a source that can do so faster than one by one does.

        Raises:
            UnreadableImageError: one of them is corrupt.
        """
        return np.stack([self.read(int(index)) for index in indices])

    @abstractmethod
    def notes(self) -> SourceNotes:
        """Return what is known about the images as they lie there."""

    @abstractmethod
    def key(self) -> str:
        """Return a hash that changes when the images or labels change, as hexadecimal digits.

        It covers path, size and time of change of files, or the content of packed data; not how images are prepared.
        """

    def name(self, index: int) -> str:
        """Return how a person finds image ``index``."""
        return f"image {index}"

    def encoded(self, index: int) -> bytes:
        """Return image ``index`` as it is stored, for telling whether two are the same."""
        return self.read(index).tobytes()

    def read_encoded(self, index: int) -> tuple[ImageArray, bytes]:
        """Return image ``index`` both as :meth:`read` and as :meth:`encoded` do, fetched once where that saves time."""
        return self.read(index), self.encoded(index)

    def substitutes(self, index: int) -> Iterator[int]:
        """Yield images that may take the place of an unreadable one: the next of its class, then any."""
        following = (index + np.arange(1, len(self))) % len(self)
        same = self.labels[following] == self.labels[index]
        yield from map(int, following[same])
        yield from map(int, following[~same])

    def class_counts(self) -> Indices:
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
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Open it.

        Raises:
            UserError: what is there cannot be used; the message says why and what to do.
        """


SOURCES: Registry[type[SourceKind]] = Registry(
    "data source",
    {
        # The first that matches is taken; a folder of images is what a directory is if it is nothing else.
        "digits": "biggan.data.sources.digits:DigitsKind",
        "cifar": "biggan.data.sources.cifar:CifarKind",
        "hub": "biggan.data.sources.hub:HubKind",
        "shards": "biggan.data.sources.shards:ShardsKind",
        "hdf5": "biggan.data.sources.hdf5:Hdf5Kind",
        "arrays": "biggan.data.sources.arrays:ArraysKind",
        "stylegan": "biggan.data.sources.stylegan:StyleganKind",
        "labels": "biggan.data.sources.label_file:LabelFileKind",
        "folder": "biggan.data.sources.image_folder:ImageFolderKind",
    },
)


def open_one(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
    """Return the source at ``path``, as it is: no classes selected, nothing mixed in.

    Raises:
        UserError: nothing there, nothing that any kind of source recognises, or names that are no text.
    """
    from biggan.data.preparation.enlarging import note_enlarging

    if not path.strip():
        raise UserError(
            "--data '': say where your images are, for example --data flowers/ (or --data . for this folder)"
        )
    for name in SOURCES:
        if SOURCES[name].matches(path):
            source = SOURCES[name].open(path, resolution, config)
            if not len(source):
                said = "".join(f"\n{remark}" for remark in source.remarks)
                raise UserError(
                    f"--data {path}: no images found; image files are wanted (.jpg, .png, .webp ...), best in a "
                    f"sub-folder for each class{said}"
                )
            _refuse_odd_names(path, source.class_names)
            note_enlarging(source, config)
            return source
    if path.startswith(("http://", "https://")):
        from biggan.foundation.downloads import download

        return open_one(str(download(path)), resolution, config)
    if not is_there(path):
        raise UserError(f"--data {path}: there is nothing at this path (looked from {Path.cwd()})")
    raise UserError(
        f"--data {path}: not a kind of data that is known. Give the folder of the images, not one of them; a table of "
        "labels (.csv, .json), .zip, .hdf5, .npz, .npy or .tar"
    )


def _refuse_odd_names(path: str, names: tuple[str, ...]) -> None:
    """Check that class names can be shown, and stand in a line and in a snapshot.

    Raises:
        UserError: one is empty, too long, or holds what commands a terminal.
    """
    odd = next((name for name in names if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME), None)
    if odd is not None:
        raise UserError(f"--data {path}: class {odd[:80]!r} has a name that is no readable text; rename it")


def encoded_names(names: Iterable[str]) -> bytes:
    """Return names as bytes for a hash, whatever characters the file system let them have."""
    return "\0".join(names).encode("utf-8", "surrogateescape")


def file_key(*paths: Path) -> str:
    """Return a key of files that are too large to be read for it: by name, size and time of change."""
    key = hashlib.sha256()
    for path in paths:
        status = path.stat()
        key.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return key.hexdigest()
