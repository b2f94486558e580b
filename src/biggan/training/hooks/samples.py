"""Sheets of the published generator."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image

from biggan.foundation import distributed
from biggan.foundation.files import write_picture
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.interpolation import SHEET_COLUMNS, interpolation_sheet
from biggan.sampling.latents import latents
from biggan.sampling.picture_record import PictureRecord
from biggan.sampling.pictures import SHOWN, check_sheet, enlargement, sheet
from biggan.sampling.png_text import png_text
from biggan.sampling.recording import Recorder
from biggan.sampling.sampler import Sampler
from biggan.sampling.sheets import class_sheets, enlargement_of_pages, most_classes, rows_of_page
from biggan.training.configuration import LogConfig
from biggan.training.hooks.intervals import AtIntervals, evaluating
from biggan.training.run import Run
from biggan.training.run_directory import SAMPLES
from biggan.training.sinks.contract import Sinks

FIXED, CLASSES = "fixed.png", "classes.png"


def check_sheets(log: LogConfig, size: tuple[int, int]) -> None:
    """Check, before a run begins, that its sheets of images of ``size`` (height, width) can be drawn.

    Raises:
        UserError: one would be too large.
    """
    check_sheet(log.sheet_columns, log.sheet_columns, size, "--log.sheet-columns")
    rows = log.interpolation_rows
    check_sheet(rows * SHEET_COLUMNS, SHEET_COLUMNS, size, "--log.interpolation-rows", rows)


def next_sheet(clock: int, first: int, every: int) -> int:
    """Return when the next sheet is due after a clock: four at an interval of ``first``, then two each at twice it, ...

    So at 1, 2, 3, 4, 6, 8, 12, 16, 24 times ``first``, often at first and ever rarer; where that would be rarer than
    ``every``, at multiples of that.
    """
    interval = first
    while clock >= 4 * interval:
        interval *= 2
    interval = min(interval, every)
    return (clock // interval + 1) * interval


class Samples(AtIntervals):
    """Sheets from the published generator: fixed latents, every class, and the three interpolations."""

    def __init__(
        self, every: int, sinks: Sinks, *, columns: int, rows: int, chunk: int, first: int | None = None
    ) -> None:
        super().__init__(every)
        self._sinks = sinks
        self.columns, self.rows, self.chunk, self.first = columns, rows, chunk, first
        self.newest: Path | None = None
        """The sheet that a person looks at, of those that were drawn since this start."""

    def due(self, before: int, after: int) -> bool:
        """Tell whether a sheet is due between two clocks: at the interval, and by and by until that is reached."""
        if self.first is None or self.every is None:
            return super().due(before, after)
        return next_sheet(before, self.first, self.every) <= after

    def _act(self, run: Run) -> None:
        """Draw and write, on the first process."""
        distributed.on_primary(lambda: self._write(run), "drawing samples")
        self.newest = run.directory.path / SAMPLES / str(run.state.images_seen) / CLASSES

    def _write(self, run: Run) -> None:
        folder = run.directory.path / SAMPLES / str(run.state.images_seen)
        with evaluating(run.sampled) as generator:
            recorder = Recorder(Sampler(generator, run.info()), batch=self.chunk)
            seeds, columns = (range(80), 10) if generator.architecture.resolution[0] <= 128 else (range(24), 6)
            record = recorder.grid((), seeds, columns)
            self._put(run, folder / FIXED, self._fixed(generator, seeds, columns), record)
            size, classes = generator.architecture.resolution, max(generator.architecture.classes, 1)
            shown = range(min(classes, most_classes(size, self.columns)))
            # For people; the fixed ones are for films, which enlarge whole frames.
            enlarged = enlargement_of_pages(size, len(shown), self.columns, SHOWN)
            pages = class_sheets(
                generator, run.class_names, self.columns, labels=shown, chunk=self.chunk, enlarged=enlarged
            )
            rows = rows_of_page(size, self.columns)
            for number, page in enumerate(pages):
                labels = shown[number * rows : (number + 1) * rows]
                named = bool(run.class_names)
                record = recorder.grid(labels, range(self.columns), self.columns, names=named, enlarged=enlarged)
                name = f"classes_{number}.png" if number else CLASSES
                self._put(run, folder / name, page, record)
            enlarged = enlargement(size, self.rows * SHEET_COLUMNS, SHEET_COLUMNS)
            for kind in ("zy", "z", "y"):
                images = interpolation_sheet(generator, kind, rows=self.rows, chunk=self.chunk)
                record = recorder.interpolations(kind, self.rows, SHEET_COLUMNS, enlarged=enlarged)
                picture = sheet(images, SHEET_COLUMNS, enlarged=enlarged)
                self._put(run, folder / f"interpolation_{kind}.png", picture, record)

    def _put(self, run: Run, path: Path, picture: Image.Image, record: PictureRecord) -> None:
        write_picture(path, picture, pnginfo=png_text(record))
        self._sinks.image(run, f"{SAMPLES}/{path.stem}", picture)

    def _fixed(self, generator: Generator, seeds: range, columns: int) -> Image.Image:
        """The same latents and labels at every interval: how the model changes."""
        z = latents(seeds, generator.architecture.z_size)
        labels = torch.arange(len(seeds)) % max(generator.architecture.classes, 1)
        return sheet(draw(generator, z, labels, self.chunk), columns)
