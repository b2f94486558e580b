"""Image files, wherever they lie: headers examined once, pixels decoded and prepared at every access."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import numpy as np

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageArray, ImageSource, SourceNotes, UnreadableImageError, encoded_names
from biggan.data.preparation.checking import listed_problems
from biggan.data.preparation.decoding import TRANSIENT, Header, examine, load_image, read_whole
from biggan.data.preparation.fitting import enlargement, fit, preparation
from biggan.data.sources.stores import Names, Store
from biggan.foundation.errors import UserError

EXTENSIONS = frozenset(
    ".png .jpg .jpeg .jpe .jfif .bmp .gif .webp .tif .tiff .ppm .pgm .pbm .pnm .tga .jp2 .avif".split()
)
LOOK_AT_ALL = 20_000
"""Up to this many files the header of every one is read; beyond, those of an even sample."""
SAMPLE = 2_000
_ATTEMPTS = 4
TINY = 8
"""Images with a side below this are worth a remark."""
_CONVERSIONS = (
    (("CMYK",), "CMYK images become sRGB"),
    (("RGBA", "LA", "PA", "RGBa", "La"), "images with transparency are laid on the background colour"),
    (("P",), "palette images become gray or colour"),
    (("I;16", "I;16L", "I;16B", "I;16N", "I"), "images of 16 bits are scaled to 8"),
)
"""Colour modes worth a remark."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Which files there are, and their classes, in order of class and path."""

    files: Sequence[str]
    labels: Sequence[int]
    class_names: tuple[str, ...]
    """Empty without classes."""
    remarks: tuple[str, ...] = ()


class ImageFiles(ImageSource):
    """Files of a store."""

    def __init__(self, store: Store, listing: Listing, resolution: tuple[int, int], config: ReadingConfig) -> None:
        super().__init__(resolution)
        self.store = store
        self.files = Names(listing.files)
        self.labels = np.asarray(listing.labels, dtype=np.int64)
        self.class_names = listing.class_names
        self.remarks = list(listing.remarks)
        self._examine(config)

    def _examine(self, config: ReadingConfig) -> None:
        """Read headers, decide on the channels, and refuse files that are no images."""
        count = len(self.files)
        chosen = self._looked_at(count)
        if len(chosen) < count:
            self.remarks.append(f"sizes and colour modes were read off {len(chosen):,} of {count:,} files")
        headers: list[Header] = []
        corrupt: list[tuple[int, str]] = []
        with ThreadPoolExecutor() as pool:
            for index, result in zip(chosen, pool.map(self._header, chosen), strict=True):
                if isinstance(result, Header):
                    headers.append(result)
                else:
                    corrupt.append((index, result))
        self._sizes = Counter(header.size for header in headers)
        self._modes = Counter(header.mode for header in headers)
        gray = bool(headers) and all(header.gray for header in headers)
        self.channels = config.channels or (1 if gray else 3)
        if self.channels not in (1, 3):
            raise UserError(f"--data.channels {self.channels}: image files have 1 (gray) or 3 (colour)")
        self.preparation = preparation(config, self.resolution, self.channels)
        self._remark_on(headers)
        if corrupt:
            self.remarks.append(listed_problems(self, corrupt, config))
            self.left_out = tuple((self.name(index), reason) for index, reason in corrupt)
            keep = np.ones(count, dtype=bool)
            keep[[index for index, _ in corrupt]] = False
            self.files = Names([self.files[index] for index in np.flatnonzero(keep)])
            self.labels = self.labels[keep]

    def _looked_at(self, count: int) -> Sequence[int]:
        """Return the files whose headers are read."""
        return range(count) if count <= LOOK_AT_ALL else np.linspace(0, count - 1, SAMPLE).astype(int).tolist()

    def _remark_on(self, headers: Iterable[Header]) -> None:
        headers = list(headers)
        animated = sum(header.frames for header in headers)
        if animated:
            self.remarks.append(f"{animated} animated files: the first frame is used")
        tiny = sum(min(header.size) < TINY for header in headers)
        if tiny:
            self.remarks.append(f"{tiny} images have a side below {TINY} pixels")
        height, width = self.resolution
        smaller = sum(enlargement(header.size, self.preparation) > 1 for header in headers)
        if smaller:
            self.remarks.append(
                f"{smaller} of {len(headers)} images are smaller than {height}x{width} and are enlarged"
            )
        for modes, what in _CONVERSIONS:
            found = sum(self._modes[mode] for mode in modes)
            if found:
                self.remarks.append(f"{found} {what}")
        if len(self._modes) > 1:
            listed = ", ".join(f"{count} {mode}" for mode, count in self._modes.most_common())
            self.remarks.append(f"mixed colour modes ({listed}): all become {'gray' if self.channels == 1 else 'RGB'}")

    def _header(self, index: int) -> Header | str:
        try:
            with self.store.open(self.files[index]) as file:
                return examine(file)
        except (OSError, ValueError) as error:  # an unreadable image is among the second
            return str(error)

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        name = self.files[index]
        for attempt in range(_ATTEMPTS):
            try:
                with self.store.open(name) as file:
                    return self._prepared(file, index)
            except OSError as error:
                # A file server that hiccups is no corrupt image: another try, lest another image takes its place.
                if error.errno not in TRANSIENT or attempt + 1 == _ATTEMPTS:
                    raise UnreadableImageError(f"{self.store.where(name)}: {error}") from error
                time.sleep(0.2 * 4**attempt)
        raise AssertionError("not reached")

    def read_encoded(self, index: int) -> tuple[ImageArray, bytes]:
        """Return image ``index`` and the file's bytes."""
        data = self.encoded(index)
        return self._prepared(io.BytesIO(data), index), data

    def _prepared(self, file: IO[bytes], index: int) -> ImageArray:
        image = load_image(file, self.store.where(self.files[index]), self.preparation.background)
        return fit(image, self.preparation)

    def name(self, index: int) -> str:
        """Return the path of image ``index``, relative to where the files lie."""
        return str(self.files[index])

    def encoded(self, index: int) -> bytes:
        """Return the file's bytes."""
        name = self.files[index]
        try:
            with self.store.open(name) as file:
                return read_whole(file)
        except OSError as error:
            raise UnreadableImageError(f"{self.store.where(name)}: {error}") from error

    def key(self) -> str:
        """Return a hash of the listing: what the store says of its files, and their classes."""
        key = hashlib.sha256(self.store.key(self.files).encode())
        key.update(self.labels.tobytes())
        key.update(encoded_names(self.class_names))
        return key.hexdigest()

    def notes(self) -> SourceNotes:
        """Return what the headers say."""
        return SourceNotes(
            kind=self.store.title(),
            sizes=dict(self._sizes.most_common()),
            modes=dict(self._modes.most_common()),
            examined=sum(self._sizes.values()),
        )


def is_image(name: str) -> bool:
    """Tell whether a file name is that of an image, and not hidden."""
    base = name.rpartition("/")[2]
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in EXTENSIONS  # noqa: PTH122 - hot
