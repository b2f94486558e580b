"""HDF5 files of ``imgs`` uint8 [N, C, H, W] and ``labels`` [N], as BigGAN-PyTorch and ``biggan data prepare`` write."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageArray, ImageSource, SourceKind, SourceNotes, UnreadableImageError, file_key
from biggan.data.preparation.fitting import fit_array, preparation
from biggan.data.sources.arrays import StoredArrays, check_labels
from biggan.foundation.errors import CorruptFileError, UserError

CONTENT_HASH = "content_hash"
HASH_BYTES = 16
_VERIFIED = 32  # images of a packed file that are compared with their hashes when it is opened
_CHUNK_CACHE = 64 * 2**20  # bytes; the reference's chunks hold 500 images, which the default of 1 MiB cannot


class Hdf5Kind(SourceKind):
    """An HDF5 file."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path ends like an HDF5 file, or the file begins like one."""
        file = Path(path)
        return file.is_file() and (file.suffix.lower() in (".hdf5", ".h5", ".he5") or h5py.is_hdf5(path))

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Open the file; one whose pixels lie in one piece is mapped into memory, past the HDF5 library."""
        try:
            with h5py.File(path, "r") as file:
                images, labels, names = _read_head(file, Path(path))
                hashes = file["pixel_hashes"][()] if "pixel_hashes" in file else None
                offset = images.id.get_offset() if images.chunks is None and images.external is None else None
                if offset is None or not len(images):
                    return ChunkedImages(Path(path), images, labels, names, resolution, config)
                shape = images.shape
        except OSError as error:
            raise CorruptFileError(f"--data {path}: not a readable HDF5 file ({error})") from error
        if Path(path).stat().st_size < offset + int(np.prod(shape)):
            raise CorruptFileError(f"--data {path}: the file ends before its images do; make or copy it again")
        mapped = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=shape)
        return PackedImages(Path(path), mapped, labels, names, resolution, config, hashes)


class PackedImages(StoredArrays):
    """Images in one piece, mapped into memory."""

    def __init__(
        self,
        path: Path,
        images: Any,
        labels: Any,
        class_names: tuple[str, ...] | None,
        resolution: tuple[int, int],
        config: ReadingConfig,
        pixel_hashes: Any,
    ) -> None:
        super().__init__(path, images, labels, class_names, resolution, config, [], axis=1)
        self._pixel_hashes = pixel_hashes
        if pixel_hashes is not None:
            self._verify()

    def _verify(self) -> None:
        """Compare some images with the hashes that were stored when they were packed.

        Raises:
            CorruptFileError: they were changed since, or never arrived whole.
        """
        for place in np.linspace(0, len(self.images) - 1, min(_VERIFIED, len(self.images))).astype(int):
            if image_hash(self.images[place].tobytes()) != self._pixel_hashes[place].tobytes():
                raise CorruptFileError(
                    f"--data {self.path}: image {place} is not the one that was packed (its hash differs); the file "
                    "was changed or copied in part. Pack it again."
                )

    def notes(self) -> SourceNotes:
        """Return what is known about the file."""
        return _notes(self.path, self.stored, len(self))

    def key(self) -> str:
        """Return a hash of the content, by the hashes that were stored with every image, else a key of the file."""
        if self._pixel_hashes is None:
            return super().key()
        stored = np.empty_like(self.labels)
        stored[self.order] = self.labels
        return content_hash(self._pixel_hashes, stored, self.class_names, list(self.images.shape[1:]))


def image_hash(data: bytes) -> bytes:
    """Return the hash of an image's bytes that packed files hold."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


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

    def __init__(
        self,
        path: Path,
        images: Any,
        labels: Any,
        class_names: tuple[str, ...] | None,
        resolution: tuple[int, int],
        config: ReadingConfig,
    ) -> None:
        super().__init__(resolution)
        self.path = path
        self._file: Any = None
        self._process = -1
        self.labels, self.class_names = check_labels(path, labels, class_names, len(images))
        self.order = np.argsort(self.labels, kind="stable")
        self.labels = self.labels[self.order]
        self.stored = tuple(int(n) for n in images.shape[1:])
        self.channels = config.channels or self.stored[0]
        self.preparation = preparation(config, resolution, self.channels)

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot travel to a worker process; each opens its own.
        return {**self.__dict__, "_file": None, "_process": -1}

    def _images(self) -> Any:
        if self._process != os.getpid():
            self._file = h5py.File(self.path, "r", rdcc_nbytes=_CHUNK_CACHE)
            self._process = os.getpid()
        return self._file["imgs"]

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        try:
            array = np.asarray(self._images()[self.order[index]], dtype=np.uint8)
        except OSError as error:
            raise UnreadableImageError(f"{self.path}, image {index}: {error}") from error
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


def _read_head(file: Any, path: Path) -> tuple[Any, Any, tuple[str, ...] | None]:
    """Return the data set of images, the labels, and the class names if there are any."""
    for name in ("imgs", "labels"):
        if name not in file:
            raise UserError(f"--data {path}: no '{name}' in it, only {', '.join(file) or 'nothing'}")
    if not all(isinstance(file[name], h5py.Dataset) for name in ("imgs", "labels")):
        raise UserError(f"--data {path}: imgs and labels must be data sets, not groups")
    images, labels = file["imgs"], np.asarray(file["labels"][()])
    if images.ndim != 4 or images.dtype != np.uint8:
        raise UserError(f"--data {path}: imgs must be uint8 [N, C, H, W], not {images.dtype} {images.shape}")
    names = None
    if "class_names" in file:
        try:
            names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in file["class_names"][()])
        except (UnicodeDecodeError, TypeError) as error:
            raise UserError(f"--data {path}: class_names must be UTF-8 strings ({error})") from error
        if not names:  # packed without classes
            return images, None, None
    return images, labels, names
