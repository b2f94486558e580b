"""NumPy files: ``.npy`` of images with labels beside, ``.npz`` of both."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biggan.data.bounds import MOST_DECODED, foreign, is_file
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import (
    ImageArray,
    ImageSource,
    Indices,
    SourceKind,
    SourceNotes,
    encoded_names,
    file_key,
)
from biggan.data.preparation.decoding import scaled_to_bytes
from biggan.data.preparation.fitting import fit_array, preparation
from biggan.data.sources.array_files import Archive, mapped_array, whole_array
from biggan.data.sources.label_file import refuse_sparse
from biggan.foundation.errors import UserError

_IMAGES = ("x", "images", "imgs", "x_train", "data", "arr_0")
_LABELS = ("y", "labels", "y_train", "arr_1")
_SHOWN = 20
_LARGE = 2 * 2**30  # bytes of a compressed array, beyond which a remark says what it costs


class ArraysKind(SourceKind):
    """A .npy or .npz file."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell by the extension."""
        return is_file(path) and Path(path).suffix.lower() in (".npy", ".npz")

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read labels and shapes; images are mapped into memory where they are not compressed."""
        file = Path(path)
        remarks: list[str] = []
        if file.suffix.lower() == ".npy":
            images = mapped_array(file, f"--data {path}")
            labels, names = _labels_beside(file, remarks), None
        else:
            images, labels, names = _read_npz(file, remarks)
        return StoredArrays(file, images, labels, names, resolution, config, remarks)


class StoredArrays(ImageSource):
    """Images of one size in one array, by class and then as stored.

    Those that are not compressed are mapped into memory: all processes of a machine share one copy.
    """

    def __init__(
        self,
        path: Path,
        images: npt.NDArray[Any],
        labels: npt.NDArray[Any] | None,
        class_names: tuple[str, ...] | None,
        resolution: tuple[int, int],
        config: ReadingConfig,
        remarks: list[str],
        axis: int | None = None,
    ) -> None:
        super().__init__(resolution)
        self.path, self.remarks = path, remarks
        self.images, axis = _with_channels(images, path) if axis is None else (images, axis)
        self.channels_last = axis == 3
        count = len(images)
        self.labels, self.class_names = check_labels(path, labels, class_names, count)
        self.order = np.argsort(self.labels, kind="stable")
        self.labels = self.labels[self.order]
        shape = self.images.shape
        self.stored = (shape[3], shape[1], shape[2]) if self.channels_last else shape[1:]
        self.channels = config.channels or self.stored[0]
        self.preparation = preparation(config, resolution, self.channels)
        self.in_memory = self.stored == (self.channels, *resolution)

    def __getstate__(self) -> dict[str, Any]:
        # A map travels as the place where it lies, not as its pixels.
        state = dict(self.__dict__)
        if isinstance(self.images, np.memmap):
            array = self.images
            state["images"] = (array.filename, array.dtype.str, array.offset, array.shape)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if isinstance(state["images"], tuple):
            name, kind, offset, shape = state["images"]
            self.images = np.memmap(name, dtype=kind, mode="r", offset=offset, shape=shape)

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        array = _eight_bits(np.asarray(self.images[self.order[index]]))
        if self.channels_last:
            array = np.ascontiguousarray(array.transpose(2, 0, 1))
        return np.asarray(fit_array(array, self.preparation))

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W], gathered at once if they have the right size."""
        if not self.in_memory:
            return super().read_many(indices)
        found = _eight_bits(np.take(np.asarray(self.images), self.order[indices], axis=0))
        return np.ascontiguousarray(found.transpose(0, 3, 1, 2)) if self.channels_last else found

    def notes(self) -> SourceNotes:
        """Return what is known about the file."""
        return SourceNotes(
            kind=f"NumPy file {self.path}",
            sizes={(self.stored[1], self.stored[2]): len(self)},
            modes={f"{self.stored[0]} channels, {self.images.dtype.itemsize * 8} bits": len(self)},
            examined=len(self),
        )

    def key(self) -> str:
        """Return a key of the file, and of the labels, which may lie beside it."""
        key = hashlib.sha256(file_key(self.path).encode())
        key.update(self.labels.tobytes() + self.order.tobytes())
        key.update(encoded_names(self.class_names))
        return key.hexdigest()


def check_labels(
    path: Path, labels: npt.NDArray[Any] | None, class_names: tuple[str, ...] | None, count: int
) -> tuple[Indices, tuple[str, ...]]:
    """Return labels int64 [N] and class names, checked.

    Raises:
        UserError: labels that are not one class index an image, or fewer names than classes.
    """
    if labels is None:
        return np.zeros(count, dtype=np.int64), ()
    if labels.ndim == 2 and labels.shape == (count, 1):
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise UserError(f"--data {path}: labels must be integers [{count}], not {labels.dtype} {labels.shape}")
    if count and labels.min() < 0:
        raise UserError(f"--data {path}: label {labels.min()} at {labels.argmin()}; classes count from 0")
    classes = int(labels.max()) + 1 if count else 0
    refuse_sparse(str(path), classes, count)
    if class_names and len(set(class_names)) < len(class_names):
        double = next(name for name in class_names if class_names.count(name) > 1)
        raise UserError(f"--data {path}: two classes are called '{double}'; give them different names")
    if class_names and len(class_names) < classes:
        raise UserError(f"--data {path}: {len(class_names)} class_names for {classes} classes")
    return labels.astype(np.int64), class_names or tuple(map(str, range(classes)))


def _with_channels(images: npt.NDArray[Any], path: Path) -> tuple[npt.NDArray[Any], int]:
    """Return images with an axis of channels, and which one it is.

    Raises:
        UserError: not images of 8 or 16 bits, or an axis of channels that cannot be told.
    """
    if images.dtype.kind != "u" or images.dtype.itemsize > 2:
        raise UserError(
            f"--data {path}: images must be uint8 (or uint16), not {images.dtype}; scale them to 0..255 first"
        )
    if images.ndim in (3, 4) and len(images) and not 0 < images[0].nbytes <= MOST_DECODED:
        raise UserError(f"--data {path}: an image of {images.shape[1:]} has {images[0].nbytes:,} bytes, which is none")
    if images.ndim == 3:
        return images[:, None], 1
    if images.ndim != 4:
        raise UserError(f"--data {path}: images must be [N, C, H, W], [N, H, W, C] or [N, H, W], not {images.shape}")
    _, first, second, third = images.shape
    if first < min(second, third):
        return images, 1
    if third < min(first, second):
        return images, 3
    raise UserError(f"--data {path}: which axis of {images.shape} holds the channels? Store it as [N, C, H, W]")


def _eight_bits(array: npt.NDArray[Any]) -> ImageArray:
    """Scale 16 bits to 8 with rounding: 65535 becomes 255."""
    return scaled_to_bytes(array) if array.dtype.itemsize == 2 else array


def _labels_beside(file: Path, remarks: list[str]) -> npt.NDArray[Any] | None:
    """Return the labels that lie beside a .npy file: ``<stem>_labels.npy``, or ``labels.npy``."""
    for candidate in (file.with_name(f"{file.stem}_labels.npy"), file.with_name("labels.npy")):
        if is_file(candidate):
            remarks.append(f"labels from {candidate.name}")
            return whole_array(candidate, f"--data {candidate}")
    remarks.append(f"no labels: neither {file.stem}_labels.npy nor labels.npy lies beside it")
    return None


def _read_npz(
    file: Path, remarks: list[str]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any] | None, tuple[str, ...] | None]:
    with Archive(file, f"--data {file}") as archive:
        images = next((name for name in _IMAGES if name in archive.names), None)
        labels = next((name for name in _LABELS if name in archive.names), None)
        if images is None:
            known = ", ".join(archive.names[:_SHOWN])
            raise UserError(f"--data {file}: no images in it (one of {', '.join(_IMAGES)}), only {known or 'nothing'}")
        names = _class_names(archive) if "class_names" in archive.names else None
        found = archive.read(labels) if labels else None
        values = archive.mapped(images)
        if values is None:
            values = archive.read(images)
            if values.nbytes > _LARGE:
                remarks.append("the images are compressed and are held in memory by every process; pack them to share")
    if labels is None:
        remarks.append(f"no labels in it (one of {', '.join(_LABELS)})")
    return values, found, names


def _class_names(archive: Archive) -> tuple[str, ...]:
    found = archive.read("class_names")
    if found.ndim > 1:
        raise UserError(f"{archive.where}: class_names must be a list, not {found.shape}")
    with foreign(archive.where, "class_names are no text"):
        return tuple(n.decode() if isinstance(n, bytes) else str(n) for n in np.atleast_1d(found).tolist())
