"""Where results go. What exists is replaced only if that was asked for, and nothing is written through links."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line

_NAME_BYTES = 80


@dataclass(frozen=True, kw_only=True)
class OverwriteOption:
    """What every command that writes offers."""

    overwrite: bool = False
    """Replace what exists already. Without this, that is an error."""


def output_file(path: str | Path, *, overwrite: bool, option: str = "--out") -> Path:
    """Return ``path`` as a file that may be written; check before any work, and write with ``files.replacing``.

    Args:
        path: of the file to be.
        overwrite: whether a file that is there may be replaced.
        option: how messages call it.

    Raises:
        UserError: it exists and may not be replaced, is a folder, a link, a device or a pipe, or cannot be created.
    """
    found = _examine(path, option)
    shown = f"{option} {one_line(str(path))}"
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise UserError(f"{shown}: this is a folder; name a file")
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise UserError(f"{shown}: this is no ordinary file; choose another name")
    if found is not None and not overwrite:
        raise UserError(f"{shown} exists; add --overwrite to replace it, or choose another name")
    _check_parents(Path(path).parent, shown)
    return Path(path)


def refuse_source(path: Path, sources: Iterable[Path], *, option: str = "--out") -> None:
    """Check that what is to be written is none of the files that are read, which are never changed.

    Raises:
        UserError: it is one of them.
    """
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise UserError(
                f"{option} {one_line(str(path))}: this is what is read, which is never changed; name another"
            )


def output_folder(path: str | Path, *, overwrite: bool | None, option: str = "--out") -> Path:
    """Return ``path`` as a folder that may be written into: a new one, an empty one, or any with ``overwrite``.

    With ``overwrite``, files of the same names are replaced; others stay.

    Args:
        path: of the folder.
        overwrite: whether files that lie there may be replaced; None if the command never does that.
        option: how messages call it.

    Raises:
        UserError: something lies there and may not be replaced, it is no folder, a link, or cannot be created.
    """
    found = _examine(path, option)
    shown = f"{option} {one_line(str(path))}"
    if found is not None and not stat.S_ISDIR(found.st_mode):
        raise UserError(f"{shown}: this is a file; name a folder")
    if found is not None and not overwrite and next(Path(path).iterdir(), None) is not None:
        advice = "" if overwrite is None else "add --overwrite to replace files of the same names, or "
        raise UserError(f"{shown} is not empty; {advice}choose another folder")
    _check_parents(Path(path), shown)
    return Path(path)


def safe_name(index: int, name: str) -> str:
    """Return what files and folders of a class are called: its index, and what its name leaves.

    Whatever the name is, this is one part of a path on every system, of at most 100 bytes, and of this class alone
    (also where capitals do not count): letters, digits, dots, dashes and underscores after the index.
    """
    safe = re.sub(r"[^\w.-]+", "_", name[:1000])
    short = safe.encode("utf-8", "replace")[:_NAME_BYTES].decode("utf-8", "ignore").strip("._")
    return f"{index}_{short or 'class'}"


def _examine(path: str | Path, option: str) -> os.stat_result | None:
    """Return what lies at ``path``, None if nothing does; links and names that cannot be are errors."""
    if not str(path).strip():
        raise UserError(f"{option} '{path}': give it a name")
    try:
        found = Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:  # too long, a NUL, or not to be looked at
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{option} {one_line(str(path), 200)}: this cannot be written to ({reason})") from error
    if stat.S_ISLNK(found.st_mode):
        raise UserError(
            f"{option} {one_line(str(path))} is a link, and nothing is written through links; name the place it leads "
            f"to, {one_line(os.path.realpath(path))}"
        )
    return found


def _check_parents(folder: Path, shown: str) -> None:
    """Check that ``folder`` is one that can be written into, or could be made."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise UserError(f"{shown}: {one_line(str(there))} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{shown}: no permission to write in {one_line(str(there))}")
