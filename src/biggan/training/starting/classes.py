"""Which old class each new one begins as."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.records import parse_plain, read_bounded
from biggan.foundation.terminal import one_line
from biggan.training.starting.configuration import InitConfig
from biggan.training.starting.record import ClassOrigin

_SHOWN = 20
_LARGEST_FILE = 4 * 2**20

Nearest = Callable[[list[int]], dict[int, int]]
"""Indices of new classes to those of the old ones that they are nearest to."""


def match_classes(
    config: InitConfig, new: Sequence[str], old: Sequence[str], counts: tuple[int, int], find_nearest: Nearest
) -> tuple[ClassOrigin, ...]:
    """Return what each new class begins as.

    Args:
        config: how they are matched.
        new: names of the new classes; empty if they have none.
        old: names of the old ones; empty if they have none.
        counts: how many new ones there are, and how many old ones.
        find_nearest: looks at images, and is called at most once.

    Raises:
        UserError: a file that cannot be read or names unknown classes.
    """
    found: dict[int, ClassOrigin] = {}
    if config.classes not in ("name", "nearest", "mean", "fresh"):
        chosen = read_class_file(Path(config.classes), new, old, counts[1])
        found = {index: ClassOrigin(how="file", old=source) for index, source in chosen.items()}
    if config.classes not in ("nearest", "mean", "fresh"):
        found = _by_name(new, old, counts) | found
    rest = [index for index in range(counts[0]) if index not in found]
    others = config.classes if config.classes in ("nearest", "mean", "fresh") else config.others
    if rest and others == "nearest":
        found |= {index: ClassOrigin(how="nearest", old=source) for index, source in find_nearest(rest).items()}
    elif counts[1] == 0 or others == "fresh":
        found |= {index: ClassOrigin(how="fresh") for index in rest}
    else:
        found |= {index: ClassOrigin(how="mean") for index in rest}
    return tuple(found[index] for index in range(counts[0]))


def _by_name(new: Sequence[str], old: Sequence[str], counts: tuple[int, int]) -> dict[int, ClassOrigin]:
    """Match equal names, then names that are equal but for capitals, spaces and underscores, where only one is."""
    if not old or not new:
        in_order = counts[0] if counts[0] == counts[1] else 0
        return {index: ClassOrigin(how="order", old=index) for index in range(in_order)}
    exact = {name: index for index, name in enumerate(old)}
    loose: dict[str, list[int]] = {}
    for index, name in enumerate(old):
        loose.setdefault(_plain(name), []).append(index)
    found = {}
    for index, name in enumerate(new):
        alike = loose.get(_plain(name), [])
        source = exact.get(name, alike[0] if len(alike) == 1 else None)
        if source is not None:
            found[index] = ClassOrigin(how="name", old=source)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name.casefold()).strip()


def read_class_file(path: Path, new: Sequence[str], old: Sequence[str], old_count: int) -> dict[int, int]:
    """Return the old class of every new one that a file names.

    Either side is a name, or an index written ``id:7``.

    Raises:
        UserError: no such file, not in one of the two forms, or a class that is not there.
    """
    if not path.is_file():
        raise UserError(f"--init.classes {path}: neither name, nearest, mean or fresh, nor a file")
    pairs = _pairs(read_bounded(path, _LARGEST_FILE), path)
    found: dict[int, int] = {}
    for one, other in pairs:
        index = _index(one, new, len(new) or 1, f"{path}: the data have")
        if index in found:
            raise UserError(f"--init.classes {path}: class '{one_line(one, 80)}' stands there twice")
        found[index] = _index(other, old, old_count, f"{path}: the file to begin from has")
    return found


def _pairs(content: bytes, path: Path) -> list[tuple[str, str]]:
    if path.suffix.lower() == ".json":
        plain = parse_plain(content, str(path))
        if not isinstance(plain, dict) or not all(isinstance(value, str) for value in plain.values()):
            raise UserError(f'--init.classes {path}: write {{"new name": "old name", ...}}')
        return list(plain.items())
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"--init.classes {path}: not text in UTF-8") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        separator = "=" if "=" in line else ","
        one, found, other = line.partition(separator)
        if not found or not one.strip() or not other.strip():
            raise UserError(f"--init.classes {path}, line {number}: write new=old, not '{one_line(line, 80)}'")
        pairs.append((one.strip().strip('"'), other.strip().strip('"')))
    return pairs


def _index(word: str, names: Sequence[str], count: int, whose: str) -> int:
    if word in names:
        return list(names).index(word)
    number = re.fullmatch("id:([0-9]{1,9})", word)
    if number and int(number[1]) < count:
        return int(number[1])
    close = ", ".join(map(one_line, nearest(word, names))) or "none, its classes have no names"
    raise UserError(
        f"--init.classes {whose} no class '{one_line(word, 80)}'; nearest: {close} (an index is written id:7; "
        f"there are {count})"
    )


def describe_classes(origins: Sequence[ClassOrigin], new: Sequence[str], old: Sequence[str]) -> list[str]:
    """Return a line of numbers, and one for each of the first classes."""
    counts: dict[str, int] = {}
    for origin in origins:
        counts[origin.how] = counts.get(origin.how, 0) + 1
    lines = [f"  classes: {', '.join(f'{count} by {how}' for how, count in counts.items()) or 'none'}"]
    for index, origin in list(enumerate(origins))[:_SHOWN]:
        name = one_line(new[index], 80) if new else f"id:{index}"
        if origin.old is None:
            lines.append(f"    {name}: {'the mean of all' if origin.how == 'mean' else 'fresh'}")
        else:
            lines.append(f"    {name} <- {one_line(old[origin.old], 80) if old else f'id:{origin.old}'} ({origin.how})")
    if len(origins) > _SHOWN:
        lines.append(f"    and {len(origins) - _SHOWN} more (init.json)")
    return lines
