"""Sheets that show every class: a class a row, a seed a column, as many pages as it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from PIL import Image

from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents
from biggan.sampling.pictures import sheet

PAGE_PIXELS = 20_000_000
"""Most pixels of a page."""


def class_sheets(
    generator: Generator,
    class_names: Sequence[str],
    columns: int = 10,
    *,
    labels: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    truncation: float | None = None,
    kind: str = "resample",
    chunk: int | None = None,
) -> Iterator[Image.Image]:
    """Yield pages that together show every class, all columns of a class from the same seeds.

    Args:
        generator: in evaluation mode.
        class_names: by class index; written beside the rows.
        columns: images a class, seeds 0, 1, ... unless ``seeds`` are given.
        labels: classes to show; all by default.
        seeds: of the columns.
        truncation: T; None draws from the whole prior.
        kind: how to truncate.
        chunk: images drawn at a time.
    """
    seeds = list(seeds) if seeds is not None else list(range(columns))
    z = latents(seeds, generator.architecture.z_size, truncation, kind)
    chosen = list(labels) if labels is not None else list(range(max(generator.architecture.classes, 1)))
    height, width = generator.architecture.resolution
    rows = max(1, min(100, PAGE_PIXELS // (height * width * len(seeds))))
    for start in range(0, len(chosen), rows):
        part = chosen[start : start + rows]
        condition = torch.tensor(part).repeat_interleave(len(seeds))
        images = draw(generator, z.repeat(len(part), 1), condition, chunk)
        names = [class_names[label] for label in part] if class_names else []
        yield sheet(images, len(seeds), names)
