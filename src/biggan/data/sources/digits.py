"""Real handwritten digits that ship with scikit-learn: 1,797 images of 8x8 pixels (Alpaydin and Kaynak 1998)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageArray, ImageSource, Indices, SourceKind, SourceNotes
from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes

SIDE = 8
_LARGEST = 4 * 2**30  # bytes of all digits in memory
LEVELS = 16  # gray levels run from 0 to 16


class DigitsKind(SourceKind):
    """The word ``digits``."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the word was given."""
        return path == "digits"

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Open the digits."""
        return Digits(resolution, config)


class Digits(ImageSource):
    """White digits on black, every pixel repeated, so that averages over equal cells are the original pixels."""

    def __init__(self, resolution: tuple[int, int], config: ReadingConfig) -> None:
        super().__init__(resolution)
        height, width = resolution
        if height % SIDE or width % SIDE:
            raise UserError(f"--resolution {height}x{width}: digits can be shown at multiples of {SIDE} from 16")
        if config.channels not in (None, 1, 3):
            raise UserError(f"--data.channels {config.channels}: digits are gray, 1 or 3 channels")
        images, labels = load_digits()
        size = len(labels) * (config.channels or 1) * height * width
        if size > _LARGEST:
            raise UserError(f"--resolution {height}x{width}: the digits would take {format_bytes(size)} of memory")
        order = np.argsort(labels, kind="stable")  # by class, as in a folder
        self.labels = labels[order]
        self.channels = config.channels or 1
        self.class_names = tuple(map(str, range(10)))
        self.in_memory = True
        if Path("digits").exists():
            self.remarks.append("these are scikit-learn's digits; the folder digits that lies here is --data ./digits")
        enlarged = to_bytes(images[order]).repeat(height // SIDE, axis=1).repeat(width // SIDE, axis=2)
        self._images = np.repeat(enlarged[:, None], self.channels, axis=1)

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        image: ImageArray = self._images[index]
        return image

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W]."""
        return self._images[indices]

    def key(self) -> str:
        """Return a hash of all pixels."""
        return hashlib.sha256(self._images.tobytes()).hexdigest()

    def notes(self) -> SourceNotes:
        """Return what is known about the digits."""
        return SourceNotes(
            kind="scikit-learn's handwritten digits",
            sizes={(SIDE, SIDE): len(self)},
            modes={"gray, 17 levels": len(self)},
            examined=len(self),
            photographs=False,
        )


def load_digits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return images float64 [1797, 8, 8] in 0..16 and labels int64 [1797], in the original order."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    return np.asarray(bunch.images, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64)


def to_bytes(images: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Return gray levels 0..16 as bytes 0..255."""
    return np.round(images * (255.0 / LEVELS)).astype(np.uint8)


def to_levels(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return bytes [N, H, W] averaged over equal cells as gray levels [N, 8, 8]; exact for what ``Digits`` shows."""
    count, height, width = images.shape
    cells = images.reshape(count, SIDE, height // SIDE, SIDE, width // SIDE)
    return cells.mean(axis=(2, 4), dtype=np.float64) * (LEVELS / 255.0)
