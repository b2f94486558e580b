"""The only place that prints. What comes from files must not command a terminal. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

# Marks that reorder what follows them, so that a line reads as another one.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


_outliving = False


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


def open_standard_streams() -> None:
    """Let input, output and errors that were closed before the program began come from and go to nowhere.

    Else the first files that it opens take their numbers, and are written to by whatever complains.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115  # for as long as the process lives


@contextlib.contextmanager
def outliving_readers() -> Iterator[None]:
    """What is printed within may be heard by nobody: hours of work do not end with the window that shows them."""
    global _outliving
    before, _outliving = _outliving, True
    try:
        yield
    finally:
        _outliving = before


def _write(text: str, stream: TextIO) -> None:
    try:
        _print(text, stream)
    except OSError as error:  # a pipe that nobody reads, a terminal that is gone, a full disk
        if not _outliving:
            if error.filename is None:
                error.filename = "what is printed"  # may go to a file, which its system does not name
            raise
        _to_nowhere(stream)


def _to_nowhere(stream: TextIO) -> None:
    """Let all that is still written to ``stream`` go nowhere, what its buffer holds included."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _print(text: str, stream: TextIO) -> None:
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
