"""What came of a file so far: bytes, their hashes, and a note by which they can be trusted later."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from biggan.foundation.errors import UserError
from biggan.foundation.files import create, sync_directory, write_json
from biggan.foundation.records import Count, Name, read_record

BLOCK = 2**20
"""Bytes that are read at a time."""
_NOTED_EVERY = 2**26  # bytes after which a killed process can be made up for


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """What is known about an unfinished file."""

    address: Name
    """Hash of its address, which may hold what is nobody's business."""
    validator: Name
    """By which the server tells this content from another one."""
    length: Count
    """Bytes of the whole."""
    received: Count
    sha256: Name
    """Of what was received."""


class Unfinished:
    """The unfinished file beside ``path``; for one process at a time."""

    def __init__(self, path: Path, url: str, kinds: Collection[str]) -> None:
        self.path = path.with_name(f".{path.name}.partial")
        self.note = path.with_name(f".{path.name}.partial.json")
        self.whole, self.address = path, hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        self.kinds = {*kinds, "sha256"}
        self.hashes: dict[str, Any] = {}
        self.file: BinaryIO | None = None
        self.validator: str | None = None
        self.length, self.received, self._noted = 0, 0, 0

    def take_up(self) -> bool:
        """Open what an earlier attempt left; tell whether there is such, and it is what that attempt received."""
        try:
            begun = read_record(_Begun, self.note, limit=4096) if self.note.is_file() else None
            if begun is None or begun.address != self.address or self.path.is_symlink():
                return False
            if not 0 < begun.received <= begun.length or self.path.stat().st_size < begun.received:
                return False
            self.file = self.path.open("r+b")
        except (OSError, UserError):
            return False
        self.file.truncate(begun.received)
        self._start_hashes()
        while block := self.file.read(BLOCK):
            self._hash(block)
        if self.hashes["sha256"].hexdigest() != begun.sha256:
            self.discard()
            return False
        self.validator, self.length, self.received = begun.validator, begun.length, begun.received
        self._noted = begun.received
        return True

    def begin(self, validator: str | None, length: int) -> None:
        """Start with an empty file."""
        self.discard()
        self.file = os.fdopen(create(self.path), "wb")
        self.validator, self.length, self.received, self._noted = validator, length, 0, 0
        self._start_hashes()

    def write(self, block: bytes) -> None:
        """Append ``block``."""
        assert self.file is not None
        self.file.write(block)
        self._hash(block)
        self.received += len(block)
        if self.received - self._noted >= _NOTED_EVERY:
            self.keep()

    def keep(self) -> None:
        """Make sure that what came so far can be gone on with; remove it if it never can."""
        if self.file is None:
            return
        if self.validator is None or not 0 < self.received <= self.length:
            self.discard()
            return
        self._sync()
        hashed = self.hashes["sha256"].hexdigest()
        facts = {"address": self.address, "validator": self.validator, "length": self.length}
        write_json(self.note, {**facts, "received": self.received, "sha256": hashed})
        self._noted = self.received

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()
            self.file = None

    def discard(self) -> None:
        """Remove it."""
        self.close()
        for path in (self.note, self.path):
            path.unlink(missing_ok=True)

    def finish(self) -> dict[str, str]:
        """Give it its place; return the hashes of what it holds."""
        self._sync()
        self.close()
        self.path.replace(self.whole)
        self.note.unlink(missing_ok=True)
        sync_directory(self.whole.parent)
        return {kind: one.hexdigest() for kind, one in self.hashes.items()}

    def _sync(self) -> None:
        assert self.file is not None
        self.file.flush()
        os.fsync(self.file.fileno())

    def _start_hashes(self) -> None:
        self.hashes = {kind: hashlib.new(kind) for kind in self.kinds}

    def _hash(self, block: bytes) -> None:
        for one in self.hashes.values():
            one.update(block)
