"""The old class that a new one is nearest to, as D sees its images.

A new class has no embedding yet, so that it is looked for by its images: D's features h of them, which its last layer
sees, and for each old class k the mean of <e_k, h>, where e_k is k's (normalised) row of D's class embedding: what the
projection adds to D's score when it is told that the image is of class k. The largest wins.
"""

from __future__ import annotations

import numpy as np
import torch

from biggan.data.contract import ImageSource
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_float
from biggan.models.contract import build_discriminator
from biggan.models.export_file import Export

IMAGES = 64
"""Images of a class that are looked at, at most; evenly from all."""


@torch.no_grad()
def nearest_classes(export: Export, source: ImageSource, wanted: list[int]) -> dict[int, int]:
    """Return the index of the nearest old class for each of the new classes ``wanted``.

    Raises:
        UserError: the file has no D, or one without classes, or an image cannot be read.
    """
    architecture = export.info.architecture
    if export.discriminator is None or not architecture.classes:
        raise UserError("nearest classes: the file holds no D with classes; use mean, fresh, or a file of classes")
    discriminator = build_discriminator(architecture)
    if getattr(discriminator.get_submodule("head"), "class_embedding", None) is None:
        heads = " ".join(architecture.discriminator_heads)
        raise UserError(
            f"nearest classes: found by the projection of D, and its heads are {heads}; use mean, fresh, or a file of "
            "classes"
        )
    discriminator.load_state_dict(dict(export.discriminator))
    discriminator.eval()
    head = discriminator.get_submodule("head")
    table = head.class_embedding.table()  # type: ignore[union-attr, operator]  # checked above: it has classes
    found = {}
    for label in wanted:
        indices = np.flatnonzero(source.labels == label)
        chosen = indices[np.linspace(0, len(indices) - 1, min(IMAGES, len(indices))).round().astype(np.int64)]
        if not len(chosen):
            raise UserError(f"nearest classes: class {label} of the data has no images")
        images = to_float(torch.from_numpy(source.read_many(chosen)), torch.float32)
        if images.shape[1] != architecture.channels:
            images = images.mean(dim=1, keepdim=True).expand(-1, architecture.channels, -1, -1)
        features = discriminator.judge(images, torch.zeros(len(images), dtype=torch.int64)).features
        found[label] = int((features @ table.T).mean(dim=0).argmax())
    return found
