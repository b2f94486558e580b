"""Batches of bytes for one rank: positions in, uint8 tensors out."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from biggan.data.contract import ImageArray, ImageSource, Indices, UnreadableImageError
from biggan.data.order.epochs import Order
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share

MOST_WORKERS = 8
_MOST_SUBSTITUTES = 50
_AHEAD = 4  # batches
_LOOK_EVERY = 2.0  # seconds
_MOST_BYTES_AHEAD = 4 * 2**30  # over all workers of a rank
_MOST_BYTES_KEPT = 2**30  # over all workers of a rank
_BESIDE_PIXELS = 256
"""Bytes that keeping an image takes beside those of its pixels."""
_KEPT_AT_ONCE = 2000
"""Up to so many images, if all of them are kept, none but the trainer decodes: it does so in the first epoch alone."""


class Batch(NamedTuple):
    """This rank's share of one D batch."""

    images: Tensor
    """uint8 [B, C, H, W]."""
    labels: Tensor
    """int64 [B]."""
    positions: Indices
    """Of the images in the data order, int64 [B]."""
    problems: tuple[str, ...] = ()
    """Unreadable images met while reading, and what took their place."""


class _Read(NamedTuple):
    """A batch as workers send it: plain arrays through a pipe, so that no shared memory can run out."""

    images: ImageArray
    labels: Indices
    positions: Indices
    problems: tuple[str, ...]


class _Failed(NamedTuple):
    """A batch that could not be read; raised where it was asked for, not in a worker."""

    message: str


class Reader(Dataset[_Read | _Failed]):
    """Reads whole batches; an unreadable image is replaced by the next of its class, and named.

    Args:
        source: where images come from.
        keep: whether an image that was read is kept, as training has it, so that no file is decoded twice.
    """

    def __init__(self, source: ImageSource, *, keep: bool = False) -> None:
        self.source = source
        self.kept: dict[int, ImageArray] | None = {} if keep else None

    def __getitem__(self, key: tuple[Indices, Indices]) -> _Read | _Failed:
        positions, indices = key
        try:
            return _Read(self._images(indices), self.source.labels[indices], positions, ())
        except UnreadableImageError:
            pass
        try:
            found = [self._read_or_substitute(int(index)) for index in indices]
        except UserError as error:
            return _Failed(str(error))
        problems = tuple(dict.fromkeys(problem for _, _, problem in found if problem))
        labels = np.array([label for _, label, _ in found])
        return _Read(np.stack([image for image, _, _ in found]), labels, positions, problems)

    def _images(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W]."""
        if self.kept is None:
            return self.source.read_many(indices)
        missing = [index for index in dict.fromkeys(indices.tolist()) if index not in self.kept]
        if missing:
            self.kept.update(zip(missing, self.source.read_many(np.array(missing)), strict=True))
        return np.stack([self.kept[index] for index in indices.tolist()])

    def _read_or_substitute(self, index: int) -> tuple[ImageArray, int, str | None]:
        """Return an image, its label, and what was wrong."""
        try:
            return self._images(np.array([index]))[0], int(self.source.labels[index]), None
        except UnreadableImageError as error:
            reason = str(error)
        for other in itertools.islice(self.source.substitutes(index), _MOST_SUBSTITUTES):
            try:
                image = self.source.read(other)  # not what is kept: a folder that is gone must not shrink to that
            except UnreadableImageError:
                continue
            problem = f"unreadable image, {self.source.name(other)} takes its place: {reason}"
            return image, int(self.source.labels[other]), problem
        raise UnreadableImageError(f"{reason}; nor can any of {_MOST_SUBSTITUTES} images be read that might replace it")


class _Positions:
    """The images of one rank's batches, from the position at which training stands, without end."""

    def __init__(self, order: Order, first: int, share: Callable[[int], Share], together: int) -> None:
        self.order, self.first, self.share, self.together = order, first, share, together

    def __iter__(self) -> Iterator[tuple[Indices, Indices]]:
        clock = self.first
        while True:
            share = self.share(clock)
            for _ in range(self.together):
                indices = [self.order.indices(clock + place, count) for place, count in share.runs]
                yield clock + share.places, np.concatenate(indices)
                clock += share.total


def default_workers(source: ImageSource, processes_on_node: int) -> int:
    """Return how many processes decode: none for data in memory or soon there, else this rank's share of the cores."""
    if source.in_memory or (len(source) <= _KEPT_AT_ONCE and _can_be_kept(source, 0)):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // processes_on_node))


def make_loader(
    source: ImageSource,
    order: Order,
    *,
    first: int,
    share: Callable[[int], Share],
    together: int = 1,
    largest: int | None = None,
    workers: int,
    pin: bool = False,
    start_method: str | None = None,
) -> Iterator[Batch]:
    """Return an endless iterator over this rank's batches.

    Args:
        source: where images come from.
        order: which image is seen when.
        first: position at which the next global batch begins (the clock).
        share: what this rank sees of the global batch that begins at a clock.
        together: batches of one iteration, which are of one size.
        largest: images that a share ever has, by which memory is kept for what is read ahead; by default as the first.
        workers: processes that decode; 0 reads in this one.
        pin: read ahead in a thread, into page-locked memory, for copies to a GPU that do not block.
        start_method: how worker processes are started; the platform's own by default.
    """
    reader, positions = Reader(source, keep=_can_be_kept(source, workers)), _Positions(order, first, share, together)
    if workers:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="This DataLoader will create")  # the user chose, or all cores
            reads: Iterator[_Read | _Failed] = iter(
                DataLoader(
                    reader,
                    batch_size=None,
                    sampler=positions,
                    num_workers=workers,
                    collate_fn=_unchanged,  # type: ignore[arg-type]
                    prefetch_factor=_ahead(source, largest or share(first).size, workers),
                    worker_init_fn=_leave_signals_to_the_trainer,
                    multiprocessing_context=start_method,
                )
            )
    else:
        reads = (reader[position] for position in positions)
    return read_ahead(reads, _pinned) if pin else map(_plain, reads)


def _can_be_kept(source: ImageSource, workers: int) -> bool:
    """Tell whether each process that reads can keep all images; what is in memory, or mapped into it, need not be."""
    each = source.channels * source.resolution[0] * source.resolution[1] + _BESIDE_PIXELS
    return not source.in_memory and len(source) * each * max(workers, 1) <= _MOST_BYTES_KEPT


def _ahead(source: ImageSource, share: int, workers: int) -> int:
    """Return how many batches each worker prepares ahead: as many as memory bears."""
    batch = share * source.channels * source.resolution[0] * source.resolution[1]
    return max(1, min(_AHEAD, _MOST_BYTES_AHEAD // (batch * workers)))


def _leave_signals_to_the_trainer(_: int) -> None:
    """Keep reading when a signal meets every process of a job: the trainer saves, and ends its workers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_obey, args=(os.getppid(),), daemon=True).start()


def _obey(parent: int) -> None:
    """End this process when ``parent`` tells it to, and nobody else, or when the parent is gone.

    A worker whose trainer was killed would else wait for ever to get rid of its last batch.
    """
    while os.getppid() == parent:
        if not hasattr(signal, "sigtimedwait"):
            time.sleep(_LOOK_EVERY)
        else:
            told = signal.sigtimedwait({signal.SIGTERM}, _LOOK_EVERY)
            if told is not None and told.si_pid == parent:
                break
    os._exit(0)


def _unchanged(read: _Read | _Failed) -> _Read | _Failed:
    """Keep what was read as arrays: tensors would travel through shared memory."""
    return read


def _plain(read: _Read | _Failed) -> Batch:
    if isinstance(read, _Failed):
        raise UnreadableImageError(read.message)
    return Batch(torch.from_numpy(read.images), torch.from_numpy(read.labels), read.positions, read.problems)


def _pinned(read: _Read | _Failed) -> Batch:
    batch = _plain(read)
    return batch._replace(images=batch.images.pin_memory(), labels=batch.labels.pin_memory())


def read_ahead(
    reads: Iterator[_Read | _Failed], finish: Callable[[_Read | _Failed], Batch], depth: int = 2
) -> Iterator[Batch]:
    """Yield ``finish`` of each of ``reads``, which a thread takes ``depth`` ahead; its errors are raised here."""
    ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
    left = threading.Event()

    def put(item: Batch | BaseException) -> bool:
        while not left.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for read in reads:
                if not put(finish(read)):
                    return
        except BaseException as error:
            put(error)

    threading.Thread(target=work, name="reads ahead", daemon=True).start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
