"""Where weights are: a name of the index, an address, a repository, a folder. The one function that fetches them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from biggan.convert.contract import FOREIGN
from biggan.foundation.downloads import cache_folder, download
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import digest, replacing, require_space
from biggan.foundation.outputs import output_file
from biggan.foundation.terminal import one_line, typed
from biggan.foundation.web_pages import WebPageError
from biggan.hub.index import BY_HAND, Index, Published, describe, read_index
from biggan.hub.repositories import choose_file, fetch_file, files_of, is_repository
from biggan.models.snapshot import is_snapshot

_ARCHIVE = re.compile(r"(\.(zip|tar|gz|xz|tgz|bz2))+$", re.IGNORECASE)
_BROWSER_ONLY = ("drive.google.com", "docs.google.com", "drive.usercontent.google.com")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Weights that lie on this machine."""

    path: Path
    """A file; a folder where several belong together, or where one was given."""
    published: Published | None = None
    """What the index says, if they are of it."""


def fetch(
    word: str,
    *,
    file: str | None = None,
    revision: str | None = None,
    sha256: str | None = None,
    index: Index | None = None,
) -> Found:
    """Return where weights lie on this machine; they are fetched if they do not.

    Args:
        word: a path, a name of the index, ``file://``, an https address, or a repository of the Hugging Face Hub.
        file: which file of a repository.
        revision: of a repository: branch, tag or commit.
        sha256: what the hash of the file at an address is, or begins with.
        index: of published weights; ours by default.

    Raises:
        UserError: nothing of that name, not to be had by a program (it says how a person gets them), or no connection.
        CorruptFileError: what came is not what was published.
    """
    repository = not lies_here(word)
    for option, value in (("file", file), ("revision", revision)):
        if value is not None and not repository:
            raise UserError(f"--{option} {one_line(value, 200)}: of a repository only, and {one_line(word)} is none")
    if word.startswith("file://"):
        return Found(path=_as_published(_local(word), sha256))
    if "://" in word and not word.startswith("hf://"):
        return Found(path=_from_address(word, sha256))
    if word.strip() and _exists(word):
        return Found(path=_as_published(Path(word), sha256))
    if sha256 is not None:
        raise UserError(f"--sha256 {sha256}: of a file or an address only; names of the index carry theirs")
    if is_repository(word):
        return Found(path=_from_repository(word, file, revision))
    return _published((index or read_index()).find(word), file, revision)


def lies_here(word: str) -> bool:
    """Tell whether a word means a path or an address: what has the form of a repository may be a folder's name."""
    return not word.startswith("hf://") and ("://" in word or bool(word.strip() and _exists(word)))


def _as_published(path: Path, sha256: str | None) -> Path:
    """Return ``path``, whose hash is or begins with ``sha256`` if that is given."""
    if sha256 is None:
        return path
    if not path.is_file():
        raise UserError(f"--sha256 {sha256}: {one_line(str(path))} is no file")
    found = digest(path)
    if not sha256 or not found.startswith(sha256.lower()):
        raise CorruptFileError(f"--sha256 {sha256}: {one_line(str(path))} has the hash {found}")
    return path


def next_step(path: Path, published: Published | None = None) -> str:
    """Return what a person does with weights that lie here, and what the index says of them, on one line."""
    shown = _quoted(path)
    if is_snapshot(path):
        return f"biggan sample {shown} --out FOLDER"
    bare = _ARCHIVE.sub("", path.name)
    stem = path.stem if bare == path.name and not path.is_dir() else bare
    new = _quoted(Path(f"{published.name if published is not None else stem or 'weights'}.safetensors"))
    shared = published is not None and published.family in FOREIGN and FOREIGN[published.family].layout_of
    said = f" --from {published.family}" if published is not None and shared else ""
    if bare != path.name and not path.is_dir():
        return f"unpack {shown}, then: biggan convert FOLDER {new}{said}"
    return f"biggan convert {shown} {new}{said}"


def copy_out(path: Path, folder: Path, *, overwrite: bool) -> Path:
    """Copy a file, or the files of a folder, into ``folder``; return what the copy is called.

    Raises:
        UserError: a file is there already (without ``overwrite``), a link, or no space.
    """
    sources = [path] if path.is_file() else sorted(file for file in path.iterdir() if _is_payload(file))
    targets = [output_file(folder / source.name, overwrite=overwrite) for source in sources]
    require_space(folder, sum(source.stat().st_size for source in sources), "the copy")
    for source, target in zip(sources, targets, strict=True):
        if target.exists() and target.samefile(source):
            raise UserError(f"--out {folder}: that is where {source} lies already")
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    return targets[0] if path.is_file() else folder


def _is_payload(file: Path) -> bool:
    return file.is_file() and not file.name.startswith(".")


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _local(word: str) -> Path:
    parts = urlsplit(word)
    if parts.netloc not in ("", "localhost"):
        raise UserError(f"{one_line(word)}: file:// means this machine; write file:///PATH")
    path = Path(unquote(parts.path))
    if not _exists(str(path)):
        raise UserError(f"{one_line(word)}: there is no {one_line(str(path))}")
    return path


def _from_address(address: str, sha256: str | None, folder: Path | None = None, name: str | None = None) -> Path:
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:  # the download has a sentence for it
        host = ""
    if host in _BROWSER_ONLY:
        raise UserError(_by_hand(address, BY_HAND["browser"]))
    try:
        return download(address, sha256=sha256, folder=folder, name=name)
    except WebPageError as error:
        raise UserError(f"{error} 'biggan convert FILE NEW.safetensors' takes it from there.") from error


def _from_repository(repository: str, file: str | None, revision: str | None) -> Path:
    return fetch_file(repository, choose_file(repository, files_of(repository, revision), file), revision)


def _published(one: Published, file: str | None, revision: str | None) -> Found:
    if one.way == "repository":
        repository = "/".join(urlsplit(one.files[0].address).path.split("/")[1:3])
        return Found(path=_from_repository(repository, file, revision), published=one)
    if file is not None or revision is not None:
        raise UserError(f"--file, --revision: of a repository only; {one.name} is fetched from an address")
    if one.way in BY_HAND:
        raise UserError(f"{describe(one)}\n{_by_hand(one.files[0].address, BY_HAND[one.way])}")
    folder = cache_folder() / "weights" / one.name
    paths = [_from_address(part.address, part.sha256, folder, part.name) for part in one.files]
    return Found(path=folder if len(paths) > 1 else paths[0], published=one)


def _by_hand(address: str, how: str) -> str:
    return f"{one_line(address)} is not to be had by a program. {how} Then: biggan convert FILE NEW.safetensors"


def _quoted(path: Path) -> str:
    return typed(one_line(str(path)))
