"""The public artefact: one safetensors file with the generator, and all that is needed to use it in its header.

A snapshot needs no flags, no data set and no training code. Each checkpoint contains one, so that whatever
:func:`find_snapshot` is pointed at (a run, a checkpoint, a file), the same reader applies.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from biggan.foundation.config import from_json, to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.limits import MaxLen
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS, clock_of
from biggan.foundation.records import Count, Name, read_bounded
from biggan.foundation.tensor_files import (
    HEADER_KEY,
    parse_header,
    read_header,
    read_metadata,
    read_tensors,
    write_tensors,
)
from biggan.foundation.terminal import one_line
from biggan.models.architecture import Architecture
from biggan.models.bounds import MOST_CLASSES
from biggan.models.continuation import Continuation
from biggan.models.contract import Generator, build_generator
from biggan.models.norm_records import StandingStatistics, TruncationBank

FORMAT = 1
SUFFIX = ".safetensors"
IN_CHECKPOINT = "snapshot.safetensors"
IN_FOLDER = "model.safetensors"
"""What the snapshot in a folder that is given away is called, as model hubs expect it."""
LAST = "LAST"
CONTINUATION = "continuation/"
"""Begins the names of tensors that only training needs, see :mod:`biggan.models.export_file`."""
_BANK = "bank/"


@dataclass(frozen=True, kw_only=True)
class SnapshotInfo:
    """Everything about a snapshot but its weights."""

    architecture: Architecture
    class_names: Annotated[tuple[Name, ...], MaxLen(MOST_CLASSES)]
    """By class index; empty without classes."""
    weights: Literal["ema", "generator"]
    """``ema`` (the moving average) or ``generator`` (the average was off)."""
    images_seen: Count
    iterations: Count
    provenance: dict[str, Any] = field(default_factory=dict)
    """Where the weights come from: versions, preset, data, seed, or the foreign file."""
    standing_statistics: StandingStatistics | None = None
    """How the batch-norm statistics were re-estimated, or None for the running ones."""
    truncation_bank: TruncationBank | None = None
    """Truncations (and their kind) for which the file holds standing statistics, or None."""
    continuation: Continuation | None = None
    """What the file holds besides, for training to go on from, or None; see :mod:`biggan.models.export_file`."""

    def __post_init__(self) -> None:
        if len(self.class_names) not in (0, self.architecture.classes):
            raise ValueError(f"{len(self.class_names)} class names for {self.architecture.classes} classes")

    @property
    def age(self) -> str:
        """How long the weights were trained, in words; foreign files may not tell."""
        if not self.images_seen and not self.iterations:
            return "of which the file does not say how long they were trained"
        if not self.images_seen:
            return f"after {self.iterations:,} iterations of a batch that the file does not tell"
        return f"after {self.images_seen:,} images ({self.iterations:,} iterations)"


def flat_facts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield each fact of nested ones, as in a provenance, with its dotted name; what is empty says nothing."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flat_facts(inner, f"{where}.{key}" if where else str(key))
    elif value not in (None, "", [], ()):
        yield where, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def is_snapshot(path: Path) -> bool:
    """Tell whether a file is a snapshot, or a folder holds one, by what it says itself."""
    try:
        text = read_metadata(found := find_snapshot(path)).get(HEADER_KEY)
    except UserError:
        return False
    if text is None:
        return False
    try:
        return not {"format", "architecture"}.isdisjoint(
            parse_header(found, text)
        )  # directions and points have neither
    except UserError:  # damaged: who reads it says how
        return True


def write_snapshot(path: Path, generator: Generator, info: SnapshotInfo, bank: dict[str, Tensor] | None = None) -> None:
    """Write ``generator`` and ``info`` as one file, atomically.

    Args:
        path: the file.
        generator: its weights and statistics.
        info: everything else.
        bank: standing statistics by truncation, ``<place in the list>/<name of the buffer>``.
    """
    tensors = snapshot_tensors(generator.state_dict(), bank or {})
    write_tensors(path, tensors, snapshot_header(dataclasses.replace(info, continuation=None)))


def snapshot_tensors(weights: Mapping[str, Tensor], bank: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a snapshot file by their names in it."""
    return {**weights, **{f"{_BANK}{name}": value for name, value in bank.items()}}


def snapshot_header(info: SnapshotInfo) -> dict[str, Any]:
    """Return the header of a snapshot file, with all of the architecture written out."""
    resolved = dataclasses.replace(info, architecture=info.architecture.resolved())
    return {"format": FORMAT, **to_json(resolved)}


def read_info(path: Path) -> SnapshotInfo:
    """Read the header of a snapshot file.

    Raises:
        UserError: not a snapshot, or one of a newer format.
    """
    return parse_info(read_header(path), path)


def parse_info(header: Mapping[str, Any], path: Path) -> SnapshotInfo:
    """Return what the header of the snapshot file ``path`` says.

    Raises:
        UserError: not a snapshot, or one of a newer format.
    """
    fields = dict(header)
    if fields.pop("format", None) != FORMAT:
        raise UserError(
            f"{path} is of snapshot format {header.get('format')}, this version reads {FORMAT}; update biggan-torch"
        )
    info = from_json(SnapshotInfo, fields, f"{path}: header")
    try:
        info.architecture.validate()
    except UserError as error:
        raise CorruptFileError(f"{path}: header: architecture: {error}") from error
    return info


def read_snapshot(path: Path) -> tuple[Generator, SnapshotInfo]:
    """Return the generator of a snapshot file, on the CPU, in evaluation mode, and what is known about it.

    Raises:
        UserError: not a snapshot, or its weights are not exactly those of its architecture.
    """
    return read_with_bank(path)[:2]


def read_with_bank(path: Path) -> tuple[Generator, SnapshotInfo, dict[str, Tensor]]:
    """Return what :func:`read_snapshot` does, and the tensors of the file's bank as :func:`write_snapshot` takes them.

    Raises:
        UserError: not a snapshot, or its weights are not exactly those of its architecture.
    """
    info = read_info(path)
    with torch.device("meta"):
        generator = build_generator(info.architecture)
    own, bank, _ = divided(read_tensors(path), info)
    load_exactly(generator, own, str(path))
    return generator.eval().requires_grad_(False), info, bank


def divided(
    tensors: Mapping[str, Tensor], info: SnapshotInfo
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Return the tensors of a snapshot file as the generator's, the bank's, and those that only training needs."""
    prefixes = ("", _BANK) if info.continuation is None else ("", _BANK, CONTINUATION)
    parts: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in ("", _BANK, CONTINUATION)}
    for name, value in tensors.items():
        prefix = next((one for one in prefixes[1:] if name.startswith(one)), "")
        parts[prefix][name.removeprefix(prefix)] = value
    return parts[""], parts[_BANK], parts[CONTINUATION]


def load_exactly(network: torch.nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Assign ``tensors`` to ``network``: every one, no other, each of the right shape.

    Raises:
        CorruptFileError: names the first that is missing, left over or of another shape.
    """
    own = network.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    wrong = sorted(name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape)
    if missing or extra or wrong:
        parts = [
            f"{len(names)} {what}, first {names[0]}"
            for names, what in ((missing, "missing"), (extra, "unknown"), (wrong, "of another shape"))
            if names
        ]
        raise CorruptFileError(f"{where}: the weights do not fit the architecture: {'; '.join(parts)}")
    # Copies: a file that is mapped has its tensors at odd addresses, where some kernels add in another order.
    network.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)


def find_snapshot(path: Path) -> Path:
    """Return the snapshot file that ``path`` means: itself, a checkpoint's, a published folder's, or a run's newest.

    Raises:
        UserError: nothing there that holds a generator.
    """
    if path.is_file():
        return path
    if not path.exists():
        raise UserError(f"{path}: there is no such run, checkpoint or file")
    for name in (IN_CHECKPOINT, IN_FOLDER):
        if (path / name).is_file():
            return path / name
    numbered = _published(path)
    last = path / CHECKPOINTS / LAST
    if last.is_file():
        number = clock_of(read_bounded(last, 100).decode("ascii", "replace").strip())
        in_checkpoint = path / CHECKPOINTS / str(number) / IN_CHECKPOINT
        if number is not None and in_checkpoint.is_file():
            numbered.setdefault(number, in_checkpoint)
    if not numbered:
        raise UserError(
            f"{path} is neither a run with a snapshot or checkpoint, nor a checkpoint, nor a snapshot"
            f"{_runs_below(path)}"
        )
    return numbered[max(numbered)]


@contextlib.contextmanager
def naming_another(path: Path, found: Path) -> Iterator[None]:
    """Let an error about the newest generator of a run name the one before it.

    Args:
        path: what was asked for.
        found: what :func:`find_snapshot` found there.
    """
    try:
        yield
    except CorruptFileError as error:
        if not path.is_dir():
            raise
        checkpoints = [(clock_of(file.parent.name), file) for file in (path / CHECKPOINTS).glob(f"*/{IN_CHECKPOINT}")]
        both = [*checkpoints, *_published(path).items()]
        others = [(number, file) for number, file in both if number is not None and file != found]
        if not others:
            raise
        raise CorruptFileError(f"{error}. Another of this run: {one_line(str(max(others)[1]))}") from error


def _published(run: Path) -> dict[int, Path]:
    """Return the snapshots of a run by their clocks."""
    found = {clock_of(file.stem): file for file in (run / SNAPSHOTS).glob(f"*{SUFFIX}")}
    return {number: file for number, file in found.items() if number is not None}


def _runs_below(path: Path) -> str:
    """Return a half-sentence that names the first runs in a folder of them; empty for any other folder."""
    if not path.is_dir():
        return ""
    entries = itertools.islice(path.iterdir(), 500)  # a folder of a million images need not be read for a message
    runs = sorted(entry for entry in entries if (entry / SNAPSHOTS).is_dir() or (entry / CHECKPOINTS / LAST).is_file())
    return f"; there are runs in it: {', '.join(one_line(str(run)) for run in runs[:5])}" if runs else ""
