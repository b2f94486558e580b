"""Latents and embeddings of requests, and the one thread that draws them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from biggan.exploring.directions import move
from biggan.foundation.errors import UserError
from biggan.models.norm_records import TruncationKind
from biggan.sampling.draw import default_chunk, draw
from biggan.sampling.interpolation import embed_on_cpu, path_through, spherical
from biggan.sampling.latents import latents
from biggan.sampling.picture_record import PictureRecord
from biggan.sampling.point_record import LONGEST_TITLE
from biggan.sampling.point_sheets import PointSheet
from biggan.sampling.sampler import Sampler
from biggan.web.batching import Batcher
from biggan.web.bounds import Bounds
from biggan.web.models import Loaded
from biggan.web.requests import FilmRequest, ImageRequest

Value = TypeVar("Value")
_SLOW = 0.05
"""Seconds of an image with one thread from which all are used."""


@dataclass(frozen=True)
class Picture:
    """What was drawn: uint8 [C, H, W], and what it is a function of; to the last bit where it was drawn alone."""

    image: Tensor
    record: PictureRecord | None = None


@dataclass(frozen=True)
class _Job:
    """Images of one model at one truncation: a request, or points of a path."""

    loaded: Loaded
    truncation: float | None
    kind: TruncationKind
    request: ImageRequest | None = None
    z: Tensor | None = None
    embedding: Tensor | None = None
    alone: bool = False


class Drawer:
    """Draws what is asked for, as many at once as wait for the same network.

    Args:
        bounds: of the queue.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.batcher: Batcher[_Job, Picture] = Batcher(self._draw, bounds.waiting, bounds.batch)
        self._all = torch.get_num_threads()
        self._threads: tuple[Loaded | None, int] = None, 1

    def image(self, loaded: Loaded, request: ImageRequest, *, record: bool = False) -> Future[Picture]:
        """Return an image to be.

        Args:
            loaded: the generator.
            request: what to draw.
            record: whether to draw it alone, as its record has it: what is drawn beside it decides the last bit.

        Raises:
            RequestError: too many wait.
        """
        job = _Job(loaded, request.truncation, request.kind, request=request, alone=record)
        return self.batcher.submit(_group(job), job)

    def point(self, loaded: Loaded, film: FilmRequest, z: Tensor, embedding: Tensor) -> Future[Picture]:
        """Return the image to be of z float [z_size] and an embedding float [n].

        Raises:
            RequestError: too many wait.
        """
        job = _Job(loaded, film.truncation, film.kind, z=z, embedding=embedding)
        return self.batcher.submit(_group(job), job)

    def _draw(self, jobs: Sequence[_Job]) -> list[Picture]:
        """Draw with as many threads as one image of this model is worth.

        Small layers are drawn by one: several wait for each other longer than one works, and much longer where other
        programs have the cores.
        """
        loaded = jobs[0].loaded
        if self._threads[0] is not loaded:
            torch.set_num_threads(1)
            _together(jobs[:1])
            begin = time.perf_counter()
            _together(jobs[:1])
            slow = time.perf_counter() - begin > _SLOW
            self._threads = loaded, self._all if slow else 1
        torch.set_num_threads(self._threads[1])
        return [_alone(job) for job in jobs] if jobs[0].alone else _together(jobs)

    def close(self) -> None:
        """End the thread."""
        self.batcher.close()


def path_of(loaded: Loaded, film: FilmRequest) -> tuple[Tensor, Tensor]:
    """Return latents float [N, z_size] and embeddings float [N, n] of a film."""
    labels, seeds = zip(*film.points, strict=True)
    z = latents(seeds, loaded.sampler.info.architecture.z_size, film.truncation, film.kind)
    embedded = embed_on_cpu(loaded.sampler.generator, torch.tensor(labels)).float()
    return (
        path_through(z, film.frames, film.curve, loop=film.loop),
        path_through(embedded, film.frames, "linear", loop=film.loop),
    )


def _group(job: _Job) -> tuple[object, ...]:
    """Return what images must share to be drawn together: the file, the statistics of batch norm, company."""
    bank = job.loaded.sampler.bank
    banked = bank is not None and job.truncation is not None and bank.record.kind == job.kind
    return job.loaded.entry.name, job.loaded.version, job.truncation if banked else None, job.alone


def _alone(job: _Job) -> Picture:
    """Draw one image as :func:`biggan.sampling.recreation.recreate` draws it again.

    Weights are divided anew, and moments of a bank set anew: how many threads do that decides their last bit too.
    """
    loaded, request = job.loaded, _known(job.request)
    own, batch = loaded.sampler, loaded.recorder.batch
    labels = [label for label, _ in request.mixture] or [0]
    sampler = Sampler(own.generator, own.info, own.path, own.bank)
    loaded.held.close()
    try:
        if request.plain:
            image = sampler.sample(labels, [request.seed], request.truncation, request.kind, batch)[0]
            return Picture(image, _record(loaded, request))
        table = embed_on_cpu(own.generator, torch.tensor(labels)).float()
        point = _point(request, _latent(loaded, request), _mixed(request, list(table)))
        image = point.images(sampler.at_truncation(request.truncation, request.kind), batch)[0]
        return Picture(image, _record(loaded, request, point))
    finally:
        loaded.hold()


def _point(request: ImageRequest, z: Tensor, embedding: Tensor) -> PointSheet:
    about = request.query("")[:LONGEST_TITLE]
    return PointSheet(z=z[None], embedding=embedding[None], columns=1, about=about, single=True)


def _record(loaded: Loaded, request: ImageRequest, point: PointSheet | None = None) -> PictureRecord:
    """Return what an image says of itself: by its seed and class, or by the point where no seed names it."""
    recorder = loaded.recorder.at(request.truncation, request.kind)
    if point is not None:
        return recorder.points(point)
    return recorder.image(request.mixture[0][0] if request.mixture else 0, request.seed)


@torch.no_grad()
def _together(jobs: Sequence[_Job]) -> list[Picture]:
    sampler = jobs[0].loaded.sampler
    generator = sampler.at_truncation(jobs[0].truncation, jobs[0].kind)
    z = torch.stack([_latent(job.loaded, job.request) if job.request else _known(job.z) for job in jobs])
    own = [job.request for job in jobs if job.request is not None]
    # A generator has one table of classes; looking all of the batch up at once is one call.
    labels = [label for request in own for label, _ in (request.mixture or ((0, 1.0),))]
    table = embed_on_cpu(sampler.generator, torch.tensor(labels, dtype=torch.int64)).float()
    rows = iter(table)
    embeddings = torch.stack(
        [
            _mixed(job.request, [next(rows) for _ in (job.request.mixture or (0,))])
            if job.request
            else _known(job.embedding)
            for job in jobs
        ]
    )
    images = draw(generator, z, embeddings, min(default_chunk(generator), len(jobs)))
    return [
        Picture(image, _record(job.loaded, job.request, None if job.request.plain else _point(job.request, *point)))
        if job.request
        else Picture(image)
        for job, image, *point in zip(jobs, images, z, embeddings, strict=True)
    ]


def _known(value: Value | None) -> Value:
    if value is None:
        raise UserError("a point without its latent")
    return value


def _latent(loaded: Loaded, request: ImageRequest) -> Tensor:
    """Return z float [z_size]: the seed's, each chunk as far on the way to the other's as its level says, moved."""
    size = loaded.sampler.info.architecture.z_size
    z = latents([request.seed], size, request.truncation, request.kind)[0]
    if request.other is not None and any(request.levels):
        other = latents([request.other], size, request.truncation, request.kind)[0]
        chunk = size // len(request.levels)
        parts = [
            spherical(z[place : place + chunk], other[place : place + chunk], torch.tensor([level]))[0]
            for place, level in zip(range(0, size, chunk), request.levels, strict=True)
        ]
        z = torch.cat(parts)
    return move(z, loaded.directions, dict(request.moves)) if request.moves else z


def _mixed(request: ImageRequest, rows: Sequence[Tensor]) -> Tensor:
    """Return the embedding float [n] of a mixture."""
    if len(rows) == 1:
        return rows[0]
    return torch.stack([row * share for row, (_, share) in zip(rows, request.mixture, strict=True)]).sum(0)
