"""The only place that opens HDF5 files for reading: what lies in them is looked at before any of it is read.

HDF5 files may refer to other files, and describe more than they hold. Data sets are taken that lie in the file itself,
have the types that are expected, and are no larger than their bytes can be worth.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from biggan.data.bounds import MOST_DECODED, foreign, most_unpacked, refuse_bomb
from biggan.data.sources.hdf5_strings import LONGEST, variable_strings
from biggan.foundation.errors import CorruptFileError, UserError

CONTENT_HASH = "content_hash"
FORMATS = ("biggan-packed-1", "biggan-packed-2")
"""Of files that ``biggan data prepare`` wrote; the first has SHA-256 hashes of images, the second XXH3, and marks that
can be read without the library's heaps."""
HASH_BYTES = 16
_CHUNK_CACHE = 64 * 2**20  # bytes; the reference's chunks hold 500 images, which the default of 1 MiB cannot
_FILTERS = (1, 2, 3, 4, 32000)  # deflate, shuffle, fletcher32, szip, lzf: what this library brings itself
_LONGEST_MARK = 1024
_SHOWN = 10
_MOST_NAMES = 100_000
_DEEPEST = 32


@dataclass(frozen=True, kw_only=True)
class Head:
    """Everything in a file but the pixels."""

    shape: tuple[int, ...]
    """Of the images: [N, C, H, W]."""
    offset: int | None
    """Byte at which the pixels begin, None if they lie in chunks."""
    labels: npt.NDArray[Any]
    """[N], integers."""
    class_names: tuple[str, ...] | None
    """None if the file says nothing of names; empty for images without classes."""
    packed: str | None
    """Which of :data:`FORMATS` it is, None if others wrote it."""
    pixel_hashes: npt.NDArray[np.uint8] | None
    """uint8 [N, 16], of every packed image."""
    content_hash: str | None
    """Of all packed data; files of the first format have none that can be read safely."""


def read_head(path: Path) -> Head:
    """Return what a file holds beside the pixels.

    Raises:
        UserError: something is missing or of another type.
        CorruptFileError: damaged, or it refers to other files, or describes more than it holds.
    """
    where = f"--data {path}"
    with opened(path) as file, foreign(where, "not a readable HDF5 file"):
        length = path.stat().st_size
        images = images_of(file, path)
        shape = tuple(int(side) for side in images.shape)
        stored = images.chunks is None
        if math.prod(shape):
            refuse_bomb(f"{where}, imgs", math.prod(shape), min(images.id.get_storage_size(), length))
        offset = images.id.get_offset() if stored else None
        if offset is not None and offset + math.prod(shape) > length:
            raise CorruptFileError(f"{where}: the file ends before its images do; make or copy it again")
        labels = _values(file, "labels", where, length)
        names = _class_names(file, path, where, length) if _has(file, "class_names", where) else None
        marks = {name: _mark(file, name, where) for name in ("format", CONTENT_HASH)}
        hashes = _values(file, "pixel_hashes", where, length) if _has(file, "pixel_hashes", where) else None
    found = Head(
        shape=shape,
        offset=offset,
        labels=labels,
        class_names=names,
        packed=marks["format"] if marks["format"] != "" else FORMATS[0],
        pixel_hashes=hashes,
        content_hash=marks[CONTENT_HASH] or None,
    )
    if (found.packed, marks[CONTENT_HASH], hashes) == (None, None, None):
        return found
    # What lost one of its marks would else pass for a file of others, which has no hashes to be compared with.
    whole = found.packed in FORMATS and marks[CONTENT_HASH] is not None and names is not None and offset is not None
    whole &= (found.content_hash is None) == (found.packed == FORMATS[0])
    if not whole or hashes is None or hashes.shape != (shape[0], HASH_BYTES) or hashes.dtype != np.uint8:
        raise CorruptFileError(f"{where}: was packed, but its marks are damaged; pack it again")
    return found


@contextlib.contextmanager
def opened(path: Path, where: str = "") -> Iterator[Any]:
    """Yield a file, open for reading; ``where`` is how to call it in messages.

    Raises:
        CorruptFileError: it is none.
    """
    file = open_file(path, where)
    try:
        yield file
    finally:
        file.close()


def open_file(path: Path, where: str = "") -> Any:
    """Return a file, open for reading, with a cache that holds a chunk of the reference's.

    Raises:
        CorruptFileError: it is none.
    """
    with foreign(where or f"--data {path}", "not a readable HDF5 file"):
        return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)


def images_of(file: Any, path: Path) -> Any:
    """Return the data set of images.

    Raises:
        UserError: missing, or no images.
        CorruptFileError: see :func:`read_head`.
    """
    where = f"--data {path}"
    images = _data_set(file, "imgs", where)
    if images.ndim != 4 or images.dtype != np.uint8:
        raise UserError(f"{where}: imgs must be uint8 [N, C, H, W], not {images.dtype} {images.shape}")
    if images.shape[0] and not 0 < math.prod(images.shape[1:]) <= MOST_DECODED:
        raise UserError(f"{where}: images of {images.shape[1:]} are none")
    return images


def _has(file: Any, name: str, where: str) -> bool:
    with foreign(where, "not a readable HDF5 file"):
        return bool(file.id.links.exists(name.encode()))


def _data_set(file: Any, name: str, where: str) -> Any:
    """Return a data set that lies in the file itself, and not behind a link.

    Raises:
        UserError: it is missing.
        CorruptFileError: it lies elsewhere.
    """
    if not _has(file, name, where):
        with foreign(where, "not a readable HDF5 file"):
            known = ", ".join(itertools.islice(file, _SHOWN))
        raise UserError(f"{where}: no '{name}' in it, only {known or 'nothing'}")
    with foreign(f"{where}, {name}", "not a readable data set"):
        found = _own(file.id, name, where)
        if not isinstance(found, h5py.h5d.DatasetID):
            raise UserError(f"{where}: {name} must be a data set, not a group")
    return _checked(found, name, where)


def _own(group: Any, name: str, where: str) -> Any:
    """Return what lies under a name in the file itself."""
    if group.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise CorruptFileError(f"{where}: '{name}' is a link to something else; data must lie in the file itself")
    return h5py.h5o.open(group, name.encode())


def _checked(found: Any, name: str, where: str) -> Any:
    """Return a data set whose numbers lie in the file, in chunks of a size that can be read."""
    with foreign(f"{where}, {name}", "not a readable data set"):
        plan = found.get_create_plist()
        if (
            plan.get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED)
            or plan.get_external_count()
        ):
            raise CorruptFileError(
                f"{where}: '{name}' lies in other files (external or virtual); copy it into this one"
            )
        filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
        if not set(filters) <= set(_FILTERS):
            raise UserError(f"{where}: '{name}' is compressed by filter {filters}; write it with gzip, or without")
        data = h5py.Dataset(found, readonly=True)
        if data.chunks is not None and math.prod(data.chunks) * data.dtype.itemsize > MOST_DECODED:
            raise CorruptFileError(
                f"{where}: '{name}' lies in chunks of {data.chunks}, each more than {MOST_DECODED // 2**20} MiB"
            )
    return data


def read_numbers(path: Path, where: str = "") -> dict[str, npt.NDArray[Any]]:
    """Return every array of numbers in a file by its path (``group/name``), in memory.

    Raises:
        UserError: no such file, or arrays of other types.
        CorruptFileError: damaged, or it refers to other files, or describes more than it holds.
    """
    where = where or str(path)
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    length, read = path.stat().st_size, 0
    found: dict[str, npt.NDArray[Any]] = {}
    with opened(path, where) as file, foreign(where, "not a readable HDF5 file"):
        groups: list[tuple[str, Any]] = [("", file.id)]
        while groups:
            prefix, group = groups.pop()
            if len(groups) + len(found) > _MOST_NAMES or prefix.count("/") > _DEEPEST:
                raise CorruptFileError(f"{where}: more than {_MOST_NAMES:,} names, or groups in a circle")
            names = [group.get_objname_by_idx(place).decode() for place in range(group.get_num_objs())]
            for name in names:
                inner = _own(group, name, where)
                if not isinstance(inner, h5py.h5d.DatasetID):
                    groups.append((f"{prefix}{name}/", inner))
                    continue
                data = _checked(inner, f"{prefix}{name}", where)
                if data.dtype.kind not in "iuf" or data.shape is None:
                    raise UserError(f"{where}: {prefix}{name} is of type {data.dtype}; numbers are expected")
                size = math.prod(data.shape) * data.dtype.itemsize
                stored = min(data.id.get_storage_size(), length)
                refuse_bomb(f"{where}, {prefix}{name}", size, stored)
                read += size
                refuse_bomb(where, read, length)
                found[f"{prefix}{name}"] = np.asarray(data[()])
    return found


def _values(file: Any, name: str, where: str, length: int) -> npt.NDArray[Any]:
    """Return whole numbers, read into memory."""
    data = _data_set(file, name, where)
    with foreign(f"{where}, {name}", "not a readable data set"):
        if data.dtype.kind not in "iu" or data.shape is None or data.ndim > 2:
            raise UserError(f"{where}: {name} must be integers [N], not {data.dtype} {data.shape}")
        size = math.prod(data.shape) * data.dtype.itemsize
        refuse_bomb(f"{where}, {name}", size, min(data.id.get_storage_size(), length))
        return np.asarray(data[()])


def _class_names(file: Any, path: Path, where: str, length: int) -> tuple[str, ...]:
    """Return strings, of a fixed or any length."""
    data = _data_set(file, "class_names", where)
    with foreign(where, "class_names must be UTF-8 strings"):
        text = h5py.check_string_dtype(data.dtype)
        if text is None or data.ndim != 1 or (text.length or 0) > LONGEST:
            raise UserError(f"{where}: class_names must be UTF-8 strings [K], not {data.dtype} {data.shape}")
        if len(data) * data.id.get_type().get_size() > most_unpacked(length):
            raise CorruptFileError(f"{where}: {len(data):,} class_names are more than the file can hold")
        if text.length is not None:
            return tuple(name.decode() for name in data[()].tolist())
        if not len(data):
            return ()
        offset = data.id.get_offset() if data.chunks is None else None
        if offset is None or file.id.get_create_plist().get_sizes() != (8, 8):
            raise UserError(f"{where}: class_names must lie in one piece, or be strings of a fixed length")
        with path.open("rb") as raw:
            return tuple(variable_strings(raw, offset, len(data), length, file.userblock_size, where))


def _mark(file: Any, name: str, where: str) -> str | None:
    """Return a short text that is an attribute of the file.

    None if there is none, nothing if it has no fixed length: files of the first format have such, which would be read
    through a heap (see ``hdf5_strings``).
    """
    with foreign(where, f"its attribute {name} cannot be read"):
        if name not in file.attrs:
            return None
        mark = file.attrs.get_id(name)
        text = h5py.check_string_dtype(mark.dtype)
        if mark.shape != () or text is None or not 0 < (text.length or 0) <= _LONGEST_MARK:
            return ""
        return bytes(file.attrs[name]).decode()
