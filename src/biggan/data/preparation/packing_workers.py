"""Processes that prepare images for a pack, and how their pixels come back."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from biggan.data.contract import ImageArray, ImageSource, UnreadableImageError
from biggan.data.sources.hdf5 import first_image_hash, image_hash
from biggan.data.sources.hdf5_files import HASH_BYTES

_MOST_IMAGES, _MOST_BYTES = 32, 4 * 2**20  # that a worker prepares at a time
RECORD_BYTES = 2 * HASH_BYTES
"""Of the image as it lay there (SHA-256, so that whoever has the file can look it up), and of its pixels."""


def chunk_size(source: ImageSource) -> int:
    """Return how many images a worker prepares at a time."""
    image = source.channels * source.resolution[0] * source.resolution[1]
    return max(1, min(_MOST_IMAGES, _MOST_BYTES // image, len(source)))


def scratch_bytes(source: ImageSource, workers: int) -> int:
    """Return the size of the file through which pixels come back."""
    image = source.channels * source.resolution[0] * source.resolution[1]
    return _slots(source, workers) * chunk_size(source) * image


def _slots(source: ImageSource, workers: int) -> int:
    return min(3 * workers + 2, -(-len(source) // chunk_size(source))) if workers > 1 else 1


@dataclass
class Chunk:
    """What a worker made of some images; the pixels lie in a slot of the scratch file."""

    hashes: bytes
    corrupt: list[tuple[int, str]]


def prepared_chunks(
    source: ImageSource, scratch_file: Path, first: int, workers: int
) -> Iterator[tuple[int, ImageArray, Chunk]]:
    """Yield chunks in order: index of the first image, pixels, the rest.

    Workers leave pixels in a small mapped file, since a pipe would cost a tenth of the time.
    """
    slots = deque(range(_slots(source, workers)))
    chunk = chunk_size(source)
    shape = (len(slots), chunk, source.channels, *source.resolution)
    with scratch_file.open("wb") as file:  # real blocks: a full disk is an error here, not a fault in a worker
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, scratch_bytes(source, workers))
    scratch = np.memmap(
        scratch_file, dtype=np.uint8, mode="r+" if hasattr(os, "posix_fallocate") else "w+", shape=shape
    )
    starts = iter(range(first, len(source), chunk))
    if workers < 2:
        for start in starts:
            done = _prepare(source, start, scratch[0])
            yield start, scratch[0, : len(done.hashes) // RECORD_BYTES], done
        return
    waiting: deque[tuple[int, int, Future[Chunk]]] = deque()
    with ProcessPoolExecutor(
        workers, initializer=_be_worker, initargs=(source, scratch_file, shape, os.getpid())
    ) as pool:
        try:
            while True:
                for start in itertools.islice(starts, len(slots)):
                    slot = slots.popleft()
                    waiting.append((start, slot, pool.submit(_prepare_here, start, slot)))
                if not waiting:
                    return
                start, slot, future = waiting.popleft()
                done = future.result()
                yield start, scratch[slot, : len(done.hashes) // RECORD_BYTES], done
                slots.append(slot)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


_worker: tuple[ImageSource, ImageArray] | None = None  # source and scratch file of a worker process


def _be_worker(source: ImageSource, scratch: Path, shape: tuple[int, ...], parent: int) -> None:
    """Keep what a worker process needs; it ends when its parent is gone."""
    global _worker
    _worker = source, np.memmap(scratch, dtype=np.uint8, mode="r+", shape=shape)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _prepare_here(start: int, slot: int) -> Chunk:
    assert _worker is not None
    source, scratch = _worker
    return _prepare(source, start, scratch[slot])


def _prepare(source: ImageSource, start: int, pixels: ImageArray) -> Chunk:
    """Prepare the images from ``start`` on, those that are not corrupt into ``pixels``, one after the other."""
    hashes: list[bytes] = []
    corrupt: list[tuple[int, str]] = []
    for index in range(start, min(start + chunk_size(source), len(source))):
        try:
            image, encoded = source.read_encoded(index)
        except UnreadableImageError as error:
            corrupt.append((index, str(error)))
            continue
        pixels[len(hashes)] = image
        hashes.append(first_image_hash(encoded) + image_hash(np.ascontiguousarray(image)))
    return Chunk(b"".join(hashes), corrupt)
