"""May images be mirrored? Asked of a classifier, whose images come back mirrored."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from biggan.data.contract import ImageSource
from biggan.data.reading import read_those_that_can_be
from biggan.foundation.seeding import permutation
from biggan.presets.auto.seen import Mirroring

MOST, FEWEST = 1500, 100
"""Images that are looked at, and those below which the answer would be chance."""
SIDE = 16
"""Pixels of a thumbnail's side."""
HELD_OUT = 3
"""One image in this many is asked about."""
KNOWS = 0.4
"""The classifier must be right about this share of held-out images, and about twice what guessing gives."""
LOSS = 0.03
"""Share of the images it is right about that it may lose by mirroring, beyond what chance explains."""
HANDED = 0.65
"""An image whose mirror image can be told from it more often than this is written, or otherwise handed."""

Rows = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


class _Thumbnails(NamedTuple):
    images: npt.NDArray[np.float32]
    """[N, C, 16, 16] in [0, 1]."""
    labels: Labels


def ask(source: ImageSource) -> Mirroring:
    """Return whether mirroring leaves images in their class, as a classifier sees it.

    A support vector machine is fitted to thumbnails of two thirds of the images, and asked for the class of the others
    and of their mirror images. A second one is asked whether it can tell mirrored images from others at all, of all
    classes and of each: of writing it can.

    Args:
        source: images of any size, at least 16 px.
    """
    if len(source.class_names) < 2:
        return Mirroring(allowed=False, reason="without classes no classifier can be asked")
    chosen = np.sort(permutation(0, "mirroring", 0, len(source))[:MOST])
    if len(chosen) < FEWEST:
        return Mirroring(allowed=False, reason=f"fewer than {FEWEST} images are too few to ask a classifier")
    seen = _thumbnails(source, chosen)
    held = np.arange(len(seen.labels)) % HELD_OUT == 0
    return judge(_Thumbnails(seen.images[~held], seen.labels[~held]), _Thumbnails(seen.images[held], seen.labels[held]))


def judge(known: Any, asked: Any) -> Mirroring:
    """Return the answer of classifiers that are fitted to ``known`` and asked about ``asked``."""
    if len(np.unique(known.labels)) < 2 or len(asked.labels) < FEWEST // HELD_OUT // 2:
        return Mirroring(allowed=False, reason="too few images can be read to ask a classifier")
    predict = _fitted(_rows(known.images), known.labels)
    plain = predict(_rows(asked.images)) == asked.labels
    mirrored = predict(_rows(asked.images[..., ::-1])) == asked.labels
    right, still = float(plain.mean()), float(mirrored.mean())
    guessing = float(np.bincount(known.labels).max() / len(known.labels))
    if right < max(KNOWS, min(2 * guessing, (1 + guessing) / 2)):
        return Mirroring(
            allowed=False,
            reason=f"a classifier knows {right:.0%} of held-out images, guessing {guessing:.0%}, so it cannot be asked",
        )
    lost, found = int((plain & ~mirrored).sum()), int((~plain & mirrored).sum())
    if lost - found > LOSS * plain.sum() + 2 * (lost + found) ** 0.5 * (lost > found):
        return Mirroring(
            allowed=False,
            reason=f"a classifier knows {right:.0%} of held-out images, and {still:.0%} of the same mirrored",
        )
    handed = _handedness(known.images, asked.images)
    if handed > HANDED:
        return Mirroring(
            allowed=False, reason=f"a classifier tells {handed:.0%} of images from mirrored ones, as it does of writing"
        )
    for label in np.unique(known.labels):
        images = int((asked.labels == label).sum())
        if images < FEWEST // HELD_OUT:
            continue
        handed = _handedness(known.images[known.labels == label], asked.images[asked.labels == label])
        if handed - images**-0.5 > HANDED:  # twice the deviation of guesses
            return Mirroring(
                allowed=False,
                reason=f"a classifier tells {handed:.0%} of one class from mirrored ones, as it does of writing",
            )
    return Mirroring(
        allowed=True,
        reason=f"a classifier knows {right:.0%} of held-out images and {still:.0%} of the same mirrored",
    )


def _handedness(known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]) -> float:
    """Return how often images are told from their mirror images."""

    def both(images: npt.NDArray[np.float32]) -> tuple[Rows, Labels]:
        rows = np.concatenate([_rows(images), _rows(images[..., ::-1])])
        return rows, np.repeat(np.arange(2, dtype=np.int64), len(images))

    predict = _fitted(*both(known))
    rows, labels = both(asked)
    return float((predict(rows) == labels).mean())


def _fitted(rows: Rows, labels: Labels) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    parts = min(60, len(rows) // 2, rows.shape[1])
    return make_pipeline(PCA(parts, random_state=0), SVC(C=10.0, class_weight="balanced")).fit(rows, labels).predict


def _rows(images: npt.NDArray[np.float32]) -> Rows:
    return np.ascontiguousarray(images).reshape(len(images), -1)


def _thumbnails(source: ImageSource, chosen: Labels) -> _Thumbnails:
    """Return images as small as they need be, and their labels; unreadable ones are left out."""
    parts, read = [], []
    for start in range(0, len(chosen), 256):
        found = read_those_that_can_be(source, chosen[start : start + 256])
        read.append(found.indices)
        parts.append(_shrunk(found.images))
    return _Thumbnails(np.concatenate(parts), source.labels[np.concatenate(read)])


def _shrunk(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return means over equal cells, [N, C, 16, 16] in [0, 1], of images whose sides are multiples of 16."""
    count, channels, height, width = images.shape
    cells = images.reshape(count, channels, SIDE, height // SIDE, SIDE, width // SIDE)
    found: npt.NDArray[np.float32] = cells.mean(axis=(3, 5), dtype=np.float32) / np.float32(255)
    return found
