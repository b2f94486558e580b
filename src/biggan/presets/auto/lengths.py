"""How long ``auto`` trains, and how often it looks, saves and draws. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from biggan.foundation.durations import spoken
from biggan.foundation.errors import UserError
from biggan.training.configuration import LogConfig

HOURS = {"cpu": 1.0, "cuda": 8.0, "mps": 4.0}
"""That a run takes if nothing is said, by device."""
TRAINING = 0.85
"""Share of the time that is spent on iterations; the rest on looking at the images, sheets, looks and checkpoints."""
EPOCHS = 5000
"""Times that each image is shown at most: as often as in DiffAugment's runs on a tenth of CIFAR-10."""
COMPILING = 1200.0
"""Seconds of a run on a GPU from which on networks are compiled: they are a third faster, after a minute or two."""
FIRST_SHEET, LINE, SAVED = 25.0, 15.0, 600.0
"""Seconds of training until the first sheet, between lines of numbers, between checkpoints."""
PATIENCE, SOONEST = 45.0, 5.0
"""Seconds from the command on within which the first sheet is to be begun, and of training before it at least."""
_SHEETS, _CHECKPOINTS = 10, 5
"""At least so many in the course of a run."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a run is."""

    images: int
    pace: float
    """Images a second, as measured."""
    reason: str
    seconds: float
    """About how long it takes; what was given, where a time was."""

    @property
    def time(self) -> str:
        """About how long it takes, for a person."""
        return spoken(self.seconds)


def length_of(device: str, pace: float, hours: float | None, duration: int | None, images: int) -> Length:
    """Return the length of a run that trains on ``pace`` images a second.

    Args:
        device: cpu, cuda or mps.
        pace: as measured.
        hours: that were given.
        duration: that was given.
        images: how many there are.

    Raises:
        UserError: both were given, or a time that is none.
    """
    if hours is not None and duration is not None:
        raise UserError("--hours and --duration: both say how long to train; give one of them")
    if hours is not None and not 0 < hours <= 1e5:
        raise UserError(f"--hours {hours:g}: more than 0 and at most 100,000 hours; 0.5 is half an hour")
    measured = f"{pace:.3g} images a second, as measured"
    if duration is not None:
        needed = duration / pace / TRAINING
        return Length(images=duration, pace=pace, seconds=needed, reason=f"given; about {spoken(needed)} at {measured}")
    time = HOURS[device] if hours is None else hours
    possible = rounded(time * 3600 * pace * TRAINING)
    if possible > EPOCHS * images:
        enough = EPOCHS * images
        needed = enough / pace / TRAINING
        said = f"each image {EPOCHS:,} times is enough; about {spoken(needed)} at {measured}"
        return Length(images=enough, pace=pace, seconds=needed, reason=said)
    said = "given" if hours is not None else "by default; --hours says otherwise"
    seconds = time * 3600
    shown = f"{spoken(seconds)} ({said}), {TRAINING:.0%} of it training at {measured}"
    return Length(images=max(possible, 1), pace=pace, seconds=seconds, reason=shown)


def checkpoints(length: Length) -> int:
    """Return the interval of checkpoints, in images."""
    return max(rounded(min(SAVED * length.pace, length.images / _CHECKPOINTS)), 1)


def sheets(length: Length, *, classes: int, spent: float) -> LogConfig:
    """Return when is drawn and noted: the first sheet soon, later ones rarer.

    Args:
        length: of the run.
        classes: of the images.
        spent: seconds since the command, which a person who waits for a picture has waited already.
    """
    most = max(rounded(length.images / _SHEETS), 1)
    first = max(min(FIRST_SHEET, PATIENCE - spent), SOONEST)
    return LogConfig(
        every=max(rounded(min(LINE * length.pace, length.images / 20)), 1),
        samples_every=most,
        first_samples=min(max(rounded(first * length.pace), 1), most),
        sheet_columns=10 if classes <= 20 else 5,
        interpolation_rows=4,
    )


def rounded(images: float) -> int:
    """Return a number of images, rounded down to two digits."""
    whole = int(images)
    unit = 10 ** max(len(str(whole)) - 2, 0)
    return whole // unit * unit
