"""What lies beside a packed file until it is finished: how far it is, under which settings, and who writes it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from biggan.data.preparation.packing_workers import RECORD_BYTES
from biggan.data.sources.hdf5_files import FORMATS
from biggan.foundation.errors import UserError
from biggan.foundation.files import refuse_link
from biggan.foundation.records import Count, read_record

FORMAT = FORMATS[-1]
_LONGEST_PROGRESS = 2**28


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Whatever decides what a packed file holds; another process goes on only under the same."""

    source: str
    """Key of the images."""
    images: Count
    shape: tuple[Count, Count, Count]
    """[C, H, W]."""
    crop: str
    filter: str
    background: str
    format: str = FORMAT


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a pack is, as it stands on disk."""

    settings: Settings
    offset: Count
    """Byte at which the pixels begin."""
    read: Count = 0
    """Images of the source that are done."""
    written: Count = 0
    """Images in the file, without corrupt ones."""
    corrupt: tuple[tuple[Count, str], ...] = ()


class Files:
    """The files beside the destination while it is not finished."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.pixels, self.progress, self.hashes, self.scratch, self.lock = (
            destination.with_name(f".{destination.name}.{part}")
            for part in ("packing", "progress", "hashes", "scratch", "lock")
        )

    def refuse_links(self) -> None:
        """Check that none of them would be written through a link."""
        for path in (self.pixels, self.progress, self.hashes, self.scratch, self.lock):
            refuse_link(path)

    def remove(self) -> None:
        """Remove what is not needed any more."""
        for path in (self.pixels, self.progress, self.hashes, self.scratch):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(destination: Path) -> Iterator[Files]:
    """Keep other processes from writing the same file; the lock goes with the process that holds it."""
    files = Files(destination)
    files.refuse_links()
    with files.lock.open("a") as lock:
        try:
            import fcntl

            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by workers
        except ImportError:
            pass  # no such locks on this system
        except OSError as error:
            raise UserError(f"{destination} is being written by another process; wait for it, or stop it") from error
        yield files
    files.lock.unlink(missing_ok=True)


def earlier_progress(files: Files, settings: Settings) -> Progress | None:
    """Return where an earlier process stood, None if there was none, or its work was of other data or settings."""
    if not (files.progress.is_file() and files.pixels.is_file()):
        return None
    try:
        stored = read_record(Progress, files.progress, limit=_LONGEST_PROGRESS)
    except UserError:
        return None
    # What was finished but for the last rename is shorter than what was allocated.
    images = stored.written if stored.read == settings.images else settings.images
    size = stored.offset + images * math.prod(settings.shape)
    whole = stored.written <= stored.read <= settings.images and files.pixels.stat().st_size >= size
    return stored if stored.settings == settings and whole and _hashes_reach(files, stored.written) else None


def _hashes_reach(files: Files, written: int) -> bool:
    """Tell whether the hashes of all images that were written are there."""
    return not written or (files.hashes.is_file() and files.hashes.stat().st_size >= written * RECORD_BYTES)
