"""A report as Markdown, its pictures and curves as files beside it. All text is escaped where it enters, here alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from biggan.foundation.terminal import one_line
from biggan.report.charts import described
from biggan.report.document import Block, Charts, Document, Fold, Listing, Missing, Pictures, Table, Text
from biggan.report.embedding import Encoded

_MEANS = re.compile(r"([\\`*_{}\[\]#+!|~$=^])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_LIST = re.compile(r"^(\s*\d*)([-.)])(?=\s|-|$)")
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp|www)([:.])")


def render(document: Document, folder: str, pictures: Mapping[Path, Encoded | str]) -> str:
    """Return the text; curves and pictures are named as they lie in ``folder``, which lies beside it."""
    parts = [f"# {plain(document.title)}", plain(document.lead)]
    parts.append("\n".join(f"- [{plain(s.title)}](#{_anchor(s.title)})" for s in document.sections))
    for section in document.sections:
        parts.append(f"## {plain(section.title)}")
        parts += [_block(block, folder, pictures) for block in section.blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def plain(text: str, longest: int = 2000) -> str:
    """Return text from anywhere as one line that Markdown and the HTML within it show letter by letter."""
    line = _MEANS.sub(r"\\\1", one_line(text, longest))
    line = "".join(_ENTITIES.get(letter, letter) for letter in line)
    line = _ADDRESS.sub(lambda found: f"{found[1]}&#{ord(found[2])};", line)  # no address becomes a link by itself
    return _LIST.sub(lambda found: f"{found[1]}\\{found[2]}", line)


def _block(block: Block, folder: str, pictures: Mapping[Path, Encoded | str]) -> str:
    match block:
        case Text():
            return plain(block.text, 20_000)
        case Missing():
            return f"{plain(block.text)}{f': {_code(block.command)}' if block.command else ''}"
        case Table():
            rows = [block.head, tuple("---" for _ in block.head), *block.rows]
            lines = [
                "| " + " | ".join(cell if number == 1 else plain(cell, 1200) for cell in row) + " |"
                for number, row in enumerate(rows)
            ]
            return "\n".join([f"{plain(block.caption)}:", "", *lines])
        case Charts():
            return "\n\n".join(
                f"![{plain(described(chart))}]({quote(f'{folder}/{chart.name}.svg')})" for chart in block.charts
            )
        case Pictures():
            shown = []
            for picture in block.pictures:
                found = pictures.get(picture.path, "it is left out")
                if isinstance(found, str):
                    shown.append(plain(found))
                else:
                    address = quote(f"{folder}/{picture.name}.{found.ending}")
                    shown.append(f"![{plain(picture.alt)}]({address})\n\n{plain(picture.caption)}")
            return "\n\n".join(shown)
        case Listing():
            return _fenced(block.text)
        case Fold():
            inner = "\n\n".join(_block(one, folder, pictures) for one in block.blocks)
            return f"<details><summary>{plain(block.title)}</summary>\n\n{inner}\n\n</details>"


def _fenced(text: str) -> str:
    """Return lines between fences that are longer than any run of their letters within."""
    lines = [one_line(line) for line in text.splitlines()]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}text", *lines, fence])


def _code(text: str) -> str:
    line = one_line(text)
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    ticks = "`" * (longest + 1)
    return f"{ticks} {line} {ticks}" if "`" in line else f"{ticks}{line}{ticks}"


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
