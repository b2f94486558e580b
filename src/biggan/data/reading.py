"""Reading images of which some may be unreadable, for whoever can do without them and says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from biggan.data.contract import ImageArray, ImageSource, Indices, UnreadableImageError


@dataclass(frozen=True)
class Readable:
    """Some images of a source, without those that could not be read."""

    images: ImageArray
    """uint8 [B, C, H, W]."""
    indices: Indices
    """int64 [B], which they are."""
    problems: tuple[str, ...] = ()
    """What was wrong with the others, each naming its image."""


def read_those_that_can_be(source: ImageSource, indices: Indices) -> Readable:
    """Return the images at ``indices``, in that order, without the unreadable ones.

    Every process that asks gets the same answer: what is unreadable depends on the images alone.
    """
    try:
        return Readable(source.read_many(indices), indices)
    except UnreadableImageError:
        pass  # one of them; the rest one by one
    images, found, problems = [], [], []
    for index in map(int, indices):
        try:
            images.append(source.read(index))
            found.append(index)
        except UnreadableImageError as error:
            problems.append(str(error))
    nothing = np.zeros((0, source.channels, *source.resolution), dtype=np.uint8)
    return Readable(np.stack(images) if images else nothing, np.asarray(found, dtype=np.int64), tuple(problems))
