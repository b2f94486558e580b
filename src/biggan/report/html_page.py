"""A report as one HTML file that fetches nothing and runs nothing. All text is escaped where it enters, here alone."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from biggan.report.charts import DARK, LIGHT, STYLE, draw, shown
from biggan.report.document import (
    Block,
    Charts,
    Document,
    Fold,
    Listing,
    Missing,
    Picture,
    Pictures,
    Section,
    Table,
    Text,
)
from biggan.report.embedding import Encoded

_WIDEST = 560  # pixels to which small pictures are enlarged, by whole numbers
_SMALL = 400
_LONGEST_LISTING = 100_000
_LONGEST_CELL = 1200
_WIDTHS = (4, 6, 8, 10, 12, 14, 16, 20, 24, 28)
"""Letters of a column: room for its longest word, so that only words beyond that are broken."""
_BREAKS = re.compile(r"\s+|(?<=-)")
"""Where a browser breaks a line by itself."""
_CSS = "".join(
    (
        f":root{{color-scheme:light dark;{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}",
        *(f".w{letters}{{min-width:{letters}ch}}" for letters in _WIDTHS),
        STYLE,
        (Path(__file__).parent / "page.css").read_text(encoding="utf-8").replace("\n", ""),
        f"@media print{{:root{{{LIGHT}}}}}",
    )
)
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'"
)
"""Nothing is fetched, nothing runs, and no rule but ours counts, whatever slipped through."""


def render(document: Document, pictures: Mapping[Path, Encoded | str]) -> str:
    """Return the page; a picture that ``pictures`` does not hold leaves its place empty."""
    numbers = itertools.count()
    contents = "".join(
        f'<li><a href="#{section.name}">{shown(section.title)}</a></li>' for section in document.sections
    )
    sections = "".join(_section(section, pictures, numbers) for section in document.sections)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{shown(document.title, 200)}</title><style>{_CSS}</style></head>\n<body>"
        f"<header><h1>{shown(document.title, 300)}</h1><p>{shown(document.lead)}</p></header>\n"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n<main>{sections}</main>\n'
        "<footer><p>Written by biggan report. This file is whole: it fetches nothing and runs nothing.</p></footer>"
        "</body></html>\n"
    )


def _section(section: Section, pictures: Mapping[Path, Encoded | str], numbers: Iterator[int]) -> str:
    inner = "".join(_block(block, pictures, numbers) for block in section.blocks)
    return (
        f'<section id="{section.name}" aria-labelledby="{section.name}-title"><h2 id="{section.name}-title">'
        f"{shown(section.title)}</h2>{inner}</section>\n"
    )


def _block(block: Block, pictures: Mapping[Path, Encoded | str], numbers: Iterator[int]) -> str:
    match block:
        case Text():
            return f"<p>{shown(block.text, 20_000)}</p>"
        case Missing():
            command = f": <code>{shown(block.command)}</code>" if block.command else ""
            return f'<p class="missing">{shown(block.text)}{command}</p>'
        case Table():
            return _table(block)
        case Charts():
            drawn = "".join(f"<figure>{draw(chart, next(numbers))}</figure>" for chart in block.charts)
            return f'<div class="charts">{drawn}</div>'
        case Pictures():
            drawn = "".join(_picture(one, pictures, _SMALL if block.small else _WIDEST) for one in block.pictures)
            return f'<div class="pictures{" small" if block.small else ""}">{drawn}</div>'
        case Listing():
            lines = block.text[:_LONGEST_LISTING].splitlines()
            return f'<pre tabindex="0">{"<br>".join(shown(line) for line in lines)}</pre>'
        case Fold():
            inner = "".join(_block(one, pictures, numbers) for one in block.blocks)
            return f"<details><summary>{shown(block.title)}</summary>{inner}</details>"


def _table(table: Table) -> str:
    widths = [_width(column) for column in zip(table.head, *table.rows, strict=True)]
    head = "".join(
        f'<th scope="col" class="w{width}">{shown(cell, _LONGEST_CELL)}</th>'
        for cell, width in zip(table.head, widths, strict=True)
    )
    # On a phone a row is a block, and each cell says of which column it is.
    columns = [f' data-of="{shown(name, _LONGEST_CELL)}"' if len(table.head) > 2 else "" for name in table.head]
    rows = "".join(
        f'<tr><th scope="row">{shown(row[0], _LONGEST_CELL)}</th>'
        + "".join(f"<td{of}>{shown(cell, _LONGEST_CELL)}</td>" for of, cell in zip(columns[1:], row[1:], strict=True))
        + "</tr>"
        for row in table.rows
    )
    classes = ("numbers" if table.numbers else "", "" if len(table.head) > 2 else "pairs")
    kind = f' class="{" ".join(filter(None, classes))}"' if any(classes) else ""
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{shown(table.caption)}"><table{kind}>'
        f"<caption>{shown(table.caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _width(cells: tuple[str, ...]) -> int:
    longest = max((len(word) for cell in cells for word in _BREAKS.split(cell[:_LONGEST_CELL])), default=0)
    return next((width for width in _WIDTHS if width >= longest), _WIDTHS[-1])


def _picture(picture: Picture, pictures: Mapping[Path, Encoded | str], widest: int) -> str:
    found = pictures.get(picture.path)
    if isinstance(found, str):
        return f'<p class="missing">{shown(found)}</p>'
    caption = shown(picture.caption)
    if found is None:
        return f'<figure><img alt="{shown(picture.alt)}"><figcaption>{caption}</figcaption></figure>'
    factor = max(1, min(4, widest // found.size[0]))
    width, height = (side * factor for side in found.size)
    pixels = ' class="pixels"' if factor > 1 else ""
    note = ". Shown with fewer pixels than the file has" if found.shrunk else ""
    data = base64.b64encode(found.data).decode()
    return (
        f'<figure><img{pixels} src="data:{found.kind};base64,{data}" width="{width}" height="{height}" '
        f'alt="{shown(picture.alt)}"><figcaption>{caption}{note}</figcaption></figure>'
    )
