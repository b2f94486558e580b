"""A folder of image files: a class is a sub-folder; without sub-folders the images have no classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from biggan.data.checking import refuse_or_leave_out
from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageArray, ImageSource, SourceKind, SourceNotes
from biggan.data.preparation import fit, load_image
from biggan.foundation.errors import UserError

EXTENSIONS = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".gif",
        ".webp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".tga",
        ".jp2",
        ".avif",
    ]
)
LOOK_AT_ALL = 20_000
"""Up to this many files the header of every one is read; beyond, those of an even sample."""
SAMPLE = 2_000
_GRAY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
TINY = 8
"""Images with a side below this are worth a remark."""


class ImageFolderKind(SourceKind):
    """A directory."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path is a directory."""
        return Path(path).is_dir()

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: DataConfig) -> ImageSource:
        """List the files."""
        return ImageFolder(Path(path), resolution, config)


@dataclass(frozen=True)
class Listing:
    """The files of a folder by class."""

    class_names: tuple[str, ...]
    files: tuple[str, ...]
    """Paths relative to the folder, sorted by class, then by path."""
    labels: tuple[int, ...]
    remarks: tuple[str, ...]


class Header(NamedTuple):
    """What the first bytes of an image file say."""

    size: tuple[int, int]
    mode: str
    frames: bool
    gray: bool


class ImageFolder(ImageSource):
    """Image files, decoded and prepared at every access."""

    def __init__(self, root: Path, resolution: tuple[int, int], config: DataConfig) -> None:
        super().__init__(resolution)
        self.root = root
        listing = list_folder(root)
        self.files = np.asarray(listing.files, dtype=object)
        self.labels = np.asarray(listing.labels, dtype=np.int64)
        self.class_names = listing.class_names
        self.remarks = list(listing.remarks)
        self._examine(config)

    def _examine(self, config: DataConfig) -> None:
        """Read headers, decide on the channels, and refuse files that are no images."""
        count = len(self.files)
        chosen = range(count) if count <= LOOK_AT_ALL else np.linspace(0, count - 1, SAMPLE).astype(int).tolist()
        if count > LOOK_AT_ALL:
            self.remarks.append(f"sizes and colour modes were read off {SAMPLE:,} of {count:,} files")
        headers: dict[int, Header] = {}
        corrupt: list[tuple[int, str]] = []
        with ThreadPoolExecutor() as pool:
            for index, result in zip(chosen, pool.map(self._header, chosen), strict=True):
                if isinstance(result, Header):
                    headers[index] = result
                else:
                    corrupt.append((index, result))
        self._sizes = Counter(header.size for header in headers.values())
        self._modes = Counter(header.mode for header in headers.values())
        gray = bool(headers) and all(header.gray for header in headers.values())
        self.channels = config.channels or (1 if gray else 3)
        self._remark_on(headers.values())
        refuse_or_leave_out(self, corrupt, config)

    def _remark_on(self, headers: Iterable[Header]) -> None:
        headers = list(headers)
        animated = sum(header.frames for header in headers)
        if animated:
            self.remarks.append(f"{animated} animated files: the first frame is used")
        tiny = sum(min(header.size) < TINY for header in headers)
        if tiny:
            self.remarks.append(f"{tiny} images have a side below {TINY} pixels")
        height, width = self.resolution
        smaller = sum(header.size[0] < height or header.size[1] < width for header in headers)
        if smaller:
            self.remarks.append(
                f"{smaller} of {len(headers)} images are smaller than {height}x{width} and are enlarged"
            )
        if len(self._modes) > 1:
            listed = ", ".join(f"{count} {mode}" for mode, count in self._modes.most_common())
            self.remarks.append(f"mixed colour modes ({listed}): all become {'gray' if self.channels == 1 else 'RGB'}")

    def _header(self, index: int) -> Header | str:
        try:
            with Image.open(self.root / self.files[index]) as image:
                if image.mode == "F":
                    return "floating-point images have no defined white; convert them to 8 or 16 bits"
                gray = image.mode in _GRAY_MODES or (image.mode == "P" and _gray_palette(image))
                return Header((image.height, image.width), image.mode, bool(getattr(image, "is_animated", False)), gray)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return str(error)

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        return fit(load_image(self.root / self.files[index]), self.resolution, self.channels)

    def name(self, index: int) -> str:
        """Return the path of image ``index``, relative to the folder."""
        return str(self.files[index])

    def leave_out(self, indices: Sequence[int]) -> None:
        """Remove files from the listing."""
        keep = np.ones(len(self.files), dtype=bool)
        keep[list(indices)] = False
        self.files, self.labels = self.files[keep], self.labels[keep]

    def notes(self) -> SourceNotes:
        """Return what the headers say."""
        return SourceNotes(
            kind=f"image folder {self.root}",
            sizes=dict(self._sizes.most_common()),
            modes=dict(self._modes.most_common()),
            examined=sum(self._sizes.values()),
        )


def list_folder(root: Path) -> Listing:
    """Return the images below ``root`` by class.

    Hidden entries are ignored, as are sub-folders without images; both are named in the remarks.

    Raises:
        UserError: the sub-folders are not classes (one that holds sub-folders itself; splits such as train and val).
    """
    remarks: list[str] = []
    entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    hidden = [entry.name for entry in entries if entry.name.startswith(".")]
    folders = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    loose = [entry.name for entry in entries if entry.is_file() and _is_image(entry.name)]
    other = Counter(
        Path(entry.name).suffix.lower() or "no extension"
        for entry in entries
        if entry.is_file() and not entry.name.startswith(".") and not _is_image(entry.name)
    )
    contents = {name: _images_below(root, name, other) for name in folders}
    empty = [name for name, files in contents.items() if not files]
    classes = [name for name in folders if contents[name]]
    if hidden:
        remarks.append(f"ignored hidden: {_some(hidden)}")
    if empty:
        remarks.append(f"ignored without images: {_some(empty)}")
    if other:
        remarks.append("ignored, not image files: " + ", ".join(f"{n} {suffix}" for suffix, n in other.most_common(6)))
    if not classes:
        return Listing((), tuple(loose), (0,) * len(loose), tuple(remarks))
    if loose:
        remarks.append(f"ignored {len(loose)} images beside the class folders, for example {loose[0]}")
    _refuse_wrong_level(root, classes, contents)
    files, labels = [], []
    for label, name in enumerate(classes):
        files += contents[name]
        labels += [label] * len(contents[name])
    return Listing(tuple(classes), tuple(files), tuple(labels), tuple(remarks))


def _refuse_wrong_level(root: Path, classes: list[str], contents: dict[str, list[str]]) -> None:
    """Refuse folders whose sub-folders are not classes: an extra level, or splits."""
    inner: dict[str, set[str]] = {}
    for name in classes:
        parts = [Path(file).parts for file in contents[name]]
        if any(len(p) == 2 for p in parts):  # an image directly inside: it is a class
            return
        inner[name] = {p[1] for p in parts}
    if len(classes) == 1:
        name, below = classes[0], inner[classes[0]]
        raise UserError(
            f"--data {root}: found 1 class ('{name}') that holds {len(below)} sub-folders ({_some(sorted(below))}). "
            f"If those are the classes, use --data {root / name}. If '{name}' really is one class, move its images "
            f"out of the sub-folders into {root / name}."
        )
    shared = set.intersection(*inner.values())
    if shared and len(shared) * 2 >= max(len(names) for names in inner.values()):
        raise UserError(
            f"--data {root}: {_some(classes)} all hold the same sub-folders ({_some(sorted(shared))}); they look like "
            f"splits, not classes. Use one of them, for example --data {root / classes[0]}, or rename the sub-folders."
        )


def _images_below(root: Path, name: str, other: Counter[str]) -> list[str]:
    """Return the images under one class folder, at any depth, relative to ``root``, sorted."""
    found, visited = [], set()
    for directory, subdirectories, files in os.walk(root / name, followlinks=True):
        real = os.path.realpath(directory)
        if real in visited:  # a link that leads back
            subdirectories.clear()
            continue
        visited.add(real)
        subdirectories[:] = sorted(d for d in subdirectories if not d.startswith("."))
        relative = Path(directory).relative_to(root).as_posix()
        for file in files:
            if file.startswith("."):
                continue
            if _is_image(file):
                found.append(f"{relative}/{file}")
            else:
                other[Path(file).suffix.lower() or "no extension"] += 1
    return sorted(found)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS  # noqa: PTH122 - hot


def _gray_palette(image: Image.Image) -> bool:
    palette = np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    return "transparency" not in image.info and bool((palette == palette[:, :1]).all())


def _some(names: Sequence[str], count: int = 5) -> str:
    shown = ", ".join(names[:count])
    return f"{shown} and {len(names) - count} more" if len(names) > count else shown
