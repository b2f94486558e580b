"""The index of published weights: what exists, where, and where each of these facts was read.

It holds addresses that stand in what the authors of a family wrote, and nothing that was guessed: a hash, a size or a
licence that they do not state is absent. Imports no torch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import StringConstraints

from biggan.foundation.addresses import require_secure
from biggan.foundation.errors import unknown
from biggan.foundation.limits import Ge, Le, MaxLen, MinLen
from biggan.foundation.records import Count, read_record

INDEX = Path(__file__).with_name("index.json")

Text = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[ -~]+$")]
"""A line of printable characters."""
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]
"""A sha256, or the first digits of one."""
Way = Literal["download", "repository", "browser", "tensorflow", "rsync"]
"""How weights are had: by one request; from a repository of the Hugging Face Hub; or by hand, see :data:`BY_HAND`."""

BY_HAND: dict[Way, str] = {
    "browser": "Google asks a person to confirm: open the address in a browser, save what it offers, and unpack it.",
    "tensorflow": "This is a TensorFlow Hub module: open it with tensorflow_hub, and save its variables by name in one "
    ".npz or HDF5 file.",
    "rsync": "Fetch it with rsync and unpack it; it is a TensorFlow checkpoint: save its variables by name in one "
    ".npz file.",
}
"""What a person has to do for weights that no single request gives."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file."""

    address: Text
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] | None = None
    """What it is called beside the other files; by default what its address calls it."""
    sha256: Hash | None = None
    size: Text | None = None
    """As the source states it."""


@dataclass(frozen=True, kw_only=True)
class PublishedNumber:
    """A metric as its source states it."""

    metric: Text
    value: float
    protocol: Text
    """In words; such numbers compare with no other protocol's."""


@dataclass(frozen=True, kw_only=True)
class ReadAt:
    """Where a fact stands."""

    document: Text
    says: Text
    """Which facts."""
    line: Count | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights that somebody published."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,79}$")]
    family: Text
    """Whose implementation wrote them."""
    architecture: Text | None = None
    data: Text
    """What they were trained on."""
    resolution: Annotated[int, Ge(1), Le(2**20)] | None = None
    """Side of the square images in pixels; None where several are meant."""
    way: Way
    files: Annotated[tuple[PublishedFile, ...], MinLen(1)]
    licence: Text | None = None
    """Of the weights; None if their source does not state one."""
    source: Text | None = None
    """The page that publishes them."""
    read_at: Annotated[tuple[ReadAt, ...], MinLen(1)]
    discriminator: bool | None = None
    """Whether D is published too; None if the source does not say."""
    metrics: tuple[PublishedNumber, ...] = ()
    note: Annotated[str, StringConstraints(max_length=400, pattern=r"^[ -~]*$")] = ""

    def __post_init__(self) -> None:
        for address in [file.address for file in self.files if self.way != "rsync"] + [self.source or ""]:
            if address:
                require_secure(address)
        if len(self.files) > 1 and not all(file.name for file in self.files):
            raise ValueError(f"{self.name}: several files lie in one folder, so that each needs a name")

    @property
    def size(self) -> str:
        """As the source states it; empty where it does not."""
        return ", ".join(file.size for file in self.files if file.size)


@dataclass(frozen=True, kw_only=True)
class Index:
    """All of them."""

    weights: Annotated[tuple[Published, ...], MaxLen(10_000)]

    def __post_init__(self) -> None:
        for what, words in (
            ("name", [one.name for one in self.weights]),
            ("address", [file.address for one in self.weights for file in one.files]),
        ):
            twice = sorted({word for word in words if words.count(word) > 1})
            if twice:
                raise ValueError(f"the {what} {twice[0]} stands twice")

    def find(self, name: str) -> Published:
        """Return the weights of a name.

        Raises:
            UserError: none has it; the nearest names are listed.
        """
        found = {one.name: one for one in self.weights}
        if name not in found:
            raise unknown("weights", name, found)
        return found[name]


@functools.cache
def read_index(path: Path = INDEX) -> Index:
    """Return what an index file holds.

    Raises:
        CorruptFileError: not such a file; names entry, field and value.
    """
    return read_record(Index, path)


def table(weights: tuple[Published, ...]) -> str:
    """Return weights as lines for a person: name, pixels, whether D is there, and the data.

    Their numbers are left to :func:`describe`, for they are of many protocols and do not stand in one column.
    """
    width = max(len(one.name) for one in weights)
    lines = [f"{'name':{width}}  pixels  D    data"]
    for one in weights:
        lines.append(
            f"{one.name:{width}}  {one.resolution or '-':>6}  {_yes(one.discriminator):3}  {one.data}"
            + ("" if one.way in ("download", "repository") else "  (by hand)")
        )
    return "\n".join(lines)


def describe(one: Published) -> str:
    """Return all that is known about weights, as lines for a person."""
    architecture = f", {one.architecture}" if one.architecture else ""
    size = f" of {one.resolution} px" if one.resolution else ""
    lines = [
        f"{one.name}: weights of {one.family}{architecture}, {one.data}{size}",
        *([f"  {one.note}"] if one.note else []),
        f"  discriminator: {_yes(one.discriminator)}; size: {one.size or 'not stated'}; "
        f"licence of the weights: {one.licence or 'not stated'}",
        *(f"  {number.metric} {number.value:g} ({number.protocol})" for number in one.metrics),
        *([f"  published at {one.source}"] if one.source else []),
        *(f"  {file.address}" for file in one.files),
    ]
    return "\n".join(lines)


def _yes(value: bool | None) -> str:
    return "?" if value is None else "yes" if value else "no"
