"""``biggan data prepare | inspect | export``."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import tyro

from biggan.cli.parsing import read_options
from biggan.cli.progress import progress_bar
from biggan.data.configuration import ReadingConfig
from biggan.foundation.errors import UserError, nearest
from biggan.foundation.outputs import OverwriteOption, output_file
from biggan.foundation.sizes import Resolution
from biggan.foundation.terminal import one_line, say


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(ReadingConfig, OverwriteOption):
    """Decode, crop, resize and check all images once, into one HDF5 file that training maps into memory.

    Killed at any time, the same command goes on. BigGAN-PyTorch reads the file too.
    """

    path: tyro.conf.Positional[str] = tyro.MISSING
    """Where the images are: whatever --data takes."""
    destination: tyro.conf.Positional[str]
    """The file to write, .hdf5 (or .h5)."""
    resolution: Resolution
    """Size of the packed images: 128, or 256x64 for height x width."""
    max_enlargement: float = 2.0
    """Warn of images that are enlarged by more than this factor."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions(ReadingConfig, OverwriteOption):
    """Write images and labels as a zip file of the StyleGAN tools."""

    path: tyro.conf.Positional[str] = tyro.MISSING
    """Where the images are: whatever --data takes."""
    destination: tyro.conf.Positional[str]
    """The file to write, .zip."""
    resolution: Resolution
    """Size of the images: 128, or 256x64 for height x width."""


@dataclass(frozen=True, kw_only=True)
class InspectOptions(ReadingConfig, OverwriteOption):
    """Say what lies in a data set: classes, sizes, colours, brightness, duplicates, and what looks wrong."""

    path: tyro.conf.Positional[str] = tyro.MISSING
    """Where the images are: whatever --data takes."""
    json: bool = False
    """Print JSON instead of text."""
    out: str | None = None
    """Write a picture of labelled images and the class histogram here (.png)."""


def main(words: list[str]) -> int:
    """Find the sub-command."""
    commands: dict[str, Callable[[list[str]], int]] = {"prepare": _prepare, "inspect": _inspect, "export": _export}
    if not words or words[0] in ("-h", "--help"):
        say(
            "usage: biggan data COMMAND [OPTIONS]\n\ncommands:\n"
            "  prepare SRC DST   pack any images into one HDF5 file, checked and resized\n"
            "  inspect PATH      what lies in a data set, and what looks wrong\n"
            "  export SRC DST    images and labels as a zip file of the StyleGAN tools\n\n"
            "biggan data COMMAND --help tells the options of a command."
        )
        return 0 if words else 2
    if words[0] not in commands:
        raise UserError(
            f"unknown command 'data {one_line(words[0], 80)}'; nearest: {', '.join(nearest(words[0], commands, 3))}"
        )
    try:
        return commands[words[0]](words[1:])
    except UserError as error:
        # The same options without the prefix that they have in training.
        raise type(error)(str(error).replace("--data.", "--").replace("--data ", "")) from error


def _prepare(words: list[str]) -> int:
    options = read_options(PrepareOptions, words, "biggan data prepare")
    destination = output_file(options.destination, overwrite=options.overwrite, option="DESTINATION")
    if destination.suffix.lower() not in (".hdf5", ".h5"):
        raise UserError(f"{destination}: name a file that ends in .hdf5 or .h5")
    if not 0 < options.max_enlargement < math.inf:
        raise UserError(f"--max-enlargement {options.max_enlargement}: a positive number")
    from biggan.data.inspection import card
    from biggan.data.opening import open_images
    from biggan.data.preparation.fitting import enlargement, preparation
    from biggan.data.preparation.packing import pack

    _refuse_weights(options)
    source = open_images(options, options.resolution)
    say(card.text(card.describe(source)))
    how = preparation(options, options.resolution, source.channels)
    notes = source.notes()
    enlarged = sum(n for size, n in notes.sizes.items() if enlargement(size, how) > options.max_enlargement)
    if enlarged:
        say(f"warning: {enlarged} of {notes.examined} images are enlarged more than {options.max_enlargement:g} times")
    packed = pack(
        source,
        destination,
        options,
        workers=_workers(options),
        skip_corrupt=options.skip_corrupt,
        overwrite=options.overwrite,
        progress=progress_bar("preparing"),
    )
    if packed.discarded:
        say("unfinished work of other images or options lay there and was begun anew")
    if packed.resumed_at:
        say(f"went on at {packed.resumed_at:,} images, which an earlier process had done")
    if packed.corrupt:
        say(f"left out {len(packed.corrupt)} corrupt images, listed in {destination}.corrupt.txt")
    height, width = options.resolution
    say(f"{packed.images:,} images of {source.channels} x {height} x {width} in {destination}")
    return 0


def _export(words: list[str]) -> int:
    options = read_options(ExportOptions, words, "biggan data export")
    from biggan.data.opening import open_images
    from biggan.data.preparation.checking import check_all
    from biggan.data.preparation.export import export_zip

    destination = output_file(options.destination, overwrite=options.overwrite, option="DESTINATION")
    if destination.suffix.lower() != ".zip":
        raise UserError(f"{destination}: name a file that ends in .zip")
    _refuse_weights(options)
    source = open_images(options, options.resolution)
    if options.skip_corrupt:
        source = check_all(source, options)
    export_zip(source, destination, progress_bar("exporting"), overwrite=options.overwrite)
    say(f"{len(source):,} images in {options.destination}")
    return 0


def _inspect(words: list[str]) -> int:
    options = read_options(InspectOptions, words, "biggan data inspect")
    from biggan.data.inspection import inspection
    from biggan.data.opening import open_images
    from biggan.foundation.files import write_picture
    from biggan.sampling.pictures import check_picture

    out = None if options.out is None else output_file(options.out, overwrite=options.overwrite)
    if out is not None:
        check_picture(out)
    # Whatever cannot be read is part of the answer.
    source = open_images(dataclasses.replace(options, skip_corrupt=True), (inspection.SIDE, inspection.SIDE))
    found = inspection.inspect(source, progress_bar("reading"))
    say(json.dumps(found, indent=2) if options.json else inspection.text(found))
    if out is not None:
        write_picture(out, inspection.picture(source))
        if not options.json:
            say(str(out))
    return 0


def _refuse_weights(options: ReadingConfig) -> None:
    """Refuse what a packed file could not hold."""
    from biggan.data.opening import weighted

    if any(weighted(entry)[1] is not None for entry in options.mix):
        raise UserError(
            f"--mix {' '.join(options.mix)}: a file holds every image once, without weights; pack the data sets apart, "
            "and mix them in training"
        )


def _workers(options: ReadingConfig) -> int:
    if options.workers is not None:
        return options.workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
