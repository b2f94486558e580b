"""HDF5 files as BigGAN-PyTorch writes them: ``imgs`` uint8 [N, C, H, W] and ``labels`` [N]."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageArray, ImageSource, SourceKind, SourceNotes, UnreadableImageError
from biggan.data.preparation import fit_array
from biggan.foundation.errors import CorruptFileError, UserError

_CHUNK_CACHE = 64 * 2**20  # bytes; the reference's chunks hold 500 images, which the default of 1 MiB cannot


class Hdf5Kind(SourceKind):
    """An HDF5 file."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path ends like an HDF5 file, or the file begins like one."""
        file = Path(path)
        return file.is_file() and (file.suffix.lower() in (".hdf5", ".h5", ".he5") or h5py.is_hdf5(path))

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: DataConfig) -> ImageSource:
        """Open the file."""
        return Hdf5Images(Path(path), resolution, config)


class Hdf5Images(ImageSource):
    """Images of one HDF5 file; of another size than asked for, they are cropped and resized as files are."""

    def __init__(self, path: Path, resolution: tuple[int, int], config: DataConfig) -> None:
        super().__init__(resolution)
        self.path = path
        self._file: Any = None
        self._process = -1
        try:
            with h5py.File(path, "r") as file:
                self._read_head(file, config)
        except OSError as error:
            raise CorruptFileError(f"--data {path}: not a readable HDF5 file ({error})") from error

    def _read_head(self, file: Any, config: DataConfig) -> None:
        for name in ("imgs", "labels"):
            if name not in file:
                raise UserError(f"--data {self.path}: no '{name}' in it, only {', '.join(file) or 'nothing'}")
        images, labels = file["imgs"], np.asarray(file["labels"][()])
        if images.ndim != 4 or images.dtype != np.uint8:
            raise UserError(f"--data {self.path}: imgs must be uint8 [N, C, H, W], not {images.dtype} {images.shape}")
        if labels.shape != (images.shape[0],) or labels.dtype.kind not in "iu":
            raise UserError(
                f"--data {self.path}: labels must be integers [{images.shape[0]}], not {labels.dtype} {labels.shape}"
            )
        if len(labels) and labels.min() < 0:
            raise UserError(f"--data {self.path}: label {labels.min()} at {labels.argmin()}; classes count from 0")
        self.labels = labels.astype(np.int64)
        self.stored = tuple(int(n) for n in images.shape[1:])
        self.channels = config.channels or self.stored[0]
        classes = int(labels.max()) + 1 if len(labels) else 0
        self.class_names = tuple(map(str, range(classes)))
        if "class_names" in file:
            names = tuple(n.decode() if isinstance(n, bytes) else str(n) for n in file["class_names"][()])
            if len(names) < classes:
                raise UserError(f"--data {self.path}: {len(names)} class_names for {classes} classes")
            self.class_names = names

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
            array = np.asarray(self._images()[index], dtype=np.uint8)
        except OSError as error:
            raise UnreadableImageError(f"{self.path}, image {index}: {error}") from error
        return fit_array(array, self.resolution, self.channels)

    def notes(self) -> SourceNotes:
        """Return what is known about the file."""
        return SourceNotes(
            kind=f"HDF5 file {self.path}",
            sizes={(self.stored[1], self.stored[2]): len(self)},
            modes={f"{self.stored[0]} channels, 8 bits": len(self)},
            examined=len(self),
        )
