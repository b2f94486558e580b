"""Choosing, merging and dropping classes without moving a file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from biggan.data.choosing.selection import Selection
from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource, Indices
from biggan.foundation.errors import UserError, nearest
from biggan.foundation.records import read_bounded
from biggan.foundation.seeding import uniforms

_INDEX = re.compile(r"id:([0-9]{1,18})")
_SHOWN = 5
_LONGEST_LIST = 2**24  # bytes


def curate(source: ImageSource, config: ReadingConfig) -> ImageSource:
    """Return ``source`` with the classes that ``config`` asks for: merged, then kept, then counted, then labelled.

    Raises:
        UserError: classes that do not exist, or nothing left.
    """
    if config.labels == "unconditional" and not (config.classes or config.merge or config.min_per_class > 1):
        return _unconditional(source) if source.class_names else source
    if config.classes or config.merge or config.min_per_class > 1:
        source = _choose(source, config)
    if config.labels == "unconditional":
        return _unconditional(source)
    if config.labels == "random":
        return _random(source, config.random_classes)
    return source


def _choose(source: ImageSource, config: ReadingConfig) -> ImageSource:
    names = list(source.class_names)
    if not names:
        raise UserError("--data.classes, --data.merge and --data.min-per-class choose among classes; there are none")
    remarks: list[str] = []
    targets = _merged(names, read_merges(Path(config.merge)), remarks) if config.merge else names
    kept = _kept(config.classes, names, targets) if config.classes else list(dict.fromkeys(targets))
    counts = dict.fromkeys(kept, 0)
    for target, count in zip(targets, source.class_counts(), strict=True):
        if target in counts:
            counts[target] += int(count)
    few = [name for name in kept if counts[name] < config.min_per_class]
    if few:
        remarks.append(
            f"left out {len(few)} class{'es' * (len(few) != 1)} with fewer than {config.min_per_class} images: "
            f"{_some(few)}"
        )
    # In order of name, as folders are; indices stay where they are if nothing was merged.
    chosen = [name for name in (sorted(kept) if config.merge else kept) if counts[name] >= config.min_per_class]
    if not chosen or not sum(counts[name] for name in chosen):
        raise UserError(
            f"--data.min-per-class {config.min_per_class}: no class is left; the largest of {len(kept)} has "
            f"{max(counts.values(), default=0)} images"
        )
    place = {name: index for index, name in enumerate(chosen)}
    new = np.asarray([place.get(target, -1) for target in targets], dtype=np.int64)[source.labels]
    images = np.flatnonzero(new >= 0)
    if source.shards is None:
        images = images[np.argsort(new[images], kind="stable")]
    if len(images) < len(source):
        remarks.append(
            f"using {len(images):,} of {len(source):,} images, {len(chosen)} of {len(names)} "
            f"class{'es' * (len(names) != 1)}"
        )
    return Selection(source, images, new[images], tuple(chosen), remarks)


def _kept(wanted: Iterable[str], names: list[str], targets: list[str]) -> list[str]:
    """Return the classes asked for, in the data's order; a word that is a name is that name, id:7 an index."""
    known = list(dict.fromkeys(targets))
    found = set()
    for word in wanted:
        index = _INDEX.fullmatch(word)
        if word in known:
            found.add(word)
        elif index and int(index[1]) < len(names):
            found.add(targets[int(index[1])])
        elif index:
            raise UserError(f"--data.classes {word}: the data have classes id:0 to id:{len(names) - 1}")
        else:
            raise UserError(f"--data.classes {word}: no such class; nearest: {', '.join(nearest(word, known, 5))}")
    return [name for name in known if name in found]


def read_merges(path: Path) -> list[tuple[str, str]]:
    """Return the (from, to) pairs of a merge list.

    Entries are lines, or separated by semicolons: ``FROM TO``, with quotes around names that hold spaces. A leading
    ``m``, comments (#) and the definition of a shell function are passed over, so that a shell script that moves the
    files of one folder into another is such a list.

    Raises:
        UserError: no such file, or an entry that is not a pair.
    """
    try:
        text = read_bounded(path, _LONGEST_LIST).decode()
    except ValueError as error:  # a UserError is one
        raise UserError(f"--data.merge {path}: cannot be read ({error})") from error
    pairs = []
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*\w+\s*\(\)", line):
            continue
        try:
            entries = _split(line)
        except ValueError as error:
            raise UserError(f"--data.merge {path}, line {number}: {error}") from error
        for entry in entries:
            words = entry[1:] if len(entry) == 3 and entry[0] == "m" else entry
            if len(words) != 2:
                raise UserError(
                    f"--data.merge {path}, line {number}: '{' '.join(entry)}' is not FROM TO (quote names with spaces)"
                )
            pairs.append((words[0], words[1]))
    if not pairs:
        raise UserError(f"--data.merge {path}: holds no entry FROM TO")
    return pairs


def _split(line: str) -> list[list[str]]:
    """Return the words of each entry of a line."""
    words = shlex.shlex(line, posix=True, punctuation_chars=";")
    words.whitespace_split = True
    words.commenters = "#"
    entries: list[list[str]] = [[]]
    for word in words:
        if set(word) == {";"}:
            entries.append([])
        else:
            entries[-1].append(word)
    return [entry for entry in entries if entry]


def _merged(names: list[str], pairs: list[tuple[str, str]], remarks: list[str]) -> list[str]:
    """Return the class that each class becomes.

    As when folders are moved one after the other: what was merged into a class moves on with it.
    """
    target = {name: name for name in names}
    absent, merged = [], 0
    for old, new in pairs:
        if old == new:
            raise UserError(f"--data.merge: '{old}' is merged into itself")
        members = [name for name, now in target.items() if now == old]
        if not members:
            absent.append(old)
        merged += bool(members)
        for name in members:
            target[name] = new
    if not merged:
        raise UserError(
            f"--data.merge: none of its {len(pairs)} entries names a class of these data, which are {_some(names)}"
        )
    left = len(set(target.values()))
    remarks.append(f"merged {merged} class{'es' * (merged != 1)} into others; left are {left} of {len(names)}")
    if absent:
        remarks.append(f"{len(absent)} entries of the merge list name no class: {_some(absent)}")
    return [target[name] for name in names]


def _unconditional(source: ImageSource) -> ImageSource:
    images: Indices = np.arange(len(source))
    remark = f"labels of {len(source.class_names)} class{'es' * (len(source.class_names) != 1)} dropped: unconditional"
    return Selection(source, images, np.zeros(len(source), dtype=np.int64), (), [remark])


def _random(source: ImageSource, classes: int) -> ImageSource:
    chance = uniforms(0, "random labels", 0, 0, len(source), 1)[:, 0]
    labels = (chance * classes).astype(np.int64)
    names = tuple(map(str, range(classes)))
    remark = f"labels are random: {classes} classes that mean nothing"
    return Selection(source, np.arange(len(source)), labels, names, [remark])


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
