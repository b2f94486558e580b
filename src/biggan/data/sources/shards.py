"""WebDataset tar shards, local or by URL: images by key, with their class beside them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind, UnreadableImageError, file_key
from biggan.data.sources.image_files import SAMPLE, ImageFiles, Listing, is_image
from biggan.data.sources.label_file import refuse_sparse, sort_classes
from biggan.data.sources.stores import Store
from biggan.foundation.downloads import cache_folder, download
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import write_json
from biggan.foundation.records import read_plain

NAMES_FILE = "class_names.txt"
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_INDEX_FORMAT = 1
_GIB = 2**30


class ShardsKind(SourceKind):
    """``x-{000..099}.tar``, a pattern with ``*``, a folder of tar files, or one tar file; also as a URL."""

    @staticmethod
    def matches(path: str) -> bool:
        """Tell whether the path ends in .tar, or is a folder that holds only tar files (and perhaps class names)."""
        if path.startswith(("http://", "https://")):
            return path.endswith(".tar")
        if path.endswith(".tar"):
            return not Path(path).name.startswith("cifar-")
        folder = Path(path)
        if not folder.is_dir():
            return False
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
        return any(name.endswith(".tar") for name in names) and all(name.endswith((".tar", ".txt")) for name in names)

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the shards' tables of contents (from the cache, if they have not changed)."""
        places = _expand(path)
        store = ShardStore(places, config.shard_cache * _GIB)
        return Shards(store, _class_names(path), resolution, config)


@dataclass(frozen=True)
class _Entry:
    """Where an image lies in a shard."""

    name: str
    offset: int
    size: int
    label: str | None


class ShardStore(Store):
    """Images inside tar files; those that come by URL are fetched whole, and the longest unused ones removed."""

    def __init__(self, places: Sequence[str], cache_bytes: int) -> None:
        self.places, self.cache_bytes = tuple(places), cache_bytes
        self.tables = [_table(place, self._local) for place in places]
        self._where = {
            f"{shard}/{entry.name}": (shard, entry.offset, entry.size)
            for shard, table in enumerate(self.tables)
            for entry in table
        }

    def _local(self, place: str) -> Path:
        """Return the shard as a file."""
        if not _is_url(place):
            return Path(place)
        folder = cache_folder() / "shards" / hashlib.sha256(place.encode()).hexdigest()[:16]
        found = download(place, folder=folder)
        os.utime(folder)  # used just now
        self._evict(folder)
        return found

    def _evict(self, keep: Path) -> None:
        """Remove the longest unused shards beyond the size that was allowed."""
        folders = sorted(
            (f for f in keep.parent.iterdir() if f.is_dir()), key=lambda f: f.stat().st_mtime, reverse=True
        )
        total = 0
        for folder in folders:
            files = [file for file in folder.iterdir() if file.suffix == ".tar"]
            total += sum(file.stat().st_size for file in files)
            if total > self.cache_bytes and folder != keep:
                for file in files:
                    file.unlink(missing_ok=True)

    def open(self, name: str) -> IO[bytes]:
        """Return the image."""
        shard, offset, size = self._where[name]
        path = self._local(self.places[shard])
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size)
        if len(data) != size:
            raise UnreadableImageError(f"{self.places[shard]}: ends inside {name}")
        return io.BytesIO(data)

    def key(self, names: Sequence[str]) -> str:  # noqa: ARG002 - the shards are what can change
        """Return a key of all shards."""
        local = [Path(place) for place in self.places if not _is_url(place)]
        remote = "\n".join(place for place in self.places if _is_url(place))
        return hashlib.sha256((remote + (file_key(*local) if local else "")).encode()).hexdigest()

    def title(self) -> str:
        """Return how many shards there are, and the first."""
        return f"{len(self.places)} tar shards, {self.places[0]}" + (" ..." if len(self.places) > 1 else "")

    def where(self, name: str) -> str:
        """Return shard and member."""
        shard, _, member = name.partition("/")
        return f"{self.places[int(shard)]}: {member}"


class Shards(ImageFiles):
    """Images of all shards, in the order in which they are stored."""

    def __init__(
        self, store: ShardStore, names: tuple[str, ...], resolution: tuple[int, int], config: ReadingConfig
    ) -> None:
        entries = [(shard, entry) for shard, table in enumerate(store.tables) for entry in table]
        labels = [entry.label for _, entry in entries if entry.label is not None]
        if 0 < len(labels) < len(entries) and config.labels == "data":
            shard, entry = next(pair for pair in entries if pair[1].label is None)
            raise UserError(
                f"--data {store.places[shard]}: {len(entries) - len(labels)} of {len(entries)} images have no class "
                f"(no .cls or .json beside them), such as {entry.name}; add them, or use --data.labels unconditional"
            )
        conditional = bool(labels) and len(labels) == len(entries)
        class_names, indices = _classes(labels, names, store.places[0]) if conditional else ((), [0] * len(entries))
        listing = Listing(
            files=[f"{shard}/{entry.name}" for shard, entry in entries], labels=indices, class_names=class_names
        )
        super().__init__(store, listing, resolution, config)
        self.shards = np.array([int(name.partition("/")[0]) for name in self.files], dtype=np.int64)

    def _looked_at(self, count: int) -> Sequence[int]:
        """Return the files whose headers are read: of shards that must be fetched, those of the first only."""
        store = self.store
        if isinstance(store, ShardStore) and any(map(_is_url, store.places)):
            return range(min(len(store.tables[0]), SAMPLE))
        return super()._looked_at(count)


def _classes(labels: list[str], names: tuple[str, ...], where: str) -> tuple[tuple[str, ...], list[int]]:
    """Return class names and the class index of each label, which is an index or a name.

    Raises:
        UserError: an index beyond the names that lie beside the shards.
    """
    if all(label.isascii() and label.isdigit() for label in labels):
        count = max(map(int, labels)) + 1
        refuse_sparse(where, count, len(labels))
        if names and len(names) < count:
            raise UserError(f"--data {where}: {NAMES_FILE} has {len(names)} names, the labels need {count}")
        return names or tuple(map(str, range(count))), [int(label) for label in labels]
    found = names or sort_classes(set(labels))
    place = {name: index for index, name in enumerate(found)}
    strange = sorted({label for label in labels if label not in place})
    if strange:
        raise UserError(f"--data {where}: class '{strange[0]}' is not in {NAMES_FILE}")
    return found, [place[label] for label in labels]


def _is_url(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _expand(path: str) -> list[str]:
    """Return the shards that a pattern means.

    Raises:
        UserError: none, or some of a range are missing.
    """
    found = _RANGE.search(path)
    if found:
        first, last = found[1], found[2]
        if int(last) < int(first):
            raise UserError(f"--data {path}: the range {found[0]} runs backwards")
        numbers = range(int(first), int(last) + 1)
        places = [f"{path[: found.start()]}{number:0{len(first)}}{path[found.end() :]}" for number in numbers]
    elif _is_url(path):
        places = [path]
    elif Path(path).is_dir():
        places = sorted(str(file) for file in Path(path).glob("*.tar"))
    elif "*" in path:
        places = sorted(str(file) for file in Path(path).parent.glob(Path(path).name))
    else:
        places = [path]
    missing = [place for place in places if not _is_url(place) and not Path(place).is_file()]
    if missing or not places:
        raise UserError(
            f"--data {path}: {len(missing) or 'all'} shards are missing, for example {(missing or [path])[0]}"
        )
    return places


def _class_names(path: str) -> tuple[str, ...]:
    """Return the lines of ``class_names.txt`` beside the shards, in order of index."""
    if _is_url(path):
        try:
            file = download(f"{path.rpartition('/')[0]}/{NAMES_FILE}")
        except UserError:  # it need not be there
            return ()
        return _lines(file)
    folder = Path(path) if Path(path).is_dir() else Path(path).parent
    file = folder / NAMES_FILE
    return _lines(file) if file.is_file() else ()


def _lines(file: Path) -> tuple[str, ...]:
    """Return the class names of a file, a line each."""
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8").rstrip().splitlines())
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"{file}: an empty line or a name that stands there twice; every line is a class, in order")
    return names


def _table(place: str, local: Any) -> list[_Entry]:
    """Return what lies in a shard, from the cache if it has not changed since."""
    identity = place if _is_url(place) else f"{Path(place).resolve()} {file_key(Path(place))}"
    cached = cache_folder() / "tables" / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.json"
    if cached.is_file():
        try:
            stored = read_plain(cached)
            if stored["format"] == _INDEX_FORMAT:
                return [_Entry(*entry) for entry in stored["entries"]]
        except (CorruptFileError, KeyError, TypeError):
            pass  # made again below
    path = local(place)
    try:
        entries = _read_table(path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise CorruptFileError(f"--data {place}: not a whole tar file ({error}); make or copy it again") from error
    write_json(cached, {"format": _INDEX_FORMAT, "entries": [[e.name, e.offset, e.size, e.label] for e in entries]})
    return entries


def _read_table(path: Path) -> list[_Entry]:
    """Read the headers of a tar file, and the members that hold classes.

    An image and its class share a name up to the last dot. Further pictures of an image that has a class, such as masks
    (``key.png`` and ``key.seg.png``), are passed over.
    """
    images: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, str] = {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if not member.isfile():
                continue
            key, _, extension = member.name.rpartition(".")
            if is_image(member.name):
                if key in images:
                    raise CorruptFileError(f"--data {path}: {images[key][0]} and {member.name} share a key")
                images[key] = (member.name, member.offset_data, member.size)
            elif extension.lower() in ("cls", "json"):
                content = archive.extractfile(member)
                label = _label(content.read().decode("utf-8", "replace"), extension.lower()) if content else None
                if label is not None:
                    labels[key] = label
    return [
        _Entry(*place, labels.get(key))
        for key, place in images.items()
        if key in labels or _first_key(key) == key or _first_key(key) not in images
    ]


def _first_key(key: str) -> str:
    """Return a key up to the first dot of its last part."""
    folder, separator, base = key.rpartition("/")
    return f"{folder}{separator}{base.partition('.')[0]}"


def _label(text: str, extension: str) -> str | None:
    if extension == "cls":
        return text.strip() or None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if isinstance(value, dict):
        for name in ("class_name", "label", "class", "cls"):
            if isinstance(value.get(name), str | int) and not isinstance(value[name], bool):
                return str(value[name])
    return None
