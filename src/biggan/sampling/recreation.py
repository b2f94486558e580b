"""A picture made again from what it says about itself, and the generator that drew it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS, clock_of
from biggan.foundation.tensor_files import read_metadata
from biggan.foundation.terminal import one_line
from biggan.models.snapshot import IN_CHECKPOINT, IN_FOLDER, SUFFIX, is_snapshot, read_info
from biggan.sampling.draw import default_chunk
from biggan.sampling.identity import network_hash, tensors_hash
from biggan.sampling.interpolation import Route, in_rows, interpolation_sheet, route_images
from biggan.sampling.picture_record import Grid, OneImage, PathThrough, PictureRecord, length, unpacked
from biggan.sampling.pictures import check_sheet, sheet, sheet_of, to_picture
from biggan.sampling.point_record import PointsShown
from biggan.sampling.point_sheets import sheet_of_record
from biggan.sampling.recording import machine
from biggan.sampling.sampler import Sampler, load

LARGEST_BATCH = 16
"""Times the usual number of images at a time that a picture may ask for; a file may claim any."""


@dataclass(frozen=True)
class Match:
    """The generator that drew a picture, or the one that is to stand in for it."""

    sampler: Sampler
    path: Path
    same: bool
    """Whether it is the one by its hash."""


def find_generator(record: PictureRecord, place: Path, device: str = "auto", *, anyway: bool = False) -> Match:
    """Return the generator that drew a picture, found by its hash.

    Args:
        record: of the picture.
        place: a snapshot, or where to search: a run (all of its snapshots and checkpoints), a checkpoint, or a folder
            with snapshots.
        device: as :func:`biggan.sampling.sampler.load` takes it.
        anyway: whether to return the one that ``place`` means where none has the hash.

    Raises:
        UserError: there is none with that hash; says what there is.
    """
    compiled, damaged, without_bank, seen = record.machine.compiled, [], False, 0
    candidates = _candidates(place)
    for path in sorted(candidates, key=lambda path: _age(path) != record.images_seen):
        try:
            sampler = load(path, device, compiled=compiled)
        except UserError as error:
            if len(candidates) == 1:
                raise
            damaged.append(str(error))
            continue
        seen += 1
        if network_hash(sampler.generator) != record.generator:
            continue
        bank = None if sampler.bank is None else tensors_hash(sampler.bank.tensors)
        if record.bank in (None, bank):
            return Match(sampler, path, same=True)
        without_bank = True
    if anyway:
        return Match(load(candidates[0], device, compiled=compiled), candidates[0], same=False)
    raise UserError(_none(record, place, seen, damaged, without_bank=without_bank))


def recreate(record: PictureRecord, sampler: Sampler) -> tuple[Image.Image, list[str]]:
    """Return the picture, and sentences on why its last bits may be others.

    Bitwise what was drawn, where the sampler's generator has the hash of the record, on a machine that rounds alike.

    Args:
        record: what to draw.
        sampler: with the generator; where the record says so, its ``refiner`` chooses latents.

    Raises:
        UserError: classes that the generator does not have, or a picture too large.
        CorruptFileError: the record says what cannot be.
    """
    notes = _differences(record, sampler)
    with _rounding_as(record, sampler):
        return _drawn(record, sampler, notes), notes


def _drawn(record: PictureRecord, sampler: Sampler, notes: list[str]) -> Image.Image:
    usual = default_chunk(sampler.generator)
    batch = record.batch
    if batch > LARGEST_BATCH * usual:
        notes.append(f"it was drawn {batch:,} at a time, which is much here: {usual} are")
        batch = usual
    if record.image is not None:
        return _image(record, record.image, sampler, batch, notes)
    if record.grid is not None:
        return _grid(record, record.grid, sampler, batch, notes)
    if record.path is not None:
        return _path(record, record.path, sampler, batch)
    if record.points is not None:
        return _points(record, record.points, sampler, batch, notes)
    assert record.interpolations is not None  # one of them is there
    asked = record.interpolations
    check_sheet(asked.rows * asked.columns, asked.columns, _shown(record, sampler), "metadata: columns")
    images = interpolation_sheet(
        sampler.generator, asked.moving, rows=asked.rows, columns=asked.columns, seed=asked.seed, chunk=batch
    )
    return sheet(images, asked.columns, enlarged=record.enlarged)


def _shown(record: PictureRecord, sampler: Sampler) -> tuple[int, int]:
    """Return (height, width) of an image on the sheet."""
    height, width = sampler.info.architecture.resolution
    return height * record.enlarged, width * record.enlarged


def _image(record: PictureRecord, one: OneImage, sampler: Sampler, batch: int, notes: list[str]) -> Image.Image:
    """Draw it in a batch of the same size at the same place: what lies beside it plays no part."""
    _check_labels([one.label], sampler)
    rows, row = one.rows, one.row
    if rows > batch:
        notes.append(f"it was drawn in a batch of {rows:,}, and is drawn alone here")
        rows, row = 1, 0
    images = _sample(sampler, [one.label] * rows, [one.seed] * rows, record, batch)
    return to_picture(images[row])


def _grid(record: PictureRecord, grid: Grid, sampler: Sampler, batch: int, notes: list[str]) -> Image.Image:
    count = grid.count
    if not count or (grid.names and not grid.labels):
        raise CorruptFileError("metadata: grid: no seeds, or names of no rows")
    check_sheet(count * (1 + grid.beside), grid.columns, _shown(record, sampler), "metadata: columns", grid.columns)
    labels, seeds = unpacked(grid.labels), unpacked(grid.seeds)
    _check_labels(labels, sampler)
    classes = max(sampler.info.architecture.classes, 1)
    every_label = [label for label in labels for _ in seeds] or [place % classes for place in range(count)]
    every_seed = seeds * max(len(labels), 1)
    if grid.paired:
        every_label, every_seed = labels, seeds
    images = _sample(sampler, every_label, every_seed, record, batch)
    if grid.beside:
        notes.append("the first image of each row was drawn; those beside it come from elsewhere, and are left white")
        rows = images.new_full((count, 1 + grid.beside, *images.shape[1:]), 255)
        rows[:, 0] = images
        images = rows.flatten(0, 1)
    names = [sampler.class_names[label] for label in labels] if grid.names and sampler.class_names else []
    return sheet(images, grid.columns, names, record.enlarged)


def _path(record: PictureRecord, path: PathThrough, sampler: Sampler, batch: int) -> Image.Image:
    points = max(length(path.labels), length(path.seeds))
    check_sheet(points * (path.frames + 1), path.frames + 1, _shown(record, sampler), "metadata: frames")
    labels, seeds = unpacked(path.labels), unpacked(path.seeds)
    _check_labels(labels, sampler)
    route = Route(labels=tuple(labels), seeds=tuple(seeds), frames=path.frames, curve=path.curve, loop=path.loop)
    parts = route_images(sampler, route, record.truncation, record.kind, batch)
    return sheet_of(in_rows(parts, route, ends=path.ends), *route.cells(ends=path.ends), enlarged=record.enlarged)


def _points(record: PictureRecord, shown: PointsShown, sampler: Sampler, batch: int, notes: list[str]) -> Image.Image:
    points = sheet_of_record(shown, sampler.generator, _shown(record, sampler))
    if points.blank:
        notes.append(f"{len(points.blank)} of {points.cells} cells no generator drew; they are left white")
    generator = sampler.at_truncation(record.truncation, record.kind)
    return points.picture(points.images(generator, batch), record.enlarged)


def _sample(sampler: Sampler, labels: Sequence[int], seeds: Sequence[int], record: PictureRecord, batch: int) -> Tensor:
    try:
        return sampler.sample(labels, seeds, record.truncation, record.kind, batch)
    except KeyError as error:  # of what a way of refining has fitted
        raise CorruptFileError(f"metadata: refinement: {error} is not among what was fitted") from error


def _check_labels(labels: Sequence[int], sampler: Sampler) -> None:
    for label in labels:
        sampler.class_index(label)


@contextlib.contextmanager
def _rounding_as(record: PictureRecord, sampler: Sampler) -> Iterator[None]:
    """Compute with as many threads, and with weights that lie in memory as they did, as far as this machine can."""
    threads, own = record.machine.threads, machine(sampler)
    form = torch.channels_last if record.machine.channels_last else torch.contiguous_format
    if own.channels_last != record.machine.channels_last:
        sampler.generator.to(memory_format=form)
    if threads <= (os.cpu_count() or 1):
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(own.threads)


def _differences(record: PictureRecord, sampler: Sampler) -> list[str]:
    """Return what makes other bits of the same numbers, or other numbers."""
    then, now = record.machine, machine(sampler)
    found = []
    if sampler.statistics(record.truncation, record.kind) != record.statistics:
        statistics = sampler.statistics(record.truncation, record.kind)
        found.append(f"the statistics of batch norm were {record.statistics}, and are {statistics}")
    if then.device != now.device:
        found.append(f"it was drawn on {then.device}, and is on {now.device}")
    if then.torch != now.torch:
        by = f"torch {then.torch}" if then.torch[:1].isdigit() else then.torch  # a page draws without it
        found.append(f"it was drawn by {one_line(by, 100)}, and is by torch {now.torch}")
    if then.device == "cpu" and then.threads > (os.cpu_count() or 1):
        found.append(f"it was drawn by {then.threads:,} threads, more than this machine has")
    if then.compiled != now.compiled:
        found.append("it was drawn by a compiled generator" if then.compiled else "this generator is compiled")
    return found


def _candidates(place: Path) -> list[Path]:
    """Return the files in which the generator may lie, newest first."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"{one_line(str(place))}: there is no such run, checkpoint or file")
    single = next((path for name in (IN_CHECKPOINT, IN_FOLDER) if (path := place / name).is_file()), None)
    if single is not None:  # a checkpoint, or a folder that was given away
        return [single]
    # Last of all those in the folder itself, as ``sample --standing-statistics`` writes them.
    patterns = (f"{SNAPSHOTS}/*{SUFFIX}", f"{CHECKPOINTS}/*/{IN_CHECKPOINT}", f"*{SUFFIX}")
    found = [path for pattern in patterns for path in place.glob(pattern) if path.is_file() and _may_be(path)]
    if not found:
        raise UserError(f"{one_line(str(place))}: no generator lies here; name a run, a checkpoint or a snapshot")
    return sorted(found, key=lambda path: (-_age(path), str(path)))


def _may_be(path: Path) -> bool:
    """Tell whether a file is a snapshot, or too damaged to say: directions and points are neither."""
    try:
        read_metadata(path)
    except UserError:
        return True
    return is_snapshot(path)


def _age(path: Path) -> int:
    """Return after how many images a generator was saved; -1 if the file does not say."""
    named = clock_of(path.parent.name if path.name == IN_CHECKPOINT else path.stem)
    if named is not None:
        return named
    try:
        return read_info(path).images_seen
    except UserError:
        return -1


def _none(record: PictureRecord, place: Path, seen: int, damaged: Sequence[str], *, without_bank: bool) -> str:
    where, age = one_line(str(place)), f"{record.images_seen:,} images"
    if without_bank:
        return (
            f"{where}: the generator lies here, but not the calibrated statistics that it drew with "
            f"({record.statistics}); name the file that 'biggan calibrate' wrote"
        )
    what = "this is another generator" if place.is_file() else f"none of the {seen} generators here is the one"
    text = f"{where}: {what}: the picture was drawn by one of the hash {record.generator[:16]}..., after {age}"
    if record.statistics.kind == "standing":
        text += f", with {record.statistics}, which are part of the hash (name the file that has them)"
    if damaged:
        text += f"; {len(damaged)} could not be read, first {one_line(damaged[0], 200)}"
    return f"{text}. Name the run or file with that one, or draw with what is here all the same by --anyway"
