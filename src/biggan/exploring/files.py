"""Directions on disk, beside the snapshot whose they are: safetensors with a header of JSON and a hash of it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from biggan.exploring.directions import KINDS, Directions, DirectionsRecord, Kind, Which
from biggan.exploring.layers import ALL, FIRST, stage_of
from biggan.foundation.config import from_json, to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.tensor_files import read_header, read_verified, write_tensors
from biggan.foundation.terminal import one_line
from biggan.models.architecture import Architecture
from biggan.sampling.identity import network_hash
from biggan.sampling.sampler import Sampler

_ROOT = "directions"
_VECTORS = "vectors"


def directions_path(snapshot: Path, kind: Kind, layer: str) -> Path:
    """Return where directions of a snapshot lie: ``120000.sefa-first.safetensors`` beside ``120000.safetensors``."""
    return snapshot.with_name(f"{snapshot.stem}.{kind}-{layer.replace(':', '')}.safetensors")


def save_directions(directions: Directions, path: Path) -> None:
    """Write directions, atomically; what lies there is replaced.

    Raises:
        UserError: a link, or a full disk.
    """
    write_tensors(path, {_VECTORS: directions.vectors}, {_ROOT: to_json(directions.record)})


def load_directions(path: Path, sampler: Sampler | None = None) -> Directions:
    """Return the directions in a file.

    Args:
        path: that :func:`save_directions` wrote.
        sampler: whose they must be; None to take anybody's.

    Raises:
        CorruptFileError: damaged, or of another kind.
        UserError: not there, or they belong to another generator.
    """
    header = read_header(path)
    if header.keys() != {_ROOT}:
        raise CorruptFileError(f"{one_line(str(path))}: there are no directions in this file")
    record = from_json(DirectionsRecord, header[_ROOT], f"{path}: header")
    # Before the tensors: that these are of another snapshot is the likelier mistake, and more help than their shape.
    if sampler is not None and record.generator != network_hash(sampler.generator):
        raise UserError(
            f"{one_line(str(path))}: these directions belong to another snapshot than "
            f"{one_line(str(sampler.path or 'this generator'))} (other weights or statistics); find this one's own "
            "with 'biggan explore directions' (--overwrite replaces the file)"
        )
    stored = read_verified(path)
    vectors = stored.tensors.get(_VECTORS)
    fits = (
        vectors is not None
        and stored.tensors.keys() == {_VECTORS}
        and vectors.dtype == torch.float64
        and vectors.ndim == 2
        and len(vectors) == len(record.names)
        and (sampler is None or vectors.shape[1] == sampler.info.architecture.z_size)
        and bool(torch.isfinite(vectors).all())
    )
    if vectors is None or not fits:
        raise CorruptFileError(f"{one_line(str(path))}: its vectors are not those that its header describes")
    return Directions(record=record, vectors=vectors)


def stored_paths(sampler: Sampler, kind: Kind | None = None, layer: str | None = None) -> list[Path]:
    """Return the files of directions that lie beside a snapshot, all or those of a kind or layer.

    Raises:
        UserError: no such layer, or the generator came from no file.
    """
    return list(_existing(snapshot_path(sampler), sampler.info.architecture, kind, layer))


def find_stored(
    sampler: Sampler,
    which: Which,
    kind: Kind | None = None,
    layer: str | None = None,
    *,
    option: str = "direction",
) -> tuple[Directions, int, Path]:
    """Return the stored directions that have the one that is meant, its number there, and their file.

    Args:
        sampler: of a snapshot beside which directions lie.
        which: number or name.
        kind: that is meant; None for any.
        layer: likewise.
        option: where it was named, for messages.

    Raises:
        UserError: none are stored, none is called so, several are, or they belong to another snapshot.
    """
    paths = stored_paths(sampler, kind, layer)
    if not paths:
        raise UserError(
            f"{one_line(str(snapshot_path(sampler)))}: no directions lie beside it"
            + ("" if kind is None and layer is None else " of that --by and --layer")
            + "; find them first: biggan explore directions RUN"
        )
    loaded = [(load_directions(path, sampler), path) for path in paths]
    hits = [(each, number, path) for each, path in loaded if (number := each.find(which)) is not None]
    if len(hits) == 1:
        return hits[0]
    word = one_line(str(which), 40)
    if hits:
        labels = ", ".join(each.label for each, _, _ in hits)
        raise UserError(f"{option} {word}: one of each of: {labels}; say which with --by, --layer")
    if len(loaded) == 1:
        raise loaded[0][0].missing(which, option)
    given = [name for each, _ in loaded for name in each.names if name]
    labels = ", ".join(f"{len(each)} of {each.label}" for each, _ in loaded)
    names = ", ".join(map(one_line, given)) or "none yet"
    raise UserError(f"{option} {word}: there are {labels}, from 0; names: {names}")


def snapshot_path(sampler: Sampler) -> Path:
    """Return the file of the sampler's generator.

    Raises:
        UserError: it was not read from one.
    """
    if sampler.path is None:
        raise UserError("this generator was not read from a file, so nothing can lie beside it; name a path")
    return sampler.path


def _existing(snapshot: Path, architecture: Architecture, kind: Kind | None, layer: str | None) -> Iterator[Path]:
    if layer is not None:
        stage_of(layer, architecture)
    stages = tuple(f"stage:{i}" for i in range(architecture.doublings))
    for one in KINDS if kind is None else (kind,):
        for name in (FIRST, *stages, ALL) if layer is None else (layer,):
            path = directions_path(snapshot, one, name)
            if path.is_file():
                yield path
