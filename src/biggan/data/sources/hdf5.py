"""HDF5 files of ``imgs`` uint8 [N, C, H, W] and ``labels`` [N], as BigGAN-PyTorch and ``biggan data prepare`` write."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import xxhash

from biggan.data.bounds import foreign, is_file
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import (
    ImageArray,
    ImageSource,
    Indices,
    SourceKind,
    SourceNotes,
    UnreadableImageError,
    file_key,
)
from biggan.data.preparation.fitting import fit_array, preparation
from biggan.data.sources.arrays import StoredArrays, check_labels
from biggan.data.sources.hdf5_files import FORMATS, HASH_BYTES, Head, images_of, open_file, read_head
from biggan.foundation.errors import CorruptFileError

_VERIFIED = 32  # images of a packed file that are compared with their hashes when it is opened


class Hdf5Kind(SourceKind):
    """An HDF5 file."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path ends like an HDF5 file, or the file begins like one."""
        return is_file(path) and (Path(path).suffix.lower() in (".hdf5", ".h5", ".he5") or bool(h5py.is_hdf5(path)))

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Open the file; one whose pixels lie in one piece is mapped into memory, past the HDF5 library."""
        file = Path(path)
        head = read_head(file)
        if head.content_hash:
            stored = content_hash(pixel_hashes(head), head.labels, head.class_names or (), list(head.shape[1:]))
            if stored != head.content_hash:
                raise CorruptFileError(
                    f"--data {path}: labels, class names or hashes are not those that were packed; the file was "
                    "changed or copied in part. Pack it again."
                )
        if head.offset is None or not math.prod(head.shape):
            return ChunkedImages(file, head, resolution, config)
        return PackedImages(file, head, resolution, config)


class PackedImages(StoredArrays):
    """Images in one piece, mapped into memory. Those that have a hash are compared with it at their first reading."""

    def __init__(self, path: Path, head: Head, resolution: tuple[int, int], config: ReadingConfig) -> None:
        with foreign(f"--data {path}", "its images cannot be mapped into memory"):
            mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=head.offset or 0, shape=head.shape)
        labels = head.labels if head.class_names != () else None  # packed without classes
        super().__init__(path, mapped, labels, head.class_names, resolution, config, [], axis=1)
        self._pixel_hashes, self._content_hash = head.pixel_hashes, head.content_hash
        self._fast = head.packed != FORMATS[0]
        self._verified = np.zeros(0 if head.pixel_hashes is None else len(mapped), dtype=bool)
        if head.pixel_hashes is not None:
            self._verify(np.linspace(0, len(mapped) - 1, min(_VERIFIED, len(mapped))).astype(np.int64))

    def __getstate__(self) -> dict[str, Any]:
        # Another process reads the file anew, and verifies it anew.
        return {**super().__getstate__(), "_verified": len(self._verified)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_verified": np.zeros(state["_verified"], dtype=bool)})

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W].

        Raises:
            UnreadableImageError: it is not the one that was packed.
        """
        self._verify(self.order[index : index + 1])
        return super().read(index)

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W], gathered at once if they have the right size.

        Raises:
            UnreadableImageError: one is not the one that was packed.
        """
        if self.in_memory:
            self._verify(self.order[indices])
        return super().read_many(indices)

    def _verify(self, places: Indices) -> None:
        """Compare images with the hashes that were stored when they were packed, once in a process.

        Raises:
            UnreadableImageError: they were changed since, or never arrived whole.
        """
        if self._pixel_hashes is None or self._verified[places].all():
            return
        plain = np.asarray(self.images)  # a map's own indexing takes longer than the hash
        hash_of = image_hash if self._fast else first_image_hash
        for place in places[~self._verified[places]].tolist():
            if hash_of(plain[place]) != self._pixel_hashes[place].tobytes():
                raise UnreadableImageError(
                    f"--data {self.path}: image {place} is not the one that was packed (its hash differs); the file "
                    "was changed or copied in part. Pack it again."
                )
        self._verified[places] = True

    def notes(self) -> SourceNotes:
        """Return what is known about the file."""
        return _notes(self.path, self.stored, len(self))

    def key(self) -> str:
        """Return the hash of the content, which was verified at opening; else a key of the file."""
        if self._content_hash or self._pixel_hashes is None:
            return self._content_hash or super().key()
        stored = np.empty_like(self.labels)
        stored[self.order] = self.labels
        return content_hash(self._pixel_hashes, stored, self.class_names, list(self.images.shape[1:]))


def image_hash(data: Any) -> bytes:
    """Return the hash of an image's bytes that packed files hold: XXH3, which finds damage faster than it is read."""
    return xxhash.xxh3_128_digest(data)


def first_image_hash(data: Any) -> bytes:
    """Return the hash of an image's bytes that files of the first format hold."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def pixel_hashes(head: Head) -> npt.NDArray[np.uint8]:
    """Return the hashes of a packed file's images."""
    assert head.pixel_hashes is not None
    return head.pixel_hashes


def content_hash(
    pixel_hashes: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], names: tuple[str, ...], shape: list[int]
) -> str:
    """Return the key of packed data: SHA-256 over hashes of the pixels, labels, class names and shape."""
    key = hashlib.sha256(np.ascontiguousarray(pixel_hashes).tobytes())
    key.update(np.ascontiguousarray(labels, dtype="<i8").tobytes())
    key.update(json.dumps([list(names), [int(n) for n in shape]]).encode())
    return key.hexdigest()


class ChunkedImages(ImageSource):
    """Images in chunks, read through the HDF5 library, by class and then as stored."""

    def __init__(self, path: Path, head: Head, resolution: tuple[int, int], config: ReadingConfig) -> None:
        super().__init__(resolution)
        self.path, self._shape = path, head.shape
        self._file: Any = None
        self._images: Any = None
        self._process = -1
        labels = head.labels if head.class_names != () else None
        self.labels, self.class_names = check_labels(path, labels, head.class_names, head.shape[0])
        self.order = np.argsort(self.labels, kind="stable")
        self.labels = self.labels[self.order]
        self.stored = head.shape[1:]
        self.channels = config.channels or self.stored[0]
        self.preparation = preparation(config, resolution, self.channels)

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot travel to a worker process; each opens its own.
        return {**self.__dict__, "_file": None, "_images": None, "_process": -1}

    def _opened(self) -> Any:
        if self._process != os.getpid():
            self._file = open_file(self.path)
            self._images = images_of(self._file, self.path)
            if self._images.shape != self._shape:
                raise CorruptFileError(f"--data {self.path}: another file lies there now; start again")
            self._process = os.getpid()
        return self._images

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W].

        Raises:
            UnreadableImageError: its chunk is damaged.
        """
        with foreign(f"{self.path}, image {index}", "cannot be read", UnreadableImageError):
            array = np.asarray(self._opened()[self.order[index]], dtype=np.uint8)
        return fit_array(array, self.preparation)

    def notes(self) -> SourceNotes:
        """Return what is known about the file."""
        return _notes(self.path, self.stored, len(self))

    def key(self) -> str:
        """Return a key of the file."""
        return file_key(self.path)


def _notes(path: Path, stored: tuple[int, ...], count: int) -> SourceNotes:
    channels, height, width = stored
    return SourceNotes(
        kind=f"HDF5 file {path}",
        sizes={(height, width): count},
        modes={f"{channels} channels, 8 bits": count},
        examined=count,
    )
