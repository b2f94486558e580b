"""May images be mirrored? Asked of a classifier, whose images come back mirrored."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from biggan.data.contract import ImageSource
from biggan.data.reading import read_those_that_can_be
from biggan.foundation.seeding import permutation
from biggan.presets.auto.handedness import WAYS, Images, Labels, Shares, fitted, rows, shrunk
from biggan.presets.auto.seen import Mirroring

MOST, FEWEST = 1500, 100
"""Images that are looked at, and those below which the answer would be chance."""
SIDE, FINE, FINE_UP_TO = 32, 64, 400
"""Pixels of a thumbnail's side, and those of so few images that each must tell more."""
FOLDS = 3
"""One image in this many is asked about, by classifiers that are fitted to the others."""
KNOWS = 0.4
"""The classifier must be right about this share of held-out images, and about twice what guessing gives."""
LOSS = 0.03
"""Share of the images it is right about that it may lose by mirroring, beyond what chance explains."""
HANDED = 0.6
"""Images that can be told from their mirror images more often than this, beyond chance, are written or else handed."""
FEWEST_OF_A_CLASS, ALONE = 9, 30
"""Images of a class that is asked about, and of one that classifiers of its own are fitted to."""


class Thumbnails(NamedTuple):
    """Small images of classes, a class after another or mixed."""

    images: Images
    """[N, C, S, S] in [0, 1], S 16, 32 or 64."""
    labels: Labels


def ask(source: ImageSource) -> Mirroring:
    """Return whether mirroring leaves images in their class, as a classifier sees it.

    A support vector machine is fitted to thumbnails of two thirds of the images, and asked for the class of the others
    and of their mirror images. Two more classifiers are asked whether they can tell mirrored images from others at all,
    of all classes and of each: of writing they can (:mod:`biggan.presets.auto.handedness`).

    Args:
        source: images whose sides are multiples of 64 pixels.
    """
    if len(source.class_names) < 2:
        return Mirroring(allowed=False, reason="without classes no classifier can be asked")
    chosen = np.sort(permutation(0, "mirroring", 0, len(source))[:MOST])
    if len(chosen) < FEWEST:
        return Mirroring(allowed=False, reason=f"fewer than {FEWEST} images are too few to ask a classifier")
    return judge(_thumbnails(source, chosen))


def judge(seen: Thumbnails) -> Mirroring:
    """Return the answer of classifiers that are fitted to some of the images and asked about others."""
    held = np.arange(len(seen.labels)) % FOLDS == 0
    known, asked = (Thumbnails(seen.images[these], seen.labels[these]) for these in (~held, held))
    if len(np.unique(known.labels)) < 2 or len(asked.labels) < FEWEST // FOLDS // 2:
        return Mirroring(allowed=False, reason="too few images can be read to ask a classifier")
    predict = fitted(rows(known.images), known.labels)
    plain = predict(rows(asked.images)) == asked.labels
    mirrored = predict(rows(asked.images[..., ::-1])) == asked.labels
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
    written = _written(seen)
    if written:
        return Mirroring(
            allowed=False, reason=f"a classifier tells {written} from mirrored ones, as it does of writing"
        )
    return Mirroring(
        allowed=True,
        reason=f"a classifier knows {right:.0%} of held-out images and {still:.0%} of the same mirrored; "
        "--data.no-flip if some are writing",
    )


def _written(seen: Thumbnails) -> str:
    """Return of what a classifier tells images from mirrored ones; nothing if it cannot."""
    described = [(tell, describe(seen.images)) for describe, tell in WAYS]
    told = [_told(tell, vectors) for tell, vectors in described]
    if _beyond_chance(told) > HANDED:
        return f"{_most(told):.0%} of images"
    for label in np.unique(seen.labels):
        these = seen.labels == label
        if these.sum() < FEWEST_OF_A_CLASS:
            continue
        rights = [right[these] for right in told]
        if these.sum() >= ALONE:  # enough to learn from it alone
            rights += [_told(tell, vectors[these]) for tell, vectors in described]
        if _beyond_chance(rights) > HANDED:
            return f"{_most(rights):.0%} of one class"
    return ""


def _told(tell: Callable[[Images, Images], Shares], vectors: Images) -> Shares:
    """Return how often each image is told from its mirror image by what is fitted to the other folds, [N]."""
    folds = np.arange(len(vectors)) % FOLDS
    found = np.empty(len(vectors))
    for fold in range(FOLDS):
        found[folds == fold] = tell(vectors[folds != fold], vectors[folds == fold])
    return found


def _most(told: list[Shares]) -> float:
    return max(float(right.mean()) for right in told)


def _beyond_chance(told: list[Shares]) -> float:
    """Return the largest share that is told, less twice the deviation that guesses would have."""
    return _most(told) - float(len(told[0])) ** -0.5


def _thumbnails(source: ImageSource, chosen: Labels) -> Thumbnails:
    """Return images as small as they need be, and their labels; unreadable ones are left out."""
    parts, read = [], []
    side = FINE if len(chosen) <= FINE_UP_TO else SIDE
    for start in range(0, len(chosen), 256):
        found = read_those_that_can_be(source, chosen[start : start + 256])
        read.append(found.indices)
        parts.append(shrunk(found.images, side) / np.float32(255))
    return Thumbnails(np.concatenate(parts), source.labels[np.concatenate(read)])
