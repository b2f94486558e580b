"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) from their own archives, given or downloaded."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind, SourceNotes, file_key
from biggan.data.sources.arrays import StoredArrays
from biggan.foundation.downloads import download
from biggan.foundation.errors import CorruptFileError
from biggan.foundation.plain_pickles import load_plain

SITE = "https://www.cs.toronto.edu/~kriz"
_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE


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
    if path.is_file() and path.name.startswith("cifar-") and path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _EDITIONS["cifar100" if path.name.startswith("cifar-100") else "cifar10"]
    if path.is_dir():
        for edition in _EDITIONS.values():
            files = (*edition.splits["train"], *edition.python_splits["train"])
            known = edition.names_file, "batches.meta", "meta"
            if any((path / name).is_file() for name in known) and any((path / name).is_file() for name in files):
                return edition
    return None


def _read(place: Path, edition: _Edition, split: str) -> tuple[Any, Any, tuple[str, ...]]:
    """Return images uint8 [N, 3, 32, 32], labels int64 [N] and class names."""
    files = _Files(place)
    try:
        if files.has(edition.splits[split][0]):
            raw = b"".join(files.read(name) for name in edition.splits[split])
            record = edition.label_bytes + _PIXELS
            if len(raw) % record:
                raise CorruptFileError(f"--data {place}: {len(raw)} bytes are no whole number of images; get it again")
            rows = np.frombuffer(raw, dtype=np.uint8).reshape(-1, record)
            labels = rows[:, edition.label_bytes - 1].astype(np.int64)
            pixels = rows[:, edition.label_bytes :]
            names = tuple(line.strip() for line in files.read(edition.names_file).decode().splitlines() if line.strip())
        else:
            parts = [load_plain(files.read(name), f"--data {place}, {name}") for name in edition.python_splits[split]]
            pixels = np.concatenate([np.asarray(part[b"data"], dtype=np.uint8) for part in parts])
            labels = np.concatenate([np.asarray(part[edition.python_label.encode()], dtype=np.int64) for part in parts])
            meta = load_plain(files.read("batches.meta" if edition.label_bytes == 1 else "meta"), f"--data {place}")
            key = b"label_names" if edition.label_bytes == 1 else b"fine_label_names"
            names = tuple(name.decode() for name in meta[key])
    except (OSError, EOFError, KeyError, tarfile.TarError, ValueError) as error:
        raise CorruptFileError(f"--data {place}: not a whole CIFAR archive ({error}); get it again") from error
    return np.ascontiguousarray(pixels).reshape(-1, 3, _SIDE, _SIDE), labels, names


class _Files:
    """Files of a folder or tar archive by their last name."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._members: dict[str, bytes] = {}
        if place.is_file():
            try:
                with tarfile.open(place) as archive:
                    for member in archive:
                        content = archive.extractfile(member) if member.isfile() else None
                        if content is not None:
                            self._members[Path(member.name).name] = content.read()
            except (tarfile.TarError, OSError, EOFError) as error:
                raise CorruptFileError(f"--data {place}: not a whole CIFAR archive ({error}); get it again") from error

    def has(self, name: str) -> bool:
        """Tell whether the file is there."""
        return name in self._members or (self.place.is_dir() and (self.place / name).is_file())

    def read(self, name: str) -> bytes:
        """Return its bytes."""
        if name in self._members:
            return self._members[name]
        if not self.place.is_dir():
            raise KeyError(f"no {name} in it")
        return (self.place / name).read_bytes()
