"""Generators in memory: read once for all, anew when their file changes, and only so many."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from biggan.exploring.directions import Directions
from biggan.exploring.files import load_directions, stored_paths
from biggan.exploring.finding import find_directions
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.terminal import complain, one_line
from biggan.models.snapshot import read_info
from biggan.sampling.draw import divided_once
from biggan.sampling.picture_record import PictureRecord
from biggan.sampling.recording import Recorder
from biggan.sampling.sampler import Sampler, load
from biggan.web.bounds import Bounds, RequestError
from biggan.web.places import Entry, Places, check_inside, damaged

_LOOK = 1.0
"""Seconds after which a file is looked at again."""
_TRIES = 3
_DIRECTIONS = 6

Version = tuple[str, int, int, int]
"""Path, time of change in ns, bytes and number of a file: where one differs it is another."""


@dataclass(frozen=True)
class Loaded:
    """A generator in memory.

    Attributes:
        entry: where it comes from.
        version: of its file.
        sampler: what draws.
        directions: along which its images can be moved: those stored beside the file, else SeFa's first six.
        held: keeps the weights divided by their singular values, which else every batch divides anew.
        recorder: of pictures; hashes the generator when it is first asked.
        weight: bytes of its tensors, those that are divided counted twice.
    """

    entry: Entry
    version: Version
    sampler: Sampler
    directions: Directions
    held: contextlib.ExitStack
    recorder: Recorder
    weight: int

    def hold(self) -> None:
        """Keep the weights divided."""
        self.held.enter_context(divided_once(self.sampler.generator))

    @property
    def classes(self) -> int:
        """Number of classes; 0 for an unconditional generator."""
        return self.sampler.info.architecture.classes

    @property
    def levels(self) -> int:
        """Number of chunks of the latent that can be moved apart."""
        return self.sampler.info.architecture.latent_slots


class ModelStore:
    """The generators that are in use.

    Args:
        places: what there is.
        device: where to draw: auto, cpu, cuda or mps.
        bounds: how many generators are kept, and how many bytes of weights.
    """

    def __init__(self, places: Places, device: str, bounds: Bounds) -> None:
        self.places = places
        self._device, self._bounds = device, bounds
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._looked: dict[str, float] = {}
        self._lock = threading.Lock()

    def find(self, name: str) -> Loaded:
        """Return the generator of an entry as its file is now, or was a second ago; takes long when it is read.

        Raises:
            RequestError: no such entry (404), it is gone (410), or its file is damaged (500).
        """
        entry = self.places.find(name)
        with self._lock:
            known = self._loaded.get(entry.name)
            if known is not None and time.monotonic() - self._looked[entry.name] < _LOOK:
                self._loaded.move_to_end(entry.name)
                return known
            found = self._read(entry, known)
            self._loaded[entry.name] = found
            self._looked[entry.name] = time.monotonic()
            self._loaded.move_to_end(entry.name)
            while len(self._loaded) > 1 and self._too_much():
                self._looked.pop(self._loaded.popitem(last=False)[0])
            return found

    def begin(self) -> None:
        """Read the first generator that can be read, from then on the default; look at the headers of the others.

        Raises:
            RequestError: there is none; of the first of all.
        """
        first: RequestError | None = None
        for name, entry in self.places.entries().items():
            try:
                if self.places.default:
                    self._look(entry)
                else:
                    self.find(name)
                    self.places.default = name
            except RequestError as error:
                first = first or error
        if first is not None and not self.places.default:
            raise first

    def _look(self, entry: Entry) -> None:
        """Tell the terminal if the newest file of an entry is damaged, as far as its header says."""
        path = entry.snapshot()
        try:
            read_info(path)
        except CorruptFileError as error:
            self.places.telling.tell(path, error)
        except (UserError, OSError):  # of a newer format, or gone by now: who asks for it is told
            pass

    def _too_much(self) -> bool:
        held = sum(loaded.weight for loaded in self._loaded.values())
        return len(self._loaded) > self._bounds.models or held > self._bounds.weights

    def drawn_by(self, record: PictureRecord, name: str) -> str | None:
        """Return which entry drew a picture: ``name`` if it did, else one of those in memory; None if none did.

        Raises:
            RequestError: see :meth:`find`.
        """
        first = self.find(name)
        with self._lock:
            others = [loaded for loaded in self._loaded.values() if loaded is not first]
        for loaded in (first, *others):
            if loaded.recorder.drew(record):
                return loaded.entry.name
        return None

    def _read(self, entry: Entry, known: Loaded | None) -> Loaded:
        for attempt in range(_TRIES):
            path = entry.snapshot()
            try:
                version = _version(path)
                if known is not None and known.version == version:
                    return known
                return _loaded(entry, version, load(path, self._device))
            except CorruptFileError as error:
                self.places.telling.tell(path, error)
                raise damaged(entry.name) from error
            except (UserError, OSError) as error:  # a run that goes on removes old checkpoints: look again
                if attempt == _TRIES - 1:
                    raise RequestError(f"'{one_line(entry.name, 80)}' cannot be read at the moment", 503) from error
        raise AssertionError("unreachable")


def _loaded(entry: Entry, version: Version, sampler: Sampler) -> Loaded:
    directions = _directions(entry, sampler)
    weight = 2 * sum(tensor.nbytes for tensor in sampler.generator.state_dict().values())
    loaded = Loaded(entry, version, sampler, directions, contextlib.ExitStack(), Recorder(sampler), weight)
    loaded.hold()
    return loaded


def _directions(entry: Entry, sampler: Sampler) -> Directions:
    """Return the set of directions beside a snapshot that has most names, the first of equals; else what SeFa finds."""
    found = []
    for path in stored_paths(sampler):
        try:
            check_inside(path, entry.root, entry.name)
            found.append(load_directions(path, sampler))
        except UserError as error:  # another snapshot's, or damaged: the images can still be drawn
            complain(f"directions are left out: {error}")
    if found:
        return max(found, key=lambda one: sum(map(bool, one.names)))
    architecture = sampler.info.architecture
    return find_directions(sampler, "sefa", min(_DIRECTIONS, architecture.z_size // architecture.latent_slots))


def _version(path: Path) -> Version:
    found = path.stat()
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
