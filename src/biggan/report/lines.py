"""Lines of files that grow while a run goes on, read one by one: bounded memory, and no line can end a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biggan.foundation.errors import UserError
from biggan.foundation.records import parse_plain
from biggan.foundation.terminal import complain

LONGEST = 2**20
"""Bytes of a line of JSON; a longer one is damaged."""
_TOLD = 3


@dataclass(kw_only=True)
class Damage:
    """What of a file could not be used."""

    lines: int = 0
    examples: list[str] = field(default_factory=list)
    unfinished: bool = False
    """Whether the last line has no end: it is being written, or its writer was killed."""

    def note(self, reason: object) -> None:
        """Count a line."""
        self.lines += 1
        if len(self.examples) < _TOLD:
            self.examples.append(str(reason))

    def sentences(self, path: Path) -> list[str]:
        """Return what is to be said of it."""
        found = []
        if self.lines:
            plural = "lines are" if self.lines > 1 else "line is"
            found.append(f"{path}: {self.lines:,} {plural} damaged and left out: {'; '.join(self.examples)}")
        if self.unfinished:
            found.append(f"{path}: the last line is only half written and left out")
        return found

    def tell(self, path: Path) -> None:
        """Say on standard error what was left out; a line that is being written is nothing to tell."""
        if self.lines:
            complain(self.sentences(path)[0])


def whole_lines(path: Path, damage: Damage) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line) of a file, which need not exist; no more than one line is in memory.

    Raises:
        UserError: it cannot be read.
    """
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(LONGEST + 1):
                number += 1
                if line.endswith(b"\n"):
                    if line.strip():
                        yield number, line
                elif len(line) <= LONGEST:
                    damage.unfinished = True
                else:
                    damage.note(f"line {number} is longer than {LONGEST:,} bytes")
                    while line and not line.endswith(b"\n"):
                        line = file.readline(LONGEST)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def json_lines(path: Path, damage: Damage) -> Iterator[dict[str, Any]]:
    """Yield the objects that the lines of a file hold; others are counted."""
    for number, line in whole_lines(path, damage):
        try:
            record = parse_plain(line, f"line {number}", limit=LONGEST)
        except UserError as error:
            damage.note(error)
            continue
        if isinstance(record, dict):
            yield record
        else:
            damage.note(f"line {number} is no object")


def ends(path: Path, size: int = 2**16) -> tuple[str, str]:
    """Return the whole lines in the first and in the last ``size`` bytes of a text; twice the same if it is shorter."""
    if not path.is_file():
        return "", ""
    try:
        with path.open("rb") as file:
            head = file.read(size)
            length = file.seek(0, 2)
            file.seek(max(length - size, 0))
            tail = file.read(size)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if length > size:
        head, tail = head[: head.rfind(b"\n") + 1], tail[tail.find(b"\n") + 1 :]
    return head.decode("utf-8", "replace"), tail.decode("utf-8", "replace")
