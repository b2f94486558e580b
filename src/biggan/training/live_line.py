"""One line of a terminal that tells how a run is: images, speed, time left, health, the newest sheet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from biggan.foundation import distributed
from biggan.foundation.terminal import one_line
from biggan.training.health.records import HealthRecord
from biggan.training.hooks.agenda import Agenda
from biggan.training.hooks.samples import CLASSES, Samples
from biggan.training.run import Run
from biggan.training.run_directory import SAMPLES

FORMAT = "{n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"
"""Without a bar: 60 columns hold the numbers and what :func:`said` adds to them, and what is too long is cut off."""


class LiveLine:
    """A progress bar with what a person asks of a run; shows nothing where there is no terminal."""

    def __init__(self, bar: tqdm[None], run: Run, agenda: Agenda) -> None:
        self.bar, self.run, self.agenda = bar, run, agenda

    def show(self, images: int) -> None:
        """Move on by ``images``."""
        self.bar.update(min(images, max(self.run.config.duration - self.bar.n, 0)))
        if not self.bar.disable:
            samples = self.agenda.views.get("samples")
            newest = samples.newest if isinstance(samples, Samples) else None
            waited = self.agenda.statistics.latest.get("data_wait", 0.0)
            self.bar.set_postfix_str(one_line(said(self.run.state.health, newest, waited)), refresh=False)


def said(health: Sequence[HealthRecord], sheet: Path | None, waited: float = 0.0) -> str:
    """Return what stands behind the numbers, health first: where a line is too long, its end is cut off.

    Args:
        health: the looks so far.
        sheet: the newest one, of which the part of its path within the run is told: ``samples/12000``.
        waited: share of the time in which data was waited for; said where it is a tenth or more.
    """
    parts = [", ".join(finding.kind for finding in health[-1].findings) or "healthy"] if health else []
    parts.append(f"{sheet.parent.parent.name}/{sheet.parent.name}" if sheet is not None else "no sheet yet")
    if waited >= 0.1:
        parts.append(f"{waited:.0%} waiting for data")
    return ", ".join(parts)


@contextlib.contextmanager
def live_line(run: Run, agenda: Agenda) -> Iterator[LiveLine]:
    """Show the line of a run while it trains."""
    with tqdm(
        total=run.config.duration,
        initial=min(run.state.images_seen, run.config.duration),
        unit="img",
        unit_scale=True,
        smoothing=0.005,  # a look at its health takes seconds, which are no reason to expect minutes more
        dynamic_ncols=True,
        bar_format=FORMAT,
        # Without a terminal the lines of the statistics tell how far it is.
        disable=None if distributed.is_primary() else True,
    ) as bar:
        found = newest_sheet(run.directory.path)
        line = LiveLine(bar, run, agenda)
        samples = agenda.views.get("samples")
        if isinstance(samples, Samples) and samples.newest is None:
            samples.newest = found
        yield line


def newest_sheet(run_dir: Path) -> Path | None:
    """Return the sheet of the largest clock in a run directory; None if there is none."""
    folder = run_dir / SAMPLES
    clocks = (int(path.name) for path in folder.iterdir() if path.name.isdecimal()) if folder.is_dir() else ()
    sheets = (folder / str(clock) / CLASSES for clock in sorted(clocks, reverse=True))
    return next((path for path in sheets if path.is_file()), None)
