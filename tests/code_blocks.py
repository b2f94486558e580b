"""The fenced blocks of the documents: which there are, which are run, and what the words of a command are.

A comment before a block may say ``not run: WHY``, or ``run with: COMMAND: OPTIONS; ...``: what is added to commands of
ours, in the place of the same options, so that hours become seconds. ``{n}`` there is a number of its own each time,
and the command ``beside`` a server that answers while the block is run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(
    r"^(?P<mark><!-- (?:not run|run)[^>]*-->\n+)?(?P<indent> *)```(?P<language>\w+)\n(?P<code>.*?)^ *```", re.M | re.S
)
_SYNOPSIS = re.compile(r"[\[|]")
"""What stands for several commands, or for one with parts left out."""


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    code: str
    not_run: str
    """Why it is not run, from the comment ``<!-- not run: REASON -->`` before it; empty if it is."""
    run_with: dict[str, list[str]] = field(default_factory=dict, hash=False)
    """Words that are added to a command, from ``<!-- run with: COMMAND: OPTIONS; ... -->``."""

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name that the block says it is a file of, by a first line ``\"\"\"name.py\"\"\"``."""
        match = re.match(r'"""(\w+\.py)"""', self.code)
        return match[1] if match else None


def pages() -> list[Path]:
    """Return every document of the project."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of these languages, page by page."""
    found = []
    for page in pages():
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            if match["language"] in languages:
                mark = re.search(r"not run: ([^>]+?) -->", match["mark"] or "")
                more = re.search(r"run with: ([^>]+?) -->", match["mark"] or "")
                added = {
                    name.strip(): shlex.split(words)
                    for name, _, words in (part.partition(":") for part in (more[1] if more else "").split(";") if part)
                }
                line = text.count("\n", 0, match.start("indent")) + 1
                code = match["code"].replace("\n" + match["indent"], "\n").removeprefix(match["indent"])
                found.append(Block(page, line, match["language"], code, mark[1] if mark else "", added))
    return found


def commands(block: Block) -> list[list[str]]:
    """Return the words of each command of a shell block, without comments; synopses are left out."""
    joined = re.sub(r"\\\n\s*", " ", block.code)
    joined = re.sub(r"\n\s+(?=\[)", " ", joined)
    found = []
    for line in joined.splitlines():
        for part in line.split(" && "):
            if _SYNOPSIS.search(part) and not re.search(r"\[\w+(,\w+)*\]\"", part):
                continue
            words = shlex.split(part, comments=True)
            if words:
                found.append(words)
    return found


def smaller(words: list[str], added: list[str], number: int) -> list[str]:
    """Return the words of a command with those ``added``, in the place of the same options."""
    names = {word for word in added if word.startswith("--")}
    kept, left_out = [], False
    for word in words:
        if word.startswith("--"):
            left_out = word in names
        if not left_out:
            kept.append(word)
    kept = ["digits" if word == "PRESET" else word for word in kept]
    return [*kept, *(word.replace("{n}", str(number)) for word in added)]


def synopses(block: Block) -> list[str]:
    """Return the lines of a shell block that stand for several commands."""
    return [line for line in block.code.splitlines() if _SYNOPSIS.search(line.partition("#")[0])]
