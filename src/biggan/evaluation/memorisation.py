"""The samples that lie nearest to real images, beside those images: whether a generator has learnt them by heart."""

from __future__ import annotations

import torch
from PIL import Image

from biggan.data.contract import ImageSource
from biggan.evaluation.sides import Side
from biggan.metrics.collected import Collected
from biggan.metrics.distances import nearest
from biggan.sampling.picture_record import PictureRecord
from biggan.sampling.pictures import enlargement, sheet

_SAMPLES, _NEIGHBOURS = 8, 4


def memorisation_sheet(
    real: Collected, fake: Collected, source: ImageSource, side: Side
) -> tuple[Image.Image, PictureRecord | None] | None:
    """Return a row for each of the samples nearest to a real image: the sample, then its nearest real images.

    With it comes how the samples were drawn, where that can be said; None in place of both where no rows were kept.

    Args:
        real: with rows and indices into ``source``.
        fake: with rows and indices into the stream of ``side``.
        source: the real images.
        side: of the samples.
    """
    if real.rows is None or fake.rows is None or real.indices is None or fake.indices is None:
        return None
    distances, neighbours = nearest(fake.rows, real.rows, k=min(_NEIGHBOURS, len(real.rows)))
    closest = distances[:, 0].argsort()[:_SAMPLES]
    shown = []
    for row in closest:
        shown.append(side.stream.images(fake.indices[row][None]))
        shown.append(torch.from_numpy(source.read_many(real.indices[neighbours[row]].numpy())))
    images, columns = torch.cat(shown), 1 + neighbours.shape[1]
    height, width = images.shape[2:]
    enlarged = enlargement((height, width), len(images), columns)
    record = None
    if side.recorder is not None and side.judged.first_seed is not None:
        indices = fake.indices[closest].tolist()
        labels = side.stream.labels[fake.indices[closest]].tolist()
        record = side.recorder.rows(labels, [side.judged.first_seed + i for i in indices], columns - 1, enlarged)
    return sheet(images, columns, enlarged=enlarged), record
