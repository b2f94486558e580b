"""Several data sets as one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from biggan.data.contract import ImageArray, ImageSource, Indices, SourceNotes, encoded_names
from biggan.foundation.errors import UserError

_SHARD_SIZE = 10_000  # images of what is no shard that count as one beside real shards


class Mixture(ImageSource):
    """The images of several sources, one source after the other."""

    def __init__(
        self,
        sources: Sequence[ImageSource],
        titles: Sequence[str],
        weights: tuple[float, ...],
        *,
        join: bool,
        labelled: bool = True,
    ) -> None:
        """Join sources of one size and number of channels.

        Args:
            sources: at least one.
            titles: their paths; the last part of each tells classes apart that are not joined.
            weights: how often each is shown; empty: as often as it has images.
            join: whether classes of one name are one class.
            labelled: whether the labels will be used; otherwise sets without classes may be among them.

        Raises:
            UserError: some have classes and some have none.
        """
        super().__init__(sources[0].resolution)
        self.sources, self.part_weights = list(sources), weights
        self.channels = sources[0].channels
        self.in_memory = all(source.in_memory for source in sources)
        without = [title for source, title in zip(sources, titles, strict=True) if not source.class_names]
        if without and len(without) < len(sources) and labelled:
            raise UserError(
                f"--data.mix: {', '.join(without)} has no classes and the others have; drop them all with "
                "--data.labels unconditional, or put its images into a class folder"
            )
        lengths = [len(source) for source in sources]
        self.starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.parts = np.repeat(np.arange(len(sources)), lengths)
        names = [[] for _ in sources] if without else _distinct_names(sources, titles, join=join)
        self.class_names = tuple(sorted({name for own in names for name in own}))
        place = {name: index for index, name in enumerate(self.class_names)}
        self.labels = np.concatenate(
            [
                np.asarray([place[name] for name in own], dtype=np.int64)[source.labels] if own else 0 * source.labels
                for source, own in zip(sources, names, strict=True)
            ]
        )
        self.shards = _joined_shards(sources)
        self.enlarged = sum(source.enlarged for source in sources)
        self.left_out = tuple(item for source in sources for item in source.left_out)
        shares = ", ".join(
            f"{len(source):,} of {title}" + (f" (weight {weights[i]:g})" if weights else "")
            for i, (source, title) in enumerate(zip(sources, titles, strict=True))
        )
        self.remarks = [f"mixed: {shares}", *(remark for source in sources for remark in source.remarks)]

    def _where(self, index: int) -> tuple[ImageSource, int]:
        part = int(np.searchsorted(self.starts, index, side="right")) - 1
        return self.sources[part], index - int(self.starts[part])

    def read(self, index: int) -> ImageArray:
        """Return image ``index``, uint8 [C, H, W]."""
        source, own = self._where(index)
        return source.read(own)

    def read_many(self, indices: Indices) -> ImageArray:
        """Return images, uint8 [B, C, H, W], read from each source together."""
        found = np.empty((len(indices), self.channels, *self.resolution), dtype=np.uint8)
        part = np.searchsorted(self.starts, indices, side="right") - 1
        for number in np.unique(part):
            mine = part == number
            found[mine] = self.sources[number].read_many(indices[mine] - self.starts[number])
        return found

    def notes(self) -> SourceNotes:
        """Return what is known about all."""
        all_notes = [source.notes() for source in self.sources]
        sizes: dict[tuple[int, int], int] = {}
        modes: dict[str, int] = {}
        for notes in all_notes:
            for size, count in notes.sizes.items():
                sizes[size] = sizes.get(size, 0) + count
            for mode, count in notes.modes.items():
                modes[mode] = modes.get(mode, 0) + count
        return SourceNotes(
            kind=" + ".join(notes.kind for notes in all_notes),
            sizes=sizes,
            modes=modes,
            examined=sum(notes.examined for notes in all_notes),
            photographs=all(notes.photographs for notes in all_notes),
        )

    def key(self) -> str:
        """Return a hash of all sources, their shares and classes."""
        parts = [source.key() for source in self.sources]
        key = hashlib.sha256(repr((parts, self.part_weights)).encode())
        key.update(encoded_names(self.class_names))
        return key.hexdigest()

    def name(self, index: int) -> str:
        """Return how the image's own source calls it."""
        source, own = self._where(index)
        return source.name(own)

    def read_encoded(self, index: int) -> tuple[ImageArray, bytes]:
        """Return the image as its own source does."""
        source, own = self._where(index)
        return source.read_encoded(own)

    def encoded(self, index: int) -> bytes:
        """Return the image as its own source stores it."""
        source, own = self._where(index)
        return source.encoded(own)


def _distinct_names(sources: Sequence[ImageSource], titles: Sequence[str], *, join: bool) -> list[list[str]]:
    """Return the class names of every source, as they stand in the mixture."""
    if join:
        return [list(source.class_names) for source in sources]
    stems = [Path(title).stem for title in titles]
    if len(set(stems)) < len(stems):
        stems = [f"{stem} {number + 1}" for number, stem in enumerate(stems)]
    return [[f"{stem}/{name}" for name in source.class_names] for source, stem in zip(sources, stems, strict=True)]


def _joined_shards(sources: Sequence[ImageSource]) -> Indices | None:
    """Return shard numbers over all sources; what has no shards is dealt out over made-up ones."""
    if all(source.shards is None for source in sources):
        return None
    found: list[Indices] = []
    next_number = 0
    for source in sources:
        shards = source.shards
        if shards is None:
            shards = np.arange(len(source), dtype=np.int64) % -(-len(source) // _SHARD_SIZE)
        found.append(shards + next_number)
        next_number = int(found[-1].max()) + 1
    return np.concatenate(found)
