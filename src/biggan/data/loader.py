"""Batches of bytes for one rank: positions in, uint8 tensors out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from biggan.data.contract import ImageArray, ImageSource, UnreadableImageError
from biggan.data.order import DataOrder

MOST_WORKERS = 8
_MOST_SUBSTITUTES = 50


class Batch(NamedTuple):
    """This rank's share of one D batch."""

    images: Tensor
    """uint8 [B, C, H, W]."""
    labels: Tensor
    """int64 [B]."""
    problems: tuple[str, ...] = ()
    """Unreadable images met while reading, and what took their place."""


class _Item(NamedTuple):
    image: ImageArray
    label: int
    problem: str | None


class Reader(Dataset[_Item]):
    """Reads (index, mirrored) pairs; an unreadable image is replaced by the next of its class, and named."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source

    def __getitem__(self, key: tuple[int, bool]) -> _Item:
        index, mirrored = key
        problem = None
        for _ in range(_MOST_SUBSTITUTES):
            try:
                image = self.source.read(index)
                break
            except UnreadableImageError as error:
                other = self.source.substitute(index)
                problem = f"unreadable image, {self.source.name(other)} takes its place: {error}"
                index = other
        else:
            raise UnreadableImageError(f"{_MOST_SUBSTITUTES} images in a row cannot be read; last: {problem}")
        if mirrored:
            image = image[:, :, ::-1]
        return _Item(image, int(self.source.labels[index]), problem)


def collate(items: list[_Item]) -> Batch:
    """Stack items; bytes stay bytes on their way to the device."""
    images = np.stack([item.image for item in items])
    labels = np.array([item.label for item in items], dtype=np.int64)
    problems = tuple(dict.fromkeys(item.problem for item in items if item.problem))
    return Batch(torch.from_numpy(images), torch.from_numpy(labels), problems)


class _Positions:
    """The index lists of one rank, from the position at which training stands, without end."""

    def __init__(self, order: DataOrder, first: int, batch: int, offset: int, share: int, *, flip: bool) -> None:
        self.order, self.first, self.batch = order, first, batch
        self.offset, self.share, self.flip = offset, share, flip

    def __iter__(self) -> Iterator[list[tuple[int, bool]]]:
        position = self.first + self.offset
        while True:
            indices = self.order.indices(position, self.share).tolist()
            flips = self.order.flips(position, self.share).tolist() if self.flip else [False] * self.share
            yield list(zip(indices, flips, strict=True))
            position += self.batch


def default_workers(source: ImageSource, processes_on_node: int) -> int:
    """Return how many processes decode: none for data in memory, else this rank's share of the cores."""
    if source.in_memory:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // processes_on_node))


def make_loader(
    source: ImageSource,
    order: DataOrder,
    *,
    first: int,
    batch: int,
    offset: int,
    share: int,
    flip: bool,
    workers: int,
    pin: bool,
) -> Iterator[Batch]:
    """Return an endless iterator over this rank's batches.

    Args:
        source: where images come from.
        order: which image is seen when.
        first: position at which the next global batch begins (the clock).
        batch: images of a global batch.
        offset: where this rank's share begins in it.
        share: images of this rank's share.
        flip: mirror half of the images.
        workers: processes that decode; 0 reads in this one.
        pin: put batches into page-locked memory, for copies to a GPU that do not block.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")  # the user chose, or all cores
        loader = DataLoader(
            Reader(source),
            batch_sampler=_Positions(order, first, batch, offset, share, flip=flip),
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin,
            prefetch_factor=4 if workers else None,
        )
        return iter(loader)
