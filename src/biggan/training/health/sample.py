"""The images and latents by which the health of a run is measured: few, and the same for the whole run.

Numbers of the same images and latents can be compared from one time to the next; draws of their own would be noise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageArray, ImageSource, Indices, UnreadableImageError
from biggan.foundation.images import to_float
from biggan.foundation.seeding import normals, words
from biggan.training.health.measuring import Labelled

MORE = 480
"""Reals to which the classifier is fitted that tells whether augmentation leaks, and on which it is tried."""
IMAGES = 120
"""Of reals, and at most of held-out ones: shares of it have a standard error of 0.05 at most."""
CLASSES = 10
"""At most so many classes, so that there are several images of each."""
GRID = 6
"""Latents, and classes at most, of which all pairs are made."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What is looked at, on the device."""

    reals: Labelled
    held: Labelled | None
    latents: Tensor
    """float32 [N, z_size]."""
    wrong: Tensor
    """int64 [N]."""
    grid: tuple[Tensor, Tensor]
    more: Tensor | None
    """float [M, C, H, W]: further reals, where D sees augmented images."""
    different: float
    """Share of different images among the reals."""


def take(
    source: ImageSource,
    held: ImageSource | None,
    *,
    classes: int,
    z_size: int,
    seed: int,
    device: torch.device,
    more: bool = False,
) -> Sample:
    """Return the sample of a run.

    Args:
        source: what is trained on.
        held: what is not.
        classes: of the networks; 0 without.
        z_size: length of z.
        seed: of the run.
        device: where it goes.
        more: take further reals, for what needs many.

    Raises:
        UserError: no image can be read.
    """
    chosen = _classes(source, seed)
    reals, pixels = _read(source, chosen, seed, device)
    further = _read(source, chosen, seed, device, MORE)[0].images if more else None
    wrong = _wrong(reals.labels, classes, seed)
    of_grid = torch.from_numpy(chosen[:GRID]) if classes > 1 else torch.zeros(1, dtype=torch.int64)
    return Sample(
        reals=reals,
        held=None if held is None else _read(held, chosen, seed, device)[0],
        latents=torch.from_numpy(normals(seed, "health latents", 0, 0, len(reals.labels), z_size)).to(device),
        wrong=wrong,
        grid=(torch.from_numpy(normals(seed, "health grid", 0, 0, GRID, z_size)).to(device), of_grid.to(device)),
        more=further,
        different=len({hashlib.sha256(image.tobytes()).digest() for image in pixels}) / len(pixels),
    )


def _classes(source: ImageSource, seed: int) -> Indices:
    """Return the classes that are looked at: by chance, those with two images or more first."""
    counts = source.class_counts()
    chance = words(seed, "health classes", 0, 0, len(counts), 1)[:, 0]
    order = np.lexsort((chance, -np.minimum(counts, 2)))
    return np.sort(order[counts[order] > 0][:CLASSES])


def _read(
    source: ImageSource, classes: Indices, seed: int, device: torch.device, count: int = IMAGES
) -> tuple[Labelled, list[ImageArray]]:
    each = count // len(classes)
    images: list[ImageArray] = []
    labels: list[int] = []
    failure: UnreadableImageError | None = None
    for label in classes:
        members = np.flatnonzero(source.labels == label)
        order = np.argsort(words(seed, "health images", int(label), 0, len(members), 1)[:, 0], kind="stable")
        left = each
        for index in members[order[: 2 * each]]:
            try:
                image = source.read(int(index)) if left else None
            except UnreadableImageError as error:
                failure = error
                continue
            if image is not None:
                images.append(image)
                labels.append(int(label))
                left -= 1
    if not images:
        raise failure or UnreadableImageError("there is no image of the classes that are looked at")
    on_device = torch.from_numpy(np.stack(images)).to(device)
    return Labelled(to_float(on_device), torch.tensor(labels, device=device)), images


def _wrong(labels: Tensor, classes: int, seed: int) -> Tensor:
    """Return another label for each, by chance; the same where there is one class."""
    if classes < 2:
        return labels
    steps = words(seed, "health labels", 0, 0, len(labels), 1)[:, 0] % np.uint64(classes - 1) + np.uint64(1)
    return (labels + torch.from_numpy(steps.astype(np.int64)).to(labels.device)) % classes
