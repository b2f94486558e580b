"""The only place that prints. What comes from files must not command a terminal. Imports nothing heavy."""

from __future__ import annotations

import shlex
import subprocess
import sys
import unicodedata
from typing import TextIO

# Marks that reorder what follows them, so that a line reads as another one.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Return ``text`` with control, reordering and surrogate characters written out; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _commands(c) else _written_out(c) for c in text)


def one_line(text: str, longest: int = 2000) -> str:
    """Return ``text`` as one printable line of at most ``longest`` characters, for a value within a message."""
    shown = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return "".join(_written_out(c) if _commands(c) else c for c in shown)


def typed(*words: object) -> str:
    """Return words as one types them into this machine's shell, quoted where they must be."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def say(text: str = "") -> None:
    """Print ``text`` to standard output, above any progress bar."""
    _write(text, sys.stdout)


def complain(text: str) -> None:
    """Print ``text`` to standard error, above any progress bar."""
    _write(text, sys.stderr)


def _write(text: str, stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    # A terminal of another encoding shows an escape, where an error would end the command.
    line = printable(text).encode(encoding, "backslashreplace").decode(encoding)
    bars = sys.modules.get("tqdm")
    if bars is None:
        print(line, file=stream, flush=True)
        return
    bars.tqdm.write(line, file=stream)
    stream.flush()


def _commands(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _REORDERING


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
