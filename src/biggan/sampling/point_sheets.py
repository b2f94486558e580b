"""Sheets of images at points that no seed names: moved along a direction, bred, mixed, found. And their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from biggan.foundation.errors import CorruptFileError
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.interpolation import embed_on_cpu
from biggan.sampling.pictures import check_sheet, sheet_of, to_picture
from biggan.sampling.point_record import LONGEST_TITLE, PointsShown, numbers
from biggan.sampling.two_latents import TwoLatents


@dataclass(frozen=True, kw_only=True, eq=False)
class PointSheet:
    """Which points a sheet shows, and where."""

    z: Tensor
    """float [N, z_size] on the CPU, or [N, 2 * z_size] with ``coarse``."""
    embedding: Tensor
    """float [N, n] on the CPU."""
    columns: int
    titles: tuple[str, ...] = ()
    """Where the points come from, for people."""
    about: str = ""
    """What was done, for people."""
    row_names: tuple[str, ...] = ()
    """What stands beside the rows."""
    column_names: tuple[str, ...] = ()
    """What stands above the columns."""
    blank: tuple[int, ...] = ()
    """Cells, counted from 0 and rising, that no generator draws."""
    single: bool = False
    """Whether the picture is the one image, not a sheet."""
    coarse: int | None = None
    """Of two latents: how many parts the first is for, see :class:`~biggan.sampling.two_latents.TwoLatents`."""

    @property
    def cells(self) -> int:
        """Of the sheet."""
        return len(self.z) + len(self.blank)

    def images(self, generator: Generator, chunk: int | None = None) -> Tensor:
        """Return what is in the cells, uint8 [cells, C, H, W]; blank ones are white.

        Args:
            generator: with the statistics that are to draw.
            chunk: images at a time, as :func:`~biggan.sampling.draw.draw` takes it.
        """
        drawn = generator if self.coarse is None else TwoLatents(generator, self.coarse)
        made = draw(drawn, self.z, self.embedding, chunk)
        if not self.blank:
            return made
        images, blank = torch.full((self.cells, *made.shape[1:]), 255, dtype=made.dtype), set(self.blank)
        images[[cell for cell in range(self.cells) if cell not in blank]] = made
        return images

    def picture(self, images: Tensor, enlarged: int = 1) -> Image.Image:
        """Return images uint8 [cells, C, H, W] as the picture that is meant."""
        if self.single:
            return to_picture(images[0])
        return sheet_of([images], len(images), self.columns, self.row_names, enlarged, self.column_names)

    def shown(self) -> PointsShown:
        """Return what its picture says."""
        distinct, which = self.embedding[:0], torch.zeros(len(self.z), dtype=torch.int64)
        if self.embedding.shape[1]:
            distinct, which = torch.unique(self.embedding, dim=0, return_inverse=True)
        return PointsShown(
            z=numbers(_exactly(self.z).numpy()),
            conditions=numbers(_exactly(distinct).numpy()),
            condition_of=tuple(which.tolist()),
            titles=self.titles,
            about=self.about[:LONGEST_TITLE],
            columns=self.columns,
            row_names=self.row_names,
            column_names=self.column_names,
            blank=self.blank,
            single=self.single,
            coarse=self.coarse,
        )


def _exactly(rows: Tensor) -> Tensor:
    """Return rows in a type that records have, which holds each number of a narrower one."""
    return rows if rows.dtype == torch.float64 else rows.float()


def sheet_of_record(shown: PointsShown, generator: Generator, size: tuple[int, int]) -> PointSheet:
    """Return what a picture says that it shows.

    Args:
        shown: what it says.
        generator: that is to draw it.
        size: of an image on the sheet, (height, width).

    Raises:
        CorruptFileError: points of another generator.
        UserError: a sheet that would be too large, or a generator whose latents cannot be mixed.
    """
    z, distinct = (torch.from_numpy(rows.rows().astype(rows.type)) for rows in (shown.z, shown.conditions))
    if shown.mixtures:
        distinct = torch.stack([_mixed(generator, mixture) for mixture in shown.mixtures])
    count = len(shown.condition_of)
    embedding = distinct[list(shown.condition_of)] if distinct.shape[1] else distinct.new_zeros(count, 0)
    own = embed_on_cpu(generator, torch.zeros(1, dtype=torch.int64)).shape[1]
    wanted = generator.architecture.z_size * (1 if shown.coarse is None else 2)
    if (z.shape[1], embedding.shape[1]) != (wanted, own):
        raise CorruptFileError(
            f"metadata: points: {z.shape[1]} numbers of a latent and {embedding.shape[1]} of a class, where this "
            f"generator takes {wanted} and {own}"
        )
    if not all(bool(torch.isfinite(rows.to(next(generator.parameters()).dtype)).all()) for rows in (z, embedding)):
        raise CorruptFileError("metadata: points: a number beyond what this generator computes with")
    found = PointSheet(
        z=z,
        embedding=embedding,
        columns=shown.columns,
        titles=shown.titles,
        about=shown.about,
        row_names=shown.row_names,
        column_names=shown.column_names,
        blank=shown.blank,
        single=shown.single,
        coarse=shown.coarse,
    )
    check_sheet(found.cells, found.columns, size, "metadata: columns")
    return found


def _mixed(generator: Generator, mixture: Sequence[tuple[int, float]]) -> Tensor:
    """Return the embedding float [n] of classes with their shares.

    Raises:
        CorruptFileError: a class that the generator does not have.
    """
    labels = [label for label, _ in mixture]
    if max(labels, default=0) >= max(generator.architecture.classes, 1):
        raise CorruptFileError(f"metadata: points: class {max(labels)} of {generator.architecture.classes}")
    rows = embed_on_cpu(generator, torch.tensor(labels, dtype=torch.int64))
    return (rows * torch.tensor([share for _, share in mixture], dtype=rows.dtype)[:, None]).sum(0)
