"""``biggan data prepare``: any source, decoded and prepared once, as one HDF5 file that is mapped into memory.

The file is allocated whole, closed, and filled past the HDF5 library; a small file beside it tells how far. Images are
written in order, so that a process killed at any time goes on where it stood. The name of the finished file appears by
a rename at the end.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from biggan.data.contract import ImageSource
from biggan.data.preparation.packing_workers import RECORD_BYTES, chunk_size, prepared_chunks, scratch_bytes
from biggan.data.sources.hdf5 import CONTENT_HASH, HASH_BYTES, content_hash
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import sync_directory, write_json
from biggan.foundation.outputs import output_file
from biggan.foundation.records import read_plain

FORMAT = "biggan-packed-1"
_PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What was packed."""

    path: Path
    images: int
    corrupt: tuple[tuple[str, str], ...] = ()
    """(name, reason) of what was left out."""
    resumed_at: int = 0
    """Images that an earlier process had done."""
    discarded: bool = False
    """Whether unfinished work of other data or settings lay there."""


@dataclass
class _Progress:
    """How far a pack is, as it stands on disk."""

    settings: dict[str, Any]
    offset: int
    """Byte at which the pixels begin."""
    read: int = 0
    """Images of the source that are done."""
    written: int = 0
    """Images in the file, without corrupt ones."""
    corrupt: list[tuple[int, str]] = field(default_factory=list)
    fresh: bool = False
    """Begun by this process."""


def pack(
    source: ImageSource,
    destination: Path,
    settings: dict[str, Any],
    *,
    workers: int,
    skip_corrupt: bool = False,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Packed:
    """Write every image of ``source`` into one HDF5 file, or go on with that.

    Args:
        source: what to pack; its images come prepared.
        destination: the file to be.
        settings: whatever decides how images are prepared, as JSON; another process goes on only under the same.
        workers: processes that decode.
        skip_corrupt: leave corrupt images out instead of refusing to finish.
        overwrite: whether a file that lies there may be replaced, at the end.
        progress: called with the number of images done and of all.

    Raises:
        UserError: the file exists and may not be replaced, the disk is too small, another process is writing it, or
            images are corrupt (they are listed in a file beside; what was done is kept, so that the same command with
            --skip-corrupt finishes).
    """
    output_file(destination, overwrite=overwrite, option="DESTINATION")
    destination.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        **settings,
        "source": source.key(),
        "images": len(source),
        "shape": [source.channels, *source.resolution],
    }
    with _alone(destination) as files:
        earlier = files.progress.exists()
        state = _begin(files, settings, scratch_bytes(source, workers))
        resumed_at = state.read
        progress(state.read, len(source))
        try:
            _fill(source, files, state, workers, progress)
        except OSError as error:
            raise UserError(f"{destination}: cannot be written ({error}); what was done is kept") from error
        corrupt = (*source.left_out, *((source.name(index), reason) for index, reason in state.corrupt))
        report = destination.with_name(f"{destination.name}.corrupt.txt")
        if corrupt:
            lines = "".join(f"{name}\t{reason}\n" for name, reason in corrupt)
            report.write_bytes(lines.encode("utf-8", "surrogateescape"))
            if (state.corrupt and not skip_corrupt) or not state.written:
                raise UserError(
                    f"{len(corrupt)} of {len(source)} images are corrupt, for example {corrupt[0][0]}: "
                    f"{corrupt[0][1]}. All are listed in {report}. Add --skip-corrupt: what was done is kept. Or "
                    "repair them: then it starts again."
                )
        _finish(source, files, state)
        files.pixels.replace(destination)
        sync_directory(destination.parent)
        files.remove()
    return Packed(
        path=destination,
        images=state.written,
        corrupt=corrupt,
        resumed_at=resumed_at,
        discarded=earlier and state.fresh,
    )


class _Files:
    """The files beside the destination while it is not finished."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.pixels, self.progress, self.hashes, self.scratch, self.lock = (
            destination.with_name(f".{destination.name}.{part}")
            for part in ("packing", "progress", "hashes", "scratch", "lock")
        )

    def remove(self) -> None:
        """Remove what is not needed any more."""
        for path in (self.pixels, self.progress, self.hashes, self.scratch):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(destination: Path) -> Iterator[_Files]:
    """Keep other processes from writing the same file; the lock goes with the process that holds it."""
    files = _Files(destination)
    with files.lock.open("w") as lock:
        try:
            import fcntl

            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by workers
        except ImportError:
            pass  # no such locks on this system
        except OSError as error:
            raise UserError(f"{destination} is being written by another process; wait for it, or stop it") from error
        yield files
    files.lock.unlink(missing_ok=True)


def _begin(files: _Files, settings: dict[str, Any], scratch: int) -> _Progress:
    """Return where an earlier process stood, or allocate the file."""
    if files.progress.is_file() and files.pixels.is_file():
        try:
            stored = read_plain(files.progress)
            if stored["settings"] == json.loads(json.dumps(settings)):
                stored["corrupt"] = [(int(index), str(reason)) for index, reason in stored["corrupt"]]
                return _Progress(**{**stored, "fresh": False})
        except (CorruptFileError, KeyError, TypeError):
            pass
    files.remove()  # of other data or settings
    size = settings["images"] * int(np.prod(settings["shape"]))
    _check_space(files.destination, size + settings["images"] * RECORD_BYTES + scratch)
    try:
        offset = _allocate(files.pixels, settings["images"], settings["shape"])
        with files.pixels.open("rb+") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, offset + size)
    except (OSError, RuntimeError) as error:  # the HDF5 library raises the second
        files.remove()
        raise UserError(f"{files.destination}: cannot reserve {_size(size)} ({error})") from error
    state = _Progress(settings=settings, offset=offset)
    write_json(files.progress, vars(state))
    state.fresh = True
    return state


def _check_space(destination: Path, size: int) -> None:
    free = shutil.disk_usage(destination.parent).free
    if free < size:
        raise UserError(f"{destination}: needs {_size(size)}, {_size(free)} are free in {destination.parent}")


def _size(count: float) -> str:
    for unit in ("bytes", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def _allocate(path: Path, images: int, shape: list[int]) -> int:
    """Create an HDF5 file that holds ``imgs`` and nothing else, in one piece; return where the pixels begin."""
    with h5py.File(path, "w", libver="earliest") as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.CONTIGUOUS)
        plan.set_obj_track_times(False)  # the same images make the same bytes
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((images, *shape))
        data = h5py.h5d.create(file.id, b"imgs", h5py.h5t.STD_U8LE, space, plan)
        return int(data.get_offset())


def _fill(
    source: ImageSource, files: _Files, state: _Progress, workers: int, progress: Callable[[int, int], object]
) -> None:
    """Prepare and write what is left."""
    total = len(source)
    if state.read == total:
        return
    shape = (total, *state.settings["shape"])
    pixels = np.memmap(files.pixels, dtype=np.uint8, mode="r+", offset=state.offset, shape=shape)
    saved, saving = time.monotonic(), None
    with files.hashes.open("ab") as hashes, ThreadPoolExecutor(1) as saver:
        hashes.truncate(state.written * RECORD_BYTES)
        for start, images, done in prepared_chunks(source, files.scratch, state.read, workers):
            pixels[state.written : state.written + len(images)] = images
            hashes.write(done.hashes)
            state.written += len(images)
            state.read = min(start + chunk_size(source), total)
            state.corrupt += done.corrupt
            progress(state.read, total)
            if time.monotonic() - saved > _PROGRESS_SECONDS and (saving is None or saving.done()):
                # The disk is waited for in a thread: what it is told of lies behind what is being written now.
                saving = saver.submit(_save, files, copy.deepcopy(state), pixels, hashes)
                saved = time.monotonic()
        if saving is not None:
            saving.result()
        _save(files, state, pixels, hashes)
    files.scratch.unlink(missing_ok=True)


def _save(files: _Files, state: _Progress, pixels: np.memmap[Any, Any], hashes: IO[bytes]) -> None:
    """Tell how far it is, after what it tells is on disk."""
    pixels.flush()
    hashes.flush()
    os.fsync(hashes.fileno())
    write_json(files.progress, vars(state))


def _finish(source: ImageSource, files: _Files, state: _Progress) -> None:
    """Give the file its final length, and everything but the pixels; may be done again after a kill."""
    shape = state.settings["shape"]
    end = state.offset + state.written * int(np.prod(shape))
    # A fresh head, for as many images as there are: of an earlier attempt's labels nothing is left behind the pixels.
    head = files.pixels.with_name(f"{files.pixels.name}.head")
    offset = _allocate(head, state.written, shape)
    if offset != state.offset:
        raise RuntimeError(f"the HDF5 library lays out files at {offset} now, not at {state.offset}")
    with files.pixels.open("rb+") as file, head.open("rb") as fresh:
        file.write(fresh.read(offset))
        file.truncate(end)
    head.unlink()
    kept = np.ones(len(source), dtype=bool)
    kept[[index for index, _ in state.corrupt]] = False
    labels = source.labels[kept]
    records = np.frombuffer(files.hashes.read_bytes(), dtype=np.uint8).reshape(-1, RECORD_BYTES)[: state.written]
    with h5py.File(files.pixels, "r+") as packed:
        packed["labels"] = labels
        packed["class_names"] = np.array([name.encode() for name in source.class_names], dtype=h5py.string_dtype())
        packed["source_hashes"] = records[:, :HASH_BYTES]
        packed["pixel_hashes"] = records[:, HASH_BYTES:]
        packed.attrs["format"] = FORMAT
        packed.attrs["settings"] = json.dumps(state.settings)
        packed.attrs[CONTENT_HASH] = content_hash(records[:, HASH_BYTES:], labels, source.class_names, shape)
    with files.pixels.open("rb+") as file:
        os.fsync(file.fileno())
