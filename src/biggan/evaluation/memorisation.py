"""The samples that lie nearest to real images, beside those images: whether a generator has learnt them by heart."""

from __future__ import annotations

import torch
from PIL import Image

from biggan.data.contract import ImageSource
from biggan.evaluation.streams import ImageStream
from biggan.metrics.collected import Collected
from biggan.metrics.distances import nearest
from biggan.sampling.pictures import enlargement, sheet

_SAMPLES, _NEIGHBOURS = 8, 4


def memorisation_sheet(
    real: Collected, fake: Collected, source: ImageSource, stream: ImageStream
) -> Image.Image | None:
    """Return a row for each of the samples nearest to a real image: the sample, then its nearest real images.

    Args:
        real: with rows and indices into ``source``.
        fake: with rows and indices into ``stream``.
        source: the real images.
        stream: the samples.
    """
    if real.rows is None or fake.rows is None or real.indices is None or fake.indices is None:
        return None
    distances, neighbours = nearest(fake.rows, real.rows, k=min(_NEIGHBOURS, len(real.rows)))
    closest = distances[:, 0].argsort()[:_SAMPLES]
    shown = []
    for row in closest:
        shown.append(stream.images(fake.indices[row][None]))
        shown.append(torch.from_numpy(source.read_many(real.indices[neighbours[row]].numpy())))
    images, columns = torch.cat(shown), 1 + neighbours.shape[1]
    height, width = images.shape[2:]
    return sheet(images, columns, enlarged=enlargement((height, width), len(images), columns))
