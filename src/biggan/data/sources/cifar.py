"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their own archives, given or downloaded."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from biggan.data.bounds import foreign, is_file, is_folder, most_unpacked
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageArray, ImageSource, Indices, SourceKind, SourceNotes, file_key
from biggan.data.sources.arrays import StoredArrays
from biggan.data.sources.tar_headers import members
from biggan.foundation.downloads import download
from biggan.foundation.errors import CorruptFileError
from biggan.foundation.plain_pickles import load_plain
from biggan.foundation.records import read_bounded

SITE = "https://www.cs.toronto.edu/~kriz"
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE
_LARGEST_FILE = 2**28  # bytes; the largest of both editions has 155 million


@dataclass(frozen=True)
class _Edition:
    """One of the two data sets."""

    archive: str
    """Name of the binary archive, which holds no pickles."""
    md5: str
    splits: dict[str, tuple[str, ...]]
    """Files of each split in the binary archive."""
    python_splits: dict[str, tuple[str, ...]]
    names_file: str
    label_bytes: int
    """Bytes of labels in front of an image; the last one is the label."""
    python_label: str


_EDITIONS = {
    "cifar10": _Edition(
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        splits={
            "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
            "test": ("test_batch.bin",),
        },
        python_splits={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        names_file="batches.meta.txt",
        label_bytes=1,
        python_label="labels",
    ),
    "cifar100": _Edition(
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        splits={"train": ("train.bin",), "test": ("test.bin",)},
        python_splits={"train": ("train",), "test": ("test",)},
        names_file="fine_label_names.txt",
        label_bytes=2,
        python_label="fine_labels",
    ),
}


class CifarKind(SourceKind):
    """The words cifar10 and cifar100 (which are downloaded), or an archive or folder of them; ``:test`` behind any."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether a word was given, or a file or folder of CIFAR's names."""
        name, _ = _split(path)
        return name in _EDITIONS or _edition_of(Path(name)) is not None

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the split into memory (180 MB at most)."""
        name, split = _split(path)
        if name in _EDITIONS:
            edition = _EDITIONS[name]
            place = download(f"{SITE}/{edition.archive}", md5=edition.md5, most=2**28)
        else:
            place, found = Path(name), _edition_of(Path(name))
            assert found is not None
            edition = found
        images, labels, names = _read(place, edition, split)
        return Cifar(place, images, labels, names, resolution, config, split)


class Cifar(StoredArrays):
    """One split, in memory."""

    def __init__(
        self,
        path: Path,
        images: Any,
        labels: Any,
        class_names: tuple[str, ...],
        resolution: tuple[int, int],
        config: ReadingConfig,
        split: str,
    ) -> None:
        super().__init__(path, images, labels, class_names, resolution, config, [], axis=1)
        self.split = split
        word = str(config.path).partition(":")[0]
        if word in _EDITIONS and Path(word).exists():
            self.remarks.append(f"this is the downloaded CIFAR; the folder {word} that lies here is --data ./{word}")

    def notes(self) -> SourceNotes:
        """Return what is known about the split."""
        return SourceNotes(
            kind=f"CIFAR-{len(self.class_names)} {self.split} images, {self.path}",
            sizes={(_SIDE, _SIDE): len(self)},
            modes={"RGB": len(self)},
            examined=len(self),
        )

    def key(self) -> str:
        """Return a key of the archive (or of the files of the folder) and the split."""
        files = sorted(p for p in self.path.iterdir() if p.is_file()) if self.path.is_dir() else [self.path]
        return f"{file_key(*files)}-{self.split}"


def _split(path: str) -> tuple[str, str]:
    name, separator, split = path.rpartition(":")
    return (name, split) if separator and split in ("train", "test") else (path, "train")


def _edition_of(path: Path) -> _Edition | None:
    if is_file(path) and path.name.startswith("cifar-") and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _EDITIONS["cifar100" if path.name.startswith("cifar-100") else "cifar10"]
    if is_folder(path):
        for edition in _EDITIONS.values():
            files = (*edition.splits["train"], *edition.python_splits["train"])
            known = edition.names_file, "batches.meta", "meta"
            if any(is_file(path / name) for name in known) and any(is_file(path / name) for name in files):
                return edition
    return None


def _read(place: Path, edition: _Edition, split: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Return images uint8 [N, 3, 32, 32], labels int64 [N] and class names."""
    where = f"--data {place}"
    binary, pickled = edition.splits[split], edition.python_splits[split]
    metas = (edition.names_file, "batches.meta" if edition.label_bytes == 1 else "meta")
    with foreign(where, "not a whole CIFAR archive; get it again"):
        if place.is_dir():
            found = _of_folder(place, (*binary, *pickled, *metas))
        else:
            found = _of_archive(place, (*binary, *pickled, *metas))
        missing = [name for name in (*(binary if binary[0] in found else pickled),) if name not in found]
        if missing:
            raise CorruptFileError(f"{where}: not a whole CIFAR archive (no {missing[0]} in it); get it again")
        if binary[0] in found:
            pixels, labels, names = _of_records([found[name] for name in binary], found[metas[0]], edition, where)
        else:
            parts = [(load_plain(found[name], f"{where}, {name}"), f"{where}, {name}") for name in pickled]
            pixels = np.concatenate([_pixels(part, title) for part, title in parts])
            labels = np.concatenate([_labels(part, edition.python_label, title) for part, title in parts])
            key = b"label_names" if edition.label_bytes == 1 else b"fine_label_names"
            names = tuple(name.decode() for name in load_plain(found[metas[1]], f"{where}, {metas[1]}")[key])
    return np.ascontiguousarray(pixels).reshape(-1, 3, _SIDE, _SIDE), labels, names


def _of_records(
    parts: list[bytes], names: bytes, edition: _Edition, where: str
) -> tuple[ImageArray, Indices, tuple[str, ...]]:
    """Return pixels, labels and class names of the binary edition."""
    raw = b"".join(parts)
    record = edition.label_bytes + _PIXELS
    if len(raw) % record:
        raise CorruptFileError(f"{where}: {len(raw)} bytes are no whole number of images; get it again")
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(-1, record)
    listed = tuple(line.strip() for line in names.decode().splitlines() if line.strip())
    return rows[:, edition.label_bytes :], rows[:, edition.label_bytes - 1].astype(np.int64), listed


def _pixels(part: Any, where: str) -> ImageArray:
    """Return the pixels of a pickled part, uint8 [N, 3072]."""
    found = part[b"data"]
    if not isinstance(found, np.ndarray) or found.dtype != np.uint8 or found.shape[1:] != (_PIXELS,):
        raise CorruptFileError(f"{where}: its images are no bytes [N, {_PIXELS}]; get it again")
    return found


def _labels(part: Any, key: str, where: str) -> Indices:
    """Return the labels of a pickled part, int64 [N]."""
    found = part[key.encode()]
    whole = isinstance(found, list) and all(type(label) is int and 0 <= label < 256 for label in found)
    if not whole or len(found) != len(part[b"data"]):
        raise CorruptFileError(f"{where}: its labels are no list of numbers, one an image; get it again")
    return np.asarray(found, dtype=np.int64)


def _of_folder(place: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """Return those of the files that are there."""
    return {name: read_bounded(place / name, _LARGEST_FILE) for name in wanted if is_file(place / name)}


def _of_archive(place: Path, wanted: tuple[str, ...]) -> dict[str, bytes]:
    """Return those of the members that are there, by their last name; the archive is read as a stream."""
    where, stored = f"--data {place}", place.stat().st_size
    found: dict[str, bytes] = {}
    with place.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(IO[bytes], gzip.GzipFile(fileobj=file) if packed else file)
        for member in members(stream, where, most_unpacked(stored) if packed else stored):
            name = member.name.rpartition("/")[2]
            if name in wanted:
                if name in found or member.size > _LARGEST_FILE:
                    raise CorruptFileError(f"{where}: {member.name} is there twice, or too large; get it again")
                found[name] = stream.read(member.size)
    return found
