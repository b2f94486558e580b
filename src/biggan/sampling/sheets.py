"""Sheets that show every class: a class a row, a seed a column, as many pages as it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from PIL import Image

from biggan.foundation.errors import UserError
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents
from biggan.sampling.pictures import PAGE_PIXELS, check_sheet, enlargement, sheet

MOST_PAGES = 1000
"""Most pages; a thousand classes of 128 px with ten seeds each take ten."""


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
    enlarged: int = 1,
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
        enlarged: each pixel becomes so many a side, see :func:`enlargement_of_pages`.

    Raises:
        UserError: a row would be too wide.
    """
    seeds = list(seeds) if seeds is not None else list(range(columns))
    z = latents(seeds, generator.architecture.z_size, truncation, kind)
    chosen = list(labels) if labels is not None else list(range(max(generator.architecture.classes, 1)))
    rows = rows_of_page(generator.architecture.resolution, len(seeds))
    for start in range(0, len(chosen), rows):
        part = chosen[start : start + rows]
        condition = torch.tensor(part).repeat_interleave(len(seeds))
        images = draw(generator, z.repeat(len(part), 1), condition, chunk)
        names = [class_names[label] for label in part] if class_names else []
        yield sheet(images, len(seeds), names, enlarged)


def rows_of_page(size: tuple[int, int], columns: int) -> int:
    """Return how many classes a page shows, for images of ``size`` (height, width)."""
    return max(1, min(100, PAGE_PIXELS // (size[0] * size[1] * max(columns, 1))))


def enlargement_of_pages(size: tuple[int, int], classes: int, columns: int, smallest: int) -> int:
    """Return what :func:`~biggan.sampling.pictures.enlargement` does, for the first and fullest of all pages."""
    return enlargement(size, min(classes, rows_of_page(size, columns)) * columns, columns, smallest)


def most_classes(size: tuple[int, int], columns: int) -> int:
    """Return how many classes all possible pages show, for images of ``size`` (height, width)."""
    return MOST_PAGES * rows_of_page(size, columns)


def check_pages(classes: int, columns: int, size: tuple[int, int]) -> int:
    """Return how many pages show ``classes`` classes of images of ``size`` (height, width).

    Raises:
        UserError: too many, or a row would be too wide.
    """
    check_sheet(columns, columns, size)
    pages = -(-classes // rows_of_page(size, columns))
    if pages > MOST_PAGES:
        raise UserError(
            f"--classes: {classes:,} classes with --columns {columns} take {pages:,} pages, where {MOST_PAGES:,} are "
            "possible; name the classes to show with --classes, or fewer --columns"
        )
    return pages
