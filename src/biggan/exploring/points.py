"""Points: latents with their classes, of seeds or of files, that can be shown, bred and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch import Tensor

from biggan.foundation.config import from_json, to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.limits import MaxLen, MinLen
from biggan.foundation.tensor_files import read_header, read_verified, write_tensors
from biggan.foundation.terminal import one_line
from biggan.sampling.draw import draw
from biggan.sampling.identity import network_hash
from biggan.sampling.interpolation import embed_on_cpu
from biggan.sampling.latents import latents
from biggan.sampling.point_record import LONGEST_TITLE
from biggan.sampling.sampler import Sampler

_ROOT = "points"
MOST_POINTS = 100_000
_TYPES = torch.float32, torch.float64


@dataclass(frozen=True, kw_only=True)
class _Record:
    """What a file of points says."""

    generator: Annotated[str, MinLen(1), MaxLen(128)]
    titles: Annotated[tuple[Annotated[str, MaxLen(LONGEST_TITLE)], ...], MinLen(1), MaxLen(MOST_POINTS)]
    format: Literal[1] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Points:
    """Latents and what conditions their images, one a row."""

    z: Tensor
    """float [N, z_size] on the CPU."""
    embedding: Tensor
    """float [N, n] on the CPU, as :meth:`biggan.models.contract.Generator.embed` gives it: mixed as one likes."""
    titles: tuple[str, ...]
    """What each is, for people."""

    def __post_init__(self) -> None:
        if not len(self.z) == len(self.embedding) == len(self.titles):
            raise ValueError(f"{len(self.z)} latents, {len(self.embedding)} conditions and {len(self.titles)} titles")

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, rows: Sequence[int]) -> Points:
        chosen = list(rows)
        return Points(z=self.z[chosen], embedding=self.embedding[chosen], titles=tuple(self.titles[i] for i in chosen))


def points_of(
    sampler: Sampler,
    pairs: Sequence[tuple[int, str | int | None]],
    truncation: float | None = None,
    kind: str = "resample",
) -> Points:
    """Return the points of seeds and classes.

    Args:
        sampler: whose classes and latents.
        pairs: (seed, class name or index); a class None is the seed's place in the list modulo the classes, as when
            sampling.
        truncation: T of the latents; None draws from the whole prior.
        kind: how to truncate.

    Raises:
        UserError: an unknown class, or a seed or a truncation out of range.
    """
    classes = max(sampler.info.architecture.classes, 1)
    labels = [i % classes if name is None else sampler.class_index(name) for i, (_, name) in enumerate(pairs)]
    seeds = [seed for seed, _ in pairs]
    dtype = next(sampler.generator.parameters()).dtype
    named = sampler.class_names
    return Points(
        z=latents(seeds, sampler.info.architecture.z_size, truncation, kind).to(dtype),
        embedding=embed_on_cpu(sampler.generator, torch.tensor(labels, dtype=torch.int64)),
        titles=tuple(
            f"{seed}:{named[label]}"[:LONGEST_TITLE] if named else str(seed)
            for seed, label in zip(seeds, labels, strict=True)
        ),
    )


def images_of(sampler: Sampler, points: Points) -> Tensor:
    """Return the images of points, uint8 [N, C, H, W]."""
    return draw(sampler.generator, points.z, points.embedding)


def joined(parts: Sequence[Points]) -> Points:
    """Return several points as one list, in order."""
    return Points(
        z=torch.cat([part.z for part in parts]),
        embedding=torch.cat([part.embedding for part in parts]),
        titles=tuple(title for part in parts for title in part.titles),
    )


def save_points(points: Points, sampler: Sampler, path: Path) -> None:
    """Write points of a sampler's generator, atomically; what lies there is replaced.

    Raises:
        UserError: a link, or a full disk.
    """
    record = _Record(generator=network_hash(sampler.generator), titles=points.titles)
    write_tensors(path, {"z": points.z, "embedding": points.embedding}, {_ROOT: to_json(record)})


def load_points(path: Path, sampler: Sampler) -> Points:
    """Return the points in a file.

    Raises:
        CorruptFileError: damaged, or of another kind.
        UserError: not there, or they belong to another generator.
    """
    shown = one_line(str(path))
    header = read_header(path)
    if header.keys() != {_ROOT}:
        raise CorruptFileError(f"{shown}: this file holds no latents; 'biggan explore breed' and 'project' write such")
    record = from_json(_Record, header[_ROOT], f"{path}: header")
    if record.generator != network_hash(sampler.generator):
        raise UserError(f"{shown}: its latents belong to another snapshot than {one_line(str(sampler.path))}")
    tensors = read_verified(path).tensors
    count, own = len(record.titles), points_of(sampler, [(0, 0)])
    sizes = {"z": (count, own.z.shape[1]), "embedding": (count, own.embedding.shape[1])}
    if {name: tuple(value.shape) for name, value in tensors.items()} != sizes or not all(
        value.dtype in _TYPES and bool(torch.isfinite(value).all()) for value in tensors.values()
    ):
        raise CorruptFileError(f"{shown}: its latents are not those that its header describes")
    return Points(z=tensors["z"], embedding=tensors["embedding"], titles=record.titles)
