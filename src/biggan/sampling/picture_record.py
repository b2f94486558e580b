"""What a picture says about how it was drawn: one record, typed and bounded. Imports no torch.

It stands in the PNG file as JSON (:mod:`biggan.sampling.png_text`), and holds no names of files or of machines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.limits import Ge, Le, MaxLen
from biggan.foundation.records import LIMIT, Count, Name, parse_plain, parse_record
from biggan.models.bounds import MOST_CLASSES
from biggan.models.norm_records import Truncation, TruncationKind
from biggan.sampling.point_record import PointsShown
from biggan.sampling.statistics import NormStatistics

VERSION: Literal[1] = 1
MOST_CELLS = 2_000_000
"""Most images of a picture: more than have place on the largest one."""

_Seed = Annotated[int, Ge(0), Le(2**63 - 1)]
_Label = Annotated[int, Ge(0), Le(MOST_CLASSES)]
_Rows = Annotated[int, Ge(1), Le(10_000_000)]
_Side = Annotated[int, Ge(1), Le(100_000)]
Device = Literal["cpu", "cuda", "mps"]
_Hash = Annotated[str, MaxLen(64)]
Seeds = Annotated[tuple[_Seed | tuple[_Seed, _Seed], ...], MaxLen(MOST_CELLS)]
"""Seeds in order; those that follow one another as [first, last]."""
Labels = Annotated[tuple[_Label | tuple[_Label, _Label], ...], MaxLen(MOST_CELLS)]
"""Class indices in order, likewise."""


class NoRecordError(UserError):
    """A PNG file that does not say how it was drawn."""


@dataclass(frozen=True, kw_only=True)
class OneImage:
    """The picture is one image."""

    label: _Label
    seed: _Seed
    class_name: Name | None = None
    rows: _Rows = 1
    """Images of the batch in which it was drawn: a network rounds otherwise in another one."""
    row: Annotated[int, Ge(0)] = 0
    """Its place there."""

    def __post_init__(self) -> None:
        if self.row >= self.rows:
            raise ValueError(f"image {self.row} of a batch of {self.rows}, counted from 0")


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The picture shows every class x every seed, or every seed with labels that cycle through all classes."""

    labels: Labels = ()
    """Empty to cycle."""
    seeds: Seeds
    columns: _Side
    names: bool = False
    """Whether class names stand beside the rows."""
    paired: bool = False
    """Whether the labels go with the seeds one by one, in place of every class with every seed."""
    beside: Annotated[int, Ge(0), Le(100)] = 0
    """Images that follow each of these and that no generator drew, such as the real ones that lie nearest."""

    def __post_init__(self) -> None:
        if self.paired and length(self.labels) != length(self.seeds):
            raise ValueError("pairs of a class and a seed, of which one is missing")
        if self.beside and (self.names or self.columns != 1 + self.beside):
            raise ValueError("a row with images beside is one image and those")
        _at_most(self.count * (1 + self.beside))

    @property
    def count(self) -> int:
        """Images that the generator drew."""
        seeds = length(self.seeds)
        return seeds if self.paired else max(1, length(self.labels)) * seeds


@dataclass(frozen=True, kw_only=True)
class PathThrough:
    """The picture shows a path through key points, see :func:`biggan.sampling.interpolation.path_through`."""

    labels: Labels
    seeds: Seeds
    frames: Annotated[int, Ge(1), Le(MOST_CELLS)]
    curve: Literal["linear", "spherical"]
    loop: bool
    ends: bool = False
    """Whether a row shows both of its key points; files that do not say so are of a time when it did not."""

    def __post_init__(self) -> None:
        _at_most(max(length(self.labels), length(self.seeds)) * (self.frames + self.ends))


@dataclass(frozen=True, kw_only=True)
class Interpolations:
    """The picture is a sheet of :func:`biggan.sampling.interpolation.interpolation_sheet`."""

    moving: Literal["zy", "z", "y"]
    rows: _Side
    columns: _Side
    seed: Annotated[int, Ge(0), Le(2**53)]

    def __post_init__(self) -> None:
        _at_most(self.rows * self.columns)


@dataclass(frozen=True, kw_only=True)
class Refined:
    """How D chose the latents, with all that was fitted."""

    way: Annotated[str, MaxLen(1000)]
    """As ``--refine`` takes it, with all options."""
    slope: float
    bias: float
    known: Annotated[dict[Name, float], MaxLen(20)]
    """What the way itself had fitted."""
    discriminator: _Hash
    """SHA-256 of D, as :func:`biggan.sampling.identity.network_hash` has it."""

    def __post_init__(self) -> None:
        _check_hash(self.discriminator)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What decides how numbers are rounded."""

    device: Device
    threads: Annotated[int, Ge(1), Le(100_000)]
    channels_last: bool
    """How filters lie in memory."""
    compiled: bool
    torch: Annotated[str, MaxLen(100)]
    """Its release; of an exported page what drew in its place, by name."""
    biggan: Annotated[str, MaxLen(100)]


@dataclass(frozen=True, kw_only=True)
class PictureRecord:
    """All that an image is a function of, and what decides its last bit."""

    version: Literal[1] = VERSION
    generator: _Hash
    """SHA-256 of its weights and statistics, as :func:`biggan.sampling.identity.network_hash` has it."""
    images_seen: Count
    """By G in training; helps to find it."""
    truncation: Truncation | None = None
    """T; None for the whole prior."""
    truncation_kind: TruncationKind | None = None
    """How latents were truncated; None without a truncation."""
    statistics: NormStatistics
    """Of batch norm."""
    bank: _Hash | None = None
    """SHA-256 of the bank, where the statistics are of one."""
    refinement: Refined | None = None
    batch: _Rows
    """Images that were drawn at a time."""
    machine: Machine
    enlarged: Annotated[int, Ge(1), Le(4096)] = 1
    """Pixels a side that each pixel of a sheet's images became."""
    image: OneImage | None = None
    grid: Grid | None = None
    path: PathThrough | None = None
    interpolations: Interpolations | None = None
    points: PointsShown | None = None
    """One of these five is there."""

    def __post_init__(self) -> None:
        _check_hash(self.generator)
        if self.bank is not None:
            _check_hash(self.bank)
        if (self.truncation is None) != (self.truncation_kind is None):
            raise ValueError(f"truncation {self.truncation} and kind {self.truncation_kind} contradict each other")
        if len(self.statistics.between) == 1:
            raise ValueError("statistics between one truncation and none")
        shown = (self.image, self.grid, self.path, self.interpolations, self.points)
        if sum(one is not None for one in shown) != 1:
            raise ValueError("a picture is one of image, grid, path, interpolations and points")

        if self.enlarged > 1 and (self.image is not None or (self.points is not None and self.points.single)):
            raise ValueError("an image that is enlarged: only sheets are")

    @property
    def kind(self) -> TruncationKind:
        """How to truncate, also where nothing is."""
        return self.truncation_kind or "resample"


def packed(numbers: Iterable[int]) -> tuple[int | tuple[int, int], ...]:
    """Return numbers in order, three and more that follow one another as (first, last)."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    found: list[int | tuple[int, int]] = []
    for first, last in runs:
        found += [(first, last)] if last > first + 1 else range(first, last + 1)
    return tuple(found)


def unpacked(runs: Sequence[int | tuple[int, int]]) -> list[int]:
    """Return what :func:`packed` was given; check :func:`length` first."""
    found: list[int] = []
    for run in runs:
        found += [run] if isinstance(run, int) else range(run[0], run[1] + 1)
    return found


def length(runs: Sequence[int | tuple[int, int]]) -> int:
    """Return how many numbers the runs are.

    Raises:
        ValueError: one runs backwards.
    """
    if any(not isinstance(run, int) and run[1] < run[0] for run in runs):
        raise ValueError("a range that runs backwards")
    return sum(1 if isinstance(run, int) else run[1] - run[0] + 1 for run in runs)


def to_text(record: PictureRecord) -> str:
    """Return the record as JSON in ASCII, without what is not there.

    Raises:
        UserError: it names more seeds, classes or points than a picture can carry.
    """
    plain = _there(to_json(record)) | {"truncation": record.truncation}  # said also where there is none
    if record.enlarged == 1:
        del plain["enlarged"]
    text = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    if len(text) > LIMIT:
        raise UserError("what this picture shows is too much to be written into it; use --no-metadata")
    return text


def from_text(text: str | bytes, where: str) -> PictureRecord:
    """Return the record that :func:`to_text` wrote.

    Raises:
        CorruptFileError: it is damaged, of no possible values, or of a newer version.
    """
    plain = parse_plain(text, where)
    version = plain.get("version") if isinstance(plain, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise CorruptFileError(f"{where}: written by a newer version (form {version}); update biggan-torch")
    return parse_record(PictureRecord, text, where)


def _there(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _there(item) for name, item in value.items() if item is not None and item != []}
    return value


def _check_hash(value: str) -> None:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("a SHA-256 has 64 hexadecimal digits")


def _at_most(cells: int) -> None:
    if cells > MOST_CELLS:
        raise ValueError(f"{cells:,} images, where a picture can show {MOST_CELLS:,}")
