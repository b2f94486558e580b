"""Where the bytes of image files lie: a directory, or an archive that is not unpacked."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np

from biggan.data.bounds import MOST_ENCODED, foreign, open_regular, refuse_bomb
from biggan.data.contract import UnreadableImageError, file_key
from biggan.foundation.errors import CorruptFileError


class Names(Sequence[str]):
    """Many strings in one block of memory: a million paths as Python strings would be copied by every worker."""

    def __init__(self, names: Sequence[str]) -> None:
        parts = [name.encode("utf-8", "surrogateescape") for name in names]
        self._ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        self._text = b"".join(parts)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        start = int(self._ends[index - 1]) if index else 0
        return self._text[start : int(self._ends[index])].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        return (self[index] for index in range(len(self)))


class Store(ABC):
    """Image files by name."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """Return the file ``name``, open for reading.

        Raises:
            OSError: it cannot be read.
        """

    @abstractmethod
    def key(self, names: Sequence[str]) -> str:
        """Return a hash that changes when one of the files ``names`` does."""

    @abstractmethod
    def title(self) -> str:
        """Return what it is, for the data card."""

    def where(self, name: str) -> str:
        """Return how a person finds the file ``name``."""
        return name


class FolderStore(Store):
    """Files of a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> IO[bytes]:
        """Return the file."""
        try:
            return open_regular(os.path.join(self.root, name))  # noqa: PTH118 - for each image
        except ValueError as error:  # a name with a NUL in it
            raise UnreadableImageError(f"{self.where(name)}: {error}") from error

    def key(self, names: Sequence[str]) -> str:
        """Return a hash of path, size and time of change of every file."""
        key = hashlib.sha256()
        root = os.fspath(self.root)
        for name in names:
            try:
                status = os.stat(f"{root}/{name}")  # noqa: PTH116 - a million of them
            except OSError as error:
                raise CorruptFileError(f"{root}/{name} has gone: {error}") from error
            key.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
        return key.hexdigest()

    def title(self) -> str:
        """Return the path."""
        return f"image folder {self.root}"

    def where(self, name: str) -> str:
        """Return the whole path."""
        return str(self.root / name)


class ZipStore(Store):
    """Members of a zip file, opened once in each process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        self._process = -1
        self._lock: Any = Lock()

    def __getstate__(self) -> dict[str, Any]:
        # An open file cannot travel to a worker process; each opens its own.
        return {"path": self.path}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def archive(self) -> zipfile.ZipFile:
        """Return the open archive of this process.

        Raises:
            CorruptFileError: it is no zip file.
        """
        with self._lock:
            if self._archive is None or self._process != os.getpid():
                with foreign(f"--data {self.path}", "not a readable zip file"):
                    self._archive, self._process = zipfile.ZipFile(self.path), os.getpid()
            assert self._archive is not None
            return self._archive

    def names(self) -> list[str]:
        """Return the names of all members.

        Raises:
            CorruptFileError: no zip file, or one in which a name stands twice.
        """
        names = self.archive().namelist()
        if len(set(names)) < len(names):
            double = next(name for name, count in Counter(names).items() if count > 1)
            raise CorruptFileError(f"--data {self.path}: two members are called {double}; make it again")
        return names

    def open(self, name: str) -> IO[bytes]:
        """Return a member."""
        return io.BytesIO(self.read(name, MOST_ENCODED))

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a member.

        Raises:
            UnreadableImageError: damaged, or larger than ``limit`` or than what its compressed bytes can be worth.
        """
        where = f"{self.path}: {name}"
        archive = self.archive()
        with foreign(where, "not a whole member", UnreadableImageError):
            info = archive.getinfo(name)
            try:
                refuse_bomb(where, info.file_size, min(info.compress_size, os.path.getsize(self.path)))  # noqa: PTH202
            except CorruptFileError as error:
                raise UnreadableImageError(str(error)) from error
            if info.file_size > limit:
                raise UnreadableImageError(f"{where}: {info.file_size:,} bytes, and at most {limit:,} are read")
            return archive.read(info)

    def key(self, names: Sequence[str]) -> str:  # noqa: ARG002 - the archive is one file
        """Return a key of the archive."""
        return file_key(self.path)

    def title(self) -> str:
        """Return the path."""
        return f"zip file {self.path}"

    def where(self, name: str) -> str:
        """Return archive and member."""
        return f"{self.path}: {name}"
