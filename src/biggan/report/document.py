"""What a report is made of: sections of blocks, without a word of HTML or Markdown. Nothing here is escaped yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from biggan.report.charts import Chart


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """What a run's files do not hold, and which command would give it."""

    text: str
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first cell of a row is its heading."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: bool = False
    """Whether all but the first column are numbers."""


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Curves, side by side where there is room."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A file of a run, not yet read."""

    path: Path
    name: str
    """What a file beside a report is called, without its ending; letters, digits, dashes."""
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Pictures, side by side where there is room."""

    pictures: tuple[Picture, ...]
    small: bool = False
    """Whether they are to be compared with each other, and so stand close together."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Lines as they stand in a file."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Fold:
    """What is shown when it is asked for."""

    title: str
    blocks: tuple[Block, ...]


Block = Text | Missing | Table | Charts | Pictures | Listing | Fold


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter."""

    name: str
    """Letters and dashes: the end of its address."""
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report."""

    title: str
    lead: str
    sections: tuple[Section, ...]

    def pictures(self) -> list[Picture]:
        """Return all pictures, in order."""
        return [picture for section in self.sections for picture in _pictures(section.blocks)]


def _pictures(blocks: tuple[Block, ...]) -> list[Picture]:
    found: list[Picture] = []
    for block in blocks:
        if isinstance(block, Pictures):
            found += block.pictures
        elif isinstance(block, Fold):
            found += _pictures(block.blocks)
    return found
