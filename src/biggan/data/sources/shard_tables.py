"""What lies in a tar shard: images with their classes, read off its headers once and kept in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

from biggan.data.bounds import MOST_ENCODED, foreign, is_file
from biggan.data.contract import file_key
from biggan.data.sources.image_files import is_image
from biggan.data.sources.shard_places import is_url
from biggan.data.sources.tar_headers import members
from biggan.foundation.downloads import cache_folder
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.limits import MaxLen
from biggan.foundation.records import Count, Name, parse_plain, read_record

_FORMAT = 2
_LONGEST_LABEL = 4096  # bytes of a .cls file
_LONGEST_JSON = 2**22
_LONGEST_TABLE = 2**30


@dataclass(frozen=True)
class Entry:
    """Where an image lies in a shard."""

    name: Annotated[str, MaxLen(2**16)]
    offset: Count
    size: Count
    label: Name | None


@dataclass(frozen=True)
class _Table:
    """A table of contents, as the cache keeps it."""

    format: Count
    entries: list[Entry]


def table(place: str, local: Callable[[str], Path]) -> list[Entry]:
    """Return what lies in a shard, from the cache if it has not changed since.

    Args:
        place: path or URL.
        local: returns the shard as a file.

    Raises:
        CorruptFileError: no whole tar file.
    """
    identity = place if is_url(place) else f"{Path(place).resolve()} {file_key(Path(place))}"
    folder = cache_folder() / "tables"
    cached = folder / f"{hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}.json"
    if is_file(cached):
        with contextlib.suppress(UserError):  # made again below
            kept = read_record(_Table, cached, limit=_LONGEST_TABLE)
            if kept.format == _FORMAT:
                return kept.entries
    path = local(place)
    where = f"--data {place}"
    with foreign(where, "not a whole tar file"), path.open("rb") as file:
        entries = _read(file, where, path.stat().st_size)
    with contextlib.suppress(OSError, UserError):  # without the cache, the headers are read again next time
        write_json(cached, dataclasses.asdict(_Table(_FORMAT, entries)))
    return entries


def _read(file: IO[bytes], where: str, length: int) -> list[Entry]:
    """Read the headers of a tar file, and the members that hold classes.

    An image and its class share a name up to the last dot. Further pictures of an image that has a class, such as masks
    (``key.png`` and ``key.seg.png``), are passed over.
    """
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    for member in members(file, where, length):
        key, _, extension = member.name.rpartition(".")
        if is_image(member.name):
            if key in images:
                raise CorruptFileError(f"{where}: {images[key][0]} and {member.name} share a key")
            if member.size > MOST_ENCODED:
                raise CorruptFileError(f"{where}: {member.name} has {member.size:,} bytes, which is no image")
            images[key] = member
        elif extension.lower() in ("cls", "json"):
            label = _label(file.read(min(member.size, _LONGEST_JSON + 1)), extension.lower())
            if label is not None:
                labels[key] = label
    return [
        Entry(*place, labels.get(key))
        for key, place in images.items()
        if key in labels or _first_key(key) == key or _first_key(key) not in images
    ]


def _first_key(key: str) -> str:
    """Return a key up to the first dot of its last part."""
    folder, separator, base = key.rpartition("/")
    return f"{folder}{separator}{base.partition('.')[0]}"


def _label(content: bytes, extension: str) -> str | None:
    """Return the class that a member beside an image tells; None if it tells none."""
    found: object = None
    if extension == "cls":
        found = content.decode("utf-8", "replace").strip() if len(content) <= _LONGEST_LABEL else None
    else:
        with contextlib.suppress(CorruptFileError):
            value = parse_plain(content, "", limit=_LONGEST_JSON)
            names = ("class_name", "label", "class", "cls")
            possible = [value.get(name) for name in names] if isinstance(value, dict) else []
            found = next((one for one in possible if isinstance(one, str | int) and not isinstance(one, bool)), None)
    return str(found)[:_LONGEST_LABEL] if found not in (None, "") else None
