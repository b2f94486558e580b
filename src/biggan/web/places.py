"""What is served: runs and snapshots within the folders that were given. No other file is ever opened.

A client names an entry, never a path: names are looked up in a list that was made by looking into the folders. Links
are left out, also those that appear later.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from biggan.foundation.errors import CorruptFileError, UserError, nearest
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS
from biggan.foundation.tensor_files import read_metadata
from biggan.foundation.terminal import one_line
from biggan.models.snapshot import SUFFIX, find_snapshot, is_snapshot
from biggan.web.bounds import RequestError
from biggan.web.telling import Telling

_DEPTH = 3
_LOOK = 2.0
"""Seconds after which folders are looked into again."""
STATS = "stats.jsonl"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that is served.

    Attributes:
        name: by which clients call it.
        path: the run directory or the snapshot file.
        root: the folder beyond which nothing is read.
    """

    name: str
    path: Path
    root: Path
    kind: Literal["run", "snapshot"]

    def snapshot(self) -> Path:
        """Return the snapshot file that is its newest now.

        Raises:
            RequestError: it is gone (410), or lies outside of what is served (403).
        """
        for folder in (CHECKPOINTS, SNAPSHOTS):  # what lies in them says which is the newest
            check_inside(self.path / folder, self.root, self.name)
        try:
            found = find_snapshot(self.path)
        except (UserError, OSError) as error:
            raise gone(self.name) from error
        check_inside(found, self.root, self.name)
        return found

    @property
    def trains(self) -> bool:
        """Whether it is a run with a log."""
        return self.kind == "run" and (self.path / STATS).is_file()


def damaged(name: str) -> RequestError:
    """Return the error for what is there, and can not be read."""
    return RequestError(f"'{one_line(name, 80)}': its file is damaged, or not whole yet", 500)


def gone(name: str) -> RequestError:
    """Return the error for what was there when the server started."""
    return RequestError(f"'{one_line(name, 80)}' is no longer there; choose another model, or serve again", 410)


def check_inside(path: Path, root: Path, name: str) -> None:
    """Check that ``path`` lies in ``root`` whatever links say.

    Raises:
        RequestError: it does not (403).
    """
    if not Path(os.path.realpath(path)).is_relative_to(root):
        raise RequestError(f"'{one_line(name, 80)}' leads out of what is served, by a link; it is not read", 403)


def open_inside(path: Path, root: Path, name: str) -> BinaryIO:
    """Return an ordinary file in ``root``, opened for reading.

    Raises:
        RequestError: there is none (404), or a link leads to it (403).
    """
    check_inside(path, root, name)
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise RequestError(f"'{one_line(name, 80)}' has no such file", 404) from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise RequestError(f"'{one_line(name, 80)}' has no such file", 404)
    return os.fdopen(number, "rb")


class Places:
    """The entries of the folders, looked for anew now and then.

    Args:
        paths: runs, snapshots, or folders of them.
        most: entries that are offered.

    Attributes:
        default: the entry that is meant where none is named; the first of the list where it is empty, or gone.
        telling: of files that cannot be read.

    Raises:
        UserError: nothing there that can be served.
    """

    def __init__(self, paths: Sequence[str], most: int) -> None:
        self._roots = [_root(path) for path in dict.fromkeys(paths)]
        self._most, self._lock = most, threading.Lock()
        self.default, self.telling = "", Telling()
        self._entries = self._look()
        self._looked = time.monotonic()
        self._ever = dict(self._entries)
        if not self._entries:
            raise UserError(
                f"{one_line(', '.join(paths))}: no run, checkpoint or snapshot there; name one, or a folder with some"
            )

    def entries(self) -> dict[str, Entry]:
        """Return what is served by name, newest knowledge of at most two seconds ago."""
        with self._lock:
            if time.monotonic() - self._looked > _LOOK:
                self._entries, self._looked = self._look(), time.monotonic()
                self._ever |= self._entries
            return self._entries

    def find(self, name: str) -> Entry:
        """Return an entry; the default for an empty name.

        Raises:
            RequestError: there is none of this name (404) or no more (410), or its file is damaged (500).
        """
        known = self.entries()
        if not known:
            raise RequestError("nothing that was served is there any more", 410)
        if not name:
            return known.get(self.default) or next(iter(known.values()))
        if name not in known and name in self._ever:
            raise damaged(name) if self._ever[name].path.exists() else gone(name)
        if name not in known:
            close = ", ".join(one_line(other, 80) for other in nearest(name[:200], list(known), 3))
            raise RequestError(f"no model '{one_line(name, 80)}'; nearest: {close}", 404)
        return known[name]

    def _look(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for root in self._roots:
            for path in _candidates(root, root, _DEPTH, self.telling):
                if len(found) >= self._most:
                    return found
                name = path.relative_to(root).as_posix() if path != root else root.stem if root.is_file() else root.name
                while name in found:
                    name += "'"
                kind: Literal["run", "snapshot"] = "run" if path.is_dir() else "snapshot"
                found[name] = Entry(name=name, path=path, root=root, kind=kind)
        return found


def _root(path: str) -> Path:
    found = Path(path)
    if not found.exists():
        raise UserError(f"{one_line(path)}: there is no such run, snapshot or folder")
    return Path(os.path.realpath(found))


def _candidates(path: Path, root: Path, depth: int, telling: Telling) -> Iterator[Path]:
    """Yield the runs and snapshots in ``path``, itself if it is one; ``root`` is what was named."""
    if path.is_file():
        if _snapshot(path, telling):
            yield path
        return
    if (path / CHECKPOINTS).is_dir() or (path / SNAPSHOTS).is_dir() or _holds_snapshot(path, root):
        yield path
        return
    try:
        inside = sorted(one for one in path.iterdir() if not one.is_symlink() and not one.name.startswith("."))
    except OSError:
        return
    for one in inside:
        if one.is_file() and one.suffix == SUFFIX and _snapshot(one, telling):
            yield one
        elif one.is_dir() and depth > 1:
            yield from _candidates(one, root, depth - 1, telling)


def _snapshot(path: Path, telling: Telling) -> bool:
    """Tell whether a file is a snapshot; of one that is damaged, the terminal is told."""
    if is_snapshot(path):
        return True
    if not telling.knows(path):
        try:
            read_metadata(path)
        except CorruptFileError as error:
            telling.tell(path, error)
        except UserError:  # gone by now
            pass
    return False


def _holds_snapshot(folder: Path, root: Path) -> bool:
    """Tell whether a folder is that of a snapshot; what a link leads to outside of ``root`` is not read."""
    try:
        found = find_snapshot(folder)
    except (UserError, OSError):
        return False
    return Path(os.path.realpath(found)).is_relative_to(root) and is_snapshot(found)
