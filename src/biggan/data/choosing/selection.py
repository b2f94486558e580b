"""A part of a source, or the same images under other labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from biggan.data.contract import ImageArray, ImageSource, Indices, SourceNotes, encoded_names
from biggan.foundation.errors import UserError
from biggan.foundation.seeding import words


class Selection(ImageSource):
    """Images of another source, chosen and labelled anew; nothing is copied or moved."""

    def __init__(
        self,
        base: ImageSource,
        images: Indices,
        labels: Indices,
        class_names: tuple[str, ...],
        remarks: Sequence[str] = (),
    ) -> None:
        """Choose.

        Args:
            base: where the images are.
            images: which of them, in order, int64 [N].
            labels: their classes, int64 [N].
            class_names: by class index.
            remarks: what to tell the user, after the base's own remarks.
        """
        super().__init__(base.resolution)
        self.base, self.images = base, images
        self.labels, self.class_names = labels, class_names
        self.channels, self.in_memory = base.channels, base.in_memory
        self.remarks, self.left_out = [*base.remarks, *remarks], base.left_out
        self.enlarged = base.enlarged
        self.part_weights = base.part_weights
        self.parts = None if base.parts is None else base.parts[images]
        self.shards = None if base.shards is None else base.shards[images]

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        return self.base.read(int(self.images[index]))

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W]."""
        return self.base.read_many(self.images[indices])

    def notes(self) -> SourceNotes:
        """Return what is known about the base."""
        return self.base.notes()

    def key(self) -> str:
        """Return a hash of the base and the choice."""
        key = hashlib.sha256(self.base.key().encode())
        for array in (self.images, self.labels):
            key.update(np.ascontiguousarray(array).tobytes())
        key.update(encoded_names(self.class_names))
        return key.hexdigest()

    def name(self, index: int) -> str:
        """Return how the base calls the image."""
        return self.base.name(int(self.images[index]))

    def read_encoded(self, index: int) -> tuple[ImageArray, bytes]:
        """Return the image as the base does."""
        return self.base.read_encoded(int(self.images[index]))

    def encoded(self, index: int) -> bytes:
        """Return the image as the base stores it."""
        return self.base.encoded(int(self.images[index]))


def without(source: ImageSource, indices: Sequence[int], remark: str) -> ImageSource:
    """Return ``source`` without some of its images."""
    keep = np.ones(len(source), dtype=bool)
    keep[list(indices)] = False
    images = np.flatnonzero(keep)
    return Selection(source, images, source.labels[images], source.class_names, [remark])


def part_of_each_class(source: ImageSource, fraction: float, draw: int) -> ImageSource:
    """Return ``source`` with a part of each class: the nearest whole number of its images, one at least.

    Args:
        source: all images.
        fraction: how many of each class, above 0 and at most 1.
        draw: which; the images of a class are put into an order by hashes of this and of their places in the class.
    """
    chosen = []
    for label in range(max(len(source.class_names), 1)):
        images = np.flatnonzero(source.labels == label)
        if not len(images):
            continue
        order = np.argsort(words(draw, "part of a class", label, 0, len(images), 1)[:, 0], kind="stable")
        chosen.append(images[order[: max(round(fraction * len(images)), 1)]])
    kept = np.sort(np.concatenate(chosen))
    remark = f"trains on {len(kept):,} of {len(source):,} images, {fraction:g} of each class (--data.fraction)"
    return Selection(source, kept, source.labels[kept], source.class_names, [remark])


def held_out(source: ImageSource, holdout: float) -> tuple[ImageSource, ImageSource]:
    """Return ``source`` without a part of each class, and that part: the nearest whole number of its images.

    Which images these are depends on classes and on places in them alone: a smaller part is a part of a larger one.

    Args:
        source: all images.
        holdout: how many of each class, above 0 and below 1.

    Raises:
        UserError: a class would have no image left, or no class has so many that one of them would be held out.
    """
    inside = np.zeros(len(source), dtype=bool)
    for label in range(max(len(source.class_names), 1)):
        images = np.flatnonzero(source.labels == label)
        count = round(holdout * len(images))
        if len(images) and count == len(images):
            name = f"class '{source.class_names[label]}'" if source.class_names else "the data"
            raise UserError(
                f"--data.holdout {holdout:g}: nothing would be left of {name}, which has {len(images)} "
                f"image{'s' * (len(images) != 1)}; hold out less, or leave small classes out by --data.min-per-class"
            )
        order = np.argsort(words(0, "held out of a class", label, 0, len(images), 1)[:, 0], kind="stable")
        inside[images[order[:count]]] = True
    if not inside.any():
        raise UserError(
            f"--data.holdout {holdout:g}: no class has an image to spare, the largest has "
            f"{int(source.class_counts().max())}; hold out more, or leave it out"
        )
    remark = f"holds {inside.sum():,} of {len(source):,} images out, {holdout:g} of each class (--data.holdout)"
    kept, held = np.flatnonzero(~inside), np.flatnonzero(inside)
    return (
        Selection(source, kept, source.labels[kept], source.class_names, [remark]),
        Selection(source, held, source.labels[held], source.class_names, ["held-out images, which nothing trains on"]),
    )
