"""Which tar files a pattern, a folder or a URL means, and the class names that lie beside them."""

from __future__ import annotations

import re
from pathlib import Path

from biggan.data.bounds import foreign, is_file, is_folder
from biggan.foundation.downloads import download
from biggan.foundation.errors import UserError
from biggan.foundation.records import read_bounded

NAMES_FILE = "class_names.txt"
MOST_SHARDS = 100_000
"""Shards of one data set; the largest known have some ten thousand."""
_LONGEST_NAMES = 2**26  # bytes
_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")


def is_url(place: str) -> bool:
    """Tell whether a shard comes over the network."""
    return place.startswith(("http://", "https://"))


def expand(path: str) -> list[str]:
    """Return the shards that a pattern means.

    Raises:
        UserError: none, too many, or some of a range are missing.
    """
    found = _RANGE.search(path)
    if found:
        places = _of_range(path, found)
    elif is_url(path):
        places = [path]
    elif is_folder(path):
        places = sorted(str(file) for file in Path(path).glob("*.tar"))
    elif "*" in path:
        places = sorted(str(file) for file in Path(path).parent.glob(Path(path).name))
    else:
        places = [path]
    if len(places) > MOST_SHARDS:
        raise UserError(f"--data {path}: {len(places):,} shards, and at most {MOST_SHARDS:,} are opened")
    missing = [place for place in places if not is_url(place) and not is_file(place)]
    if missing or not places:
        raise UserError(
            f"--data {path}: {len(missing) or 'all'} shards are missing, for example {(missing or [path])[0]}"
        )
    return places


def _of_range(path: str, found: re.Match[str]) -> list[str]:
    first, last = found[1], found[2]
    if max(len(first), len(last)) > 18:
        raise UserError(f"--data {path}: the numbers of {found[0][:60]} are too long")
    count = int(last) - int(first) + 1
    if count < 1:
        raise UserError(f"--data {path}: the range {found[0]} runs backwards")
    if count > MOST_SHARDS:
        raise UserError(f"--data {path}: {found[0]} means {count:,} shards, and at most {MOST_SHARDS:,} are opened")
    before, after = path[: found.start()], path[found.end() :]
    return [f"{before}{number:0{len(first)}}{after}" for number in range(int(first), int(last) + 1)]


def class_names(path: str) -> tuple[str, ...]:
    """Return the lines of ``class_names.txt`` beside the shards, in order of index; empty if it is not there.

    Raises:
        UserError: it is no list of different names.
    """
    if is_url(path):
        try:
            file = download(f"{path.rpartition('/')[0]}/{NAMES_FILE}")
        except UserError:  # it need not be there
            return ()
        return _lines(file)
    folder = Path(path) if is_folder(path) else Path(path).parent
    file = folder / NAMES_FILE
    return _lines(file) if is_file(file) else ()


def _lines(file: Path) -> tuple[str, ...]:
    """Return the class names of a file, a line each."""
    with foreign(str(file), "not UTF-8 text"):
        text = read_bounded(file, _LONGEST_NAMES).decode()
    names = tuple(line.strip() for line in text.rstrip().splitlines())
    if "" in names or len(set(names)) < len(names):
        raise UserError(f"{file}: an empty line or a name that stands there twice; every line is a class, in order")
    return names
