"""A report of runs: read, put together, written whole or not at all."""

from __future__ import annotations

import time as clock
from collections.abc import Sequence
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes, write_atomically
from biggan.foundation.outputs import output_file, output_folder
from biggan.report import charts, curves, drawn, html_page, markdown_page, measured, settings
from biggan.report.document import Block, Charts, Document, Fold, Section
from biggan.report.embedding import Encoded, encode_all
from biggan.report.runs import RunFiles
from biggan.version import __version__

ENDINGS = (".html", ".md")
LARGEST = 20_000_000
"""Bytes of a report, its pictures included."""


def check_output(out: str | Path, *, overwrite: bool) -> Path:
    """Return where the report goes; nothing is written yet.

    Raises:
        UserError: another ending, something is there, or it cannot be written.
    """
    path = Path(out)
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"--out {path}: end the name of a report in {' or '.join(ENDINGS)}")
    output_file(path, overwrite=overwrite)
    if path.suffix.lower() == ".md":
        output_folder(beside(path), overwrite=overwrite, option="the pictures' folder")
    return path


def beside(path: Path) -> Path:
    """Return the folder in which the pictures of a Markdown report lie."""
    return path.with_name(f"{path.stem}_files")


def put_together(runs: Sequence[RunFiles], log: measured.Log, log_title: str) -> Document:
    """Return the report of one run or several."""
    names = ", ".join(run.name for run in runs)
    sections: list[Section] = [settings.differences(runs)] if len(runs) > 1 else []
    sections += [
        settings.at_a_glance(runs),
        measured.metrics(runs, log, log_title),
        drawn.samples(runs),
        curves.training_curves(runs),
        curves.singular_values(runs),
        curves.health(runs),
        drawn.sheets(runs),
        measured.truncation(runs),
        drawn.neighbours(runs),
        settings.data_card(runs),
        settings.configuration(runs),
        settings.environment(runs),
        settings.time(runs),
    ]
    lead = f"Made of the runs' files on {clock.strftime('%Y-%m-%d %H:%M')} by biggan {__version__}."
    title = f"Run {names}" if len(runs) == 1 else f"{len(runs)} runs: {names}"
    return Document(title=title, lead=lead, sections=tuple(sections))


def write(document: Document, path: Path) -> int:
    """Write the report, a picture after the other as far as its size allows; return its bytes.

    Raises:
        UserError: its text alone is too large, a link, or a full disk.
    """
    if path.suffix.lower() == ".md":
        return _write_markdown(document, path)
    text = len(html_page.render(document, {}).encode())
    budget = (_budget(text) - 400 * len(document.pictures())) * 3 // 4  # base64 makes four letters of three bytes
    page = html_page.render(document, encode_all(document.pictures(), budget)).encode()
    write_atomically(path, page)
    return len(page)


def _write_markdown(document: Document, path: Path) -> int:
    folder = beside(path)
    drawings = {
        f"{chart.name}.svg": charts.draw(chart, number, alone=True).encode()
        for number, chart in enumerate(chart for section in document.sections for chart in _charts(section.blocks))
    }
    text = len(markdown_page.render(document, folder.name, {}).encode())
    total = text + sum(map(len, drawings.values()))
    encoded = encode_all(document.pictures(), _budget(total) - 400 * len(document.pictures()))
    for picture in document.pictures():
        found = encoded[picture.path]
        if isinstance(found, Encoded):
            drawings[f"{picture.name}.{found.ending}"] = found.data
    for name, data in drawings.items():
        write_atomically(folder / name, data)
    page = markdown_page.render(document, folder.name, encoded).encode()
    write_atomically(path, page)
    return len(page) + sum(map(len, drawings.values()))


def _charts(blocks: Sequence[Block]) -> list[charts.Chart]:
    found: list[charts.Chart] = []
    for block in blocks:
        if isinstance(block, Charts):
            found += block.charts
        elif isinstance(block, Fold):
            found += _charts(block.blocks)
    return found


def _budget(used: int) -> int:
    """Return how many bytes are left for pictures."""
    if used > LARGEST:
        raise UserError(
            f"the report would have {format_bytes(used)} without any picture, and may have {format_bytes(LARGEST)}; "
            "name fewer runs"
        )
    return LARGEST - used
