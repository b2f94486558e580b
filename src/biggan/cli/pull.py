"""``biggan pull``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError
from biggan.foundation.outputs import OverwriteOption, output_folder
from biggan.foundation.terminal import one_line, say


@dataclass(frozen=True, kw_only=True)
class PullOptions(OverwriteOption):
    """Fetch published weights; without a name, list those that are known."""

    name: tyro.conf.Positional[str | None] = None
    """A name of the list, an https address, file:///PATH, a path, or a repository of the Hugging Face Hub."""
    out: str | None = None
    """Folder to copy into: a new or an empty one, unless --overwrite is given. By default they stay in the cache."""
    file: str | None = None
    """Which file of a repository."""
    revision: str | None = None
    """Of a repository: branch, tag or commit."""
    sha256: str | None = None
    """What the hash of the file at an address is, or the first 8 or more digits of it."""


def main(words: list[str]) -> int:
    """Fetch."""
    options = read_options(PullOptions, words, "biggan pull")
    from biggan.hub.index import describe, read_index, table

    if options.name is None:
        say(table(read_index().weights))
        say("'biggan pull NAME' fetches one. ? is what its source does not say.")
        return 0
    from biggan.hub.places import copy_out, fetch, next_step

    _check(options)
    out = None if options.out is None else output_folder(options.out, overwrite=options.overwrite)
    found = fetch(options.name, file=options.file, revision=options.revision, sha256=options.sha256)
    if found.published is not None:
        say(describe(found.published))
    path = found.path if out is None else copy_out(found.path, out, overwrite=options.overwrite)
    say(one_line(str(path)))
    say(f"next: {next_step(path, found.published)}")
    return 0


def _check(options: PullOptions) -> None:
    import re

    if options.sha256 is not None and not re.fullmatch(r"[0-9a-fA-F]{8,64}", options.sha256):
        raise UserError(f"--sha256 {one_line(options.sha256, 80)}: 8 to 64 hexadecimal digits")
    if options.name is not None and options.out is not None and Path(options.out) == Path(options.name):
        raise UserError(f"--out {one_line(options.out, 200)}: that is where it lies already")
