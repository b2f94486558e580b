"""WebDataset tar shards, local or by URL: images by key, with their class beside them."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from biggan.data.bounds import MOST_ENCODED, is_folder, is_number, open_regular
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, SourceKind, UnreadableImageError, file_key
from biggan.data.sources.image_files import SAMPLE, ImageFiles, Listing
from biggan.data.sources.label_file import refuse_sparse, sort_classes
from biggan.data.sources.shard_places import NAMES_FILE, class_names, expand, is_url
from biggan.data.sources.shard_tables import table
from biggan.data.sources.stores import Store
from biggan.foundation.downloads import cache_folder, download
from biggan.foundation.errors import UserError

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
        if not is_folder(folder):
            return False
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
        return any(name.endswith(".tar") for name in names) and all(name.endswith((".tar", ".txt")) for name in names)

    @staticmethod
    def open(path: str, resolution: tuple[int, int], config: ReadingConfig) -> ImageSource:
        """Read the shards' tables of contents (from the cache, if they have not changed)."""
        places = expand(path)
        store = ShardStore(places, config.shard_cache * _GIB)
        return Shards(store, class_names(path), resolution, config)


class ShardStore(Store):
    """Images inside tar files; those that come by URL are fetched whole, and the longest unused ones removed."""

    def __init__(self, places: Sequence[str], cache_bytes: int) -> None:
        self.places, self.cache_bytes = tuple(places), cache_bytes
        self.tables = [table(place, self._local) for place in places]
        self._where = {
            f"{shard}/{entry.name}": (shard, entry.offset, entry.size)
            for shard, table in enumerate(self.tables)
            for entry in table
        }

    def _local(self, place: str) -> Path:
        """Return the shard as a file."""
        if not is_url(place):
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
        with open_regular(str(path)) as file:
            file.seek(offset)
            data = file.read(min(size, MOST_ENCODED))
        if len(data) != size:
            raise UnreadableImageError(f"{self.places[shard]}: ends inside {name}")
        return io.BytesIO(data)

    def key(self, names: Sequence[str]) -> str:  # noqa: ARG002 - the shards are what can change
        """Return a key of all shards."""
        local = [Path(place) for place in self.places if not is_url(place)]
        remote = "\n".join(place for place in self.places if is_url(place))
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
        if isinstance(store, ShardStore) and any(map(is_url, store.places)):
            return range(min(len(store.tables[0]), SAMPLE))
        return super()._looked_at(count)


def _classes(labels: list[str], names: tuple[str, ...], where: str) -> tuple[tuple[str, ...], list[int]]:
    """Return class names and the class index of each label, which is an index or a name.

    Raises:
        UserError: an index beyond the names that lie beside the shards.
    """
    if all(map(is_number, labels)):
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
