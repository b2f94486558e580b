"""The samples that lie nearest to real images, beside those images: whether a generator has learnt them by heart."""

from __future__ import annotations

import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from biggan.data.contract import ImageSource
from biggan.evaluation.sides import Side
from biggan.metrics.collected import Collected
from biggan.metrics.distances import nearest
from biggan.sampling.pictures import enlargement, sheet
from biggan.sampling.png_text import about_text, png_text

_SAMPLES, _NEIGHBOURS = 8, 4


def memorisation_sheet(
    real: Collected, fake: Collected, source: ImageSource, side: Side
) -> tuple[Image.Image, PngInfo | None] | None:
    """Return a row for each of the samples nearest to a real image: the sample, then its nearest real images.

    With it comes what its file says of the samples, where a generator drew them; None in place of both where no rows
    were kept.

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
    said = None
    if side.recorder is not None and side.judged.first_seed is not None:
        indices = fake.indices[closest].tolist()
        labels = side.stream.labels[fake.indices[closest]].tolist()
        seeds = [side.judged.first_seed + i for i in indices]
        record = side.recorder.rows(labels, seeds, columns - 1, enlarged)
        facts = {"rows": [{"label": label, "seed": seed} for label, seed in zip(labels, seeds, strict=True)]}
        drawn = {"generator": record.generator, "images_seen": record.images_seen, "statistics": side.judged.text}
        said = png_text(record) if side.drawn_again else about_text(drawn | facts)
    return sheet(images, columns, enlarged=enlarged), said
