"""Records of what a sampler draws."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import fields
from typing import Literal

import torch

from biggan.models.contract import Generator
from biggan.models.norm_records import TruncationKind
from biggan.sampling.draw import default_chunk
from biggan.sampling.identity import network_hash, tensors_hash
from biggan.sampling.interpolation import Route
from biggan.sampling.picture_record import (
    Device,
    Grid,
    Interpolations,
    Machine,
    OneImage,
    PathThrough,
    PictureRecord,
    Refined,
    packed,
)
from biggan.sampling.point_record import PointsShown
from biggan.sampling.point_sheets import PointSheet
from biggan.sampling.refinement import Refiner
from biggan.sampling.sampler import Sampler
from biggan.version import __version__


class Recorder:
    """Makes the records of pictures that one sampler draws at one truncation; hashes are computed once.

    Args:
        sampler: whose weights stay as they are.
        truncation: T; None for the whole prior.
        kind: how latents are truncated.
        batch: images drawn at a time; by default as many as :func:`~biggan.sampling.draw.draw` takes.
    """

    def __init__(
        self,
        sampler: Sampler,
        truncation: float | None = None,
        kind: TruncationKind = "resample",
        batch: int | None = None,
    ) -> None:
        self.sampler, self.truncation, self.kind = sampler, truncation, kind
        self.batch = batch or default_chunk(sampler.generator)

    def at(self, truncation: float | None, kind: TruncationKind = "resample") -> Recorder:
        """Return a recorder for another truncation of the same sampler, with the same hashes."""
        other = Recorder(self.sampler, truncation, kind, self.batch)
        other.__dict__.update(_hash=self._hash, _bank=self._bank)
        return other

    def drew(self, record: PictureRecord) -> bool:
        """Return whether the generator is the one that drew a picture, and with the same bank if with any."""
        bank = None if self.sampler.bank is None else self._bank
        return self._hash == record.generator and record.bank in (None, bank)

    def image(self, label: int, seed: int, rows: int = 1, row: int = 0) -> PictureRecord:
        """Return the record of one image: ``row`` of a batch of ``rows``."""
        names = self.sampler.class_names
        return self._record(
            image=OneImage(label=label, class_name=names[label] if names else None, seed=seed, rows=rows, row=row)
        )

    def grid(
        self, labels: Sequence[int], seeds: Sequence[int], columns: int, *, names: bool = False, enlarged: int = 1
    ) -> PictureRecord:
        """Return the record of a sheet of every class x every seed; without labels these cycle."""
        grid = Grid(labels=packed(labels), seeds=packed(seeds), columns=columns, names=names)
        return self._record(grid=grid, enlarged=enlarged)

    def rows(self, labels: Sequence[int], seeds: Sequence[int], beside: int, enlarged: int) -> PictureRecord:
        """Return the record of a sheet of one image a row, each with ``beside`` others that no generator drew."""
        grid = Grid(labels=packed(labels), seeds=packed(seeds), columns=1 + beside, paired=True, beside=beside)
        return self._record(grid=grid, enlarged=enlarged)

    def path(self, route: Route, enlarged: int = 1) -> PictureRecord:
        """Return the record of a picture of a path."""
        return self._record(
            enlarged=enlarged,
            path=PathThrough(
                labels=packed(route.labels),
                seeds=packed(route.seeds),
                frames=route.frames,
                curve=route.curve,
                loop=route.loop,
                ends=True,
            ),
        )

    def interpolations(
        self, moving: Literal["zy", "z", "y"], rows: int, columns: int, seed: int = 0, enlarged: int = 1
    ) -> PictureRecord:
        """Return the record of a sheet of interpolations as training draws it."""
        shown = Interpolations(moving=moving, rows=rows, columns=columns, seed=seed)
        return self._record(interpolations=shown, enlarged=enlarged)

    def points(self, shown: PointSheet, enlarged: int = 1) -> PictureRecord:
        """Return the record of a sheet of images at points that no seed names."""
        return self._record(points=shown.shown(), enlarged=enlarged)

    @functools.cached_property
    def _hash(self) -> str:
        return network_hash(self.sampler.generator)

    @functools.cached_property
    def _bank(self) -> str | None:
        return None if self.sampler.bank is None else tensors_hash(self.sampler.bank.tensors)

    @functools.cached_property
    def _refined(self) -> Refined | None:
        return None if self.sampler.refiner is None else refined(self.sampler.refiner)

    def _record(
        self,
        *,
        image: OneImage | None = None,
        grid: Grid | None = None,
        path: PathThrough | None = None,
        interpolations: Interpolations | None = None,
        points: PointsShown | None = None,
        enlarged: int = 1,
    ) -> PictureRecord:
        statistics = self.sampler.statistics(self.truncation, self.kind)
        return PictureRecord(
            generator=self._hash,
            images_seen=self.sampler.info.images_seen,
            truncation=self.truncation,
            truncation_kind=None if self.truncation is None else self.kind,
            statistics=statistics,
            bank=self._bank if statistics.kind == "bank" else None,
            refinement=self._refined,
            batch=self.batch,
            machine=machine(self.sampler),
            enlarged=enlarged,
            image=image,
            grid=grid,
            path=path,
            interpolations=interpolations,
            points=points,
        )


def refined(refiner: Refiner) -> Refined:
    """Return the record of a way of refining with all that was fitted."""
    ratio, way = refiner.critic.ratio, refiner.refinement
    options = [refiner.name, *(f"{each.name}={getattr(way, each.name)!r}" for each in fields(way))]  # to the last digit
    return Refined(
        way=",".join(options),
        slope=1.0 if ratio is None else ratio.slope,
        bias=0.0 if ratio is None else ratio.bias,
        known=dict(refiner.known),
        discriminator=network_hash(refiner.critic.discriminator),
    )


def again(record: PictureRecord, sampler: Sampler) -> PictureRecord:
    """Return the record of a picture that ``sampler`` has drawn again after ``record``."""
    recorder = Recorder(sampler, record.truncation, record.kind, record.batch)
    return recorder._record(
        image=record.image,
        grid=record.grid,
        path=record.path,
        interpolations=record.interpolations,
        points=record.points,
        enlarged=record.enlarged,
    )


def machine(sampler: Sampler) -> Machine:
    """Return what decides how the sampler's numbers are rounded."""
    name = next(sampler.generator.parameters()).device.type
    device: Device = "cuda" if name == "cuda" else "mps" if name == "mps" else "cpu"
    return Machine(
        device=device,
        threads=torch.get_num_threads(),
        channels_last=lies_channels_last(sampler.generator),
        compiled=sampler.compiler is not None,
        torch=str(torch.__version__),
        biggan=__version__,
    )


def lies_channels_last(generator: Generator) -> bool:
    """Return whether filters lie with the channels innermost in memory."""
    filters = [weight for weight in generator.parameters() if weight.dim() == 4 and min(weight.shape[1:]) > 1]
    return bool(filters) and not any(weight.is_contiguous() for weight in filters)
