"""Can images be told from their mirror images? Of writing they can be, wherever on an image it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

PLACES = 16
"""Pixels of a thumbnail's side where places matter: a classifier sees where things are, and no details."""
FILTERS = 64
"""Pieces of the images that are looked for everywhere, of each size."""
SIZES = (5, 7, 9)
"""Sides of pieces, in pixels: strokes and corners, and letters or what they make together."""
_EVEN = 0.02
"""Images whose deviation is less than this have nothing on them."""
_AT_ONCE = 64

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def by_place(images: Images) -> Images:
    """Return what is where, on each image and on its mirror image: float32 [N, 2, C * 16 * 16].

    Args:
        images: float32 [N, C, S, S] in [0, 1], S a multiple of 16.
    """
    return np.stack([rows(images), rows(images[..., ::-1])], axis=1)


def by_pieces(images: Images) -> Images:
    """Return what pieces stand anywhere, on each image and on its mirror image: float32 [N, 2, 3 * 2 * 64].

    Pieces of the images are looked for in all places of an image, and so are their mirror images; what is found of the
    ones less what is found of the others changes its sign when the image is mirrored.

    Args:
        images: float32 [N, C, S, S] in [0, 1].
    """
    evened = _evened(images)
    odd = np.concatenate([_odd(evened, _pieces(evened, size)) for size in SIZES], axis=1)
    odd /= odd.std(axis=0) + 1e-6
    return np.stack([odd, -odd], axis=1)


def told_by_place(known: Images, asked: Images) -> Shares:
    """Return how often a support vector machine tells each image from its mirror image.

    Args:
        known: what :func:`by_place` returned of images to fit it to.
        asked: the same of others, [M, 2, ...].

    Returns:
        Float64 [M]: 1 if both the image and its mirror image are told rightly, 0.5 if one is, else 0.
    """
    return _shares(fitted(*_both(known)), asked)


def told_by_pieces(known: Images, asked: Images) -> Shares:
    """Return whether a logistic regression without an intercept tells each image from its mirror image.

    Args:
        known: what :func:`by_pieces` returned of images to fit it to.
        asked: the same of others, [M, 2, ...].

    Returns:
        Float64 [M]: 1 if the image is told rightly, and with it its mirror image, else 0.
    """
    from sklearn.linear_model import LogisticRegression

    return _shares(LogisticRegression(C=0.003, fit_intercept=False, max_iter=300).fit(*_both(known)).predict, asked)


WAYS = ((by_place, told_by_place), (by_pieces, told_by_pieces))
"""How images are described, and how they are told by that."""


def _both(vectors: Images) -> tuple[Images, Labels]:
    """Return vectors of images and of mirror images, one after another, and which they are."""
    return vectors.reshape(-1, vectors.shape[-1]), np.tile([0, 1], len(vectors))


def _shares(predict: Callable[[Images], Labels], asked: Images) -> Shares:
    vectors, which = _both(asked)
    found: Shares = (predict(vectors) == which).reshape(-1, 2).mean(axis=1)
    return found


def rows(images: Images) -> Images:
    """Return thumbnails of 16 px as vectors, [N, C * 16 * 16]."""
    return shrunk(images, PLACES).reshape(len(images), -1)


def shrunk(images: npt.NDArray[Any], side: int) -> Images:
    """Return means over equal cells, float32 [N, C, side, side], of images whose sides are multiples of that."""
    count, channels, height, width = images.shape
    cells = images.reshape(count, channels, side, height // side, side, width // side)
    found: Images = cells.mean(axis=(3, 5), dtype=np.float32)
    return found


def fitted(vectors: Images, labels: Labels) -> Any:
    """Return a support vector machine that predicts labels of vectors."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    parts = min(60, len(vectors) // 2, vectors.shape[1])
    return make_pipeline(PCA(parts, random_state=0), SVC(C=10.0, class_weight="balanced")).fit(vectors, labels).predict


def _evened(images: Images) -> Images:
    """Return gray images of mean 0 and deviation 1, [N, S, S]: papers and inks of all brightnesses look alike."""
    gray = images.mean(axis=1)
    gray -= gray.mean(axis=(1, 2), keepdims=True)
    gray /= np.maximum(gray.std(axis=(1, 2), keepdims=True), _EVEN)
    return gray


def _pieces(images: Images, size: int) -> Images:
    """Return pieces of images, [64, size, size] of mean 0 and length 1; drawn more often the more is on them."""
    draw = np.random.default_rng(size)
    count, high, wide = images.shape
    many = 1000 * FILTERS
    where = tuple(draw.integers(length, size=many) for length in (count, high - size + 1, wide - size + 1))
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(1, 2))[where]
    windows = windows - windows.mean(axis=(1, 2), keepdims=True)
    power = np.square(windows).sum(axis=(1, 2), dtype=np.float64) + 1e-9
    taken = draw.choice(many, FILTERS, p=power / power.sum())
    found: Images = (windows[taken] / np.sqrt(power[taken])[:, None, None]).astype(np.float32)
    return found


def _odd(images: Images, pieces: Images) -> Images:
    """Return what is found of pieces less what is found of their mirror images, [N, 2 * 64]."""
    found = []
    for start in range(0, len(images), _AT_ONCE):
        some = images[start : start + _AT_ONCE]
        found.append(_most(some, pieces) - _most(some, pieces[..., ::-1]))
    return np.concatenate(found)


def _most(images: Images, pieces: Images) -> Images:
    """Return the most and the least that each piece is like any place of each image, [N, 2 * 64]."""
    size = pieces.shape[-1]
    padded = np.pad(images, ((0, 0), (size // 2,) * 2, (size // 2,) * 2), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    alike = windows.reshape(len(images), -1, size * size) @ pieces.reshape(len(pieces), -1).T
    found: Images = np.concatenate([alike.max(axis=1), -alike.min(axis=1)], axis=1)
    return found
