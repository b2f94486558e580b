"""Files from the network: whole, verified, of bounded size, kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from biggan.foundation.addresses import file_name, require_secure
from biggan.foundation.errors import UserError
from biggan.foundation.files import write_json
from biggan.foundation.locks import held
from biggan.foundation.records import Count, read_record
from biggan.foundation.transfers import fetch, matches

_WAITING = 24 * 3600.0  # seconds that one process waits for another that fetches the same
_MOST = 2**38


def cache_folder() -> Path:
    """Return where what can be fetched or computed again is kept: ``$BIGGAN_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("BIGGAN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "biggan"


def download(
    url: str,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    folder: Path | None = None,
    name: str | None = None,
    most: int = _MOST,
) -> Path:
    """Return the local copy of ``url``, which is fetched if it is not there yet, or not as it was.

    What lies in the cache is verified by the hash at its first use and whenever its size or time of change is no longer
    as it was then, so that a file of gigabytes is not read through each time. A damaged one is fetched again. An
    interrupted transfer goes on where it ended, if the server can tell that the file is still the same.

    Args:
        url: https address; http only on this machine.
        md5: expected hash, if one was published.
        sha256: likewise; the first digits of it, where only these were.
        folder: where to keep it; by default below :func:`cache_folder`, apart for each address.
        name: what to call it; by default what :func:`~biggan.foundation.addresses.file_name` does.
        most: the most bytes that it may have.

    Raises:
        UserError: no connection, no secure one, too large, no space, or the server says no; it names a way around.
        CorruptFileError: what came is not what was announced, or a web page.
    """
    require_secure(url)
    if folder is None:
        folder = cache_folder() / "downloads" / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = folder / (name or file_name(url))
    expected = {kind: value for kind, value in (("md5", md5), ("sha256", sha256)) if value}
    try:
        if _is_whole(path, expected):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with held(path.with_name(f".{path.name}.lock"), f"the download of {url}", patience=_WAITING):
            if not _is_whole(path, expected):  # else another process was faster
                _write_note(path, fetch(url, path, expected, most))
    except OSError as error:
        raise UserError(f"{url}: cannot be kept in {folder} ({error.strerror or error}); set BIGGAN_CACHE") from error
    return path


# -- what lies in the cache --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Note:
    """What is kept beside a download, so that it is read through again only when it has changed."""

    size: Count
    changed: int
    """Time of change in nanoseconds, by which it is told that nobody has written to it since."""
    hashes: dict[str, str]


def _is_whole(path: Path, expected: dict[str, str]) -> bool:
    """Tell whether ``path`` is there and as it was when it came."""
    if not path.is_file():
        return False
    note = _read_note(path)
    known = note.hashes if note else {}
    status = path.stat()
    unchanged = note is not None and (note.size, note.changed) == (status.st_size, status.st_mtime_ns)
    agreeing = {kind: value for kind, value in known.items() if matches(known, {kind: expected.get(kind, "")})}
    wanted = {**expected, **agreeing}
    if not wanted or (unchanged and matches(known, wanted)):
        return True
    found = {}
    for kind in wanted:
        with path.open("rb") as file:
            found[kind] = hashlib.file_digest(file, kind).hexdigest()
    if not matches(found, wanted):
        return False
    _write_note(path, found)
    return True


def _note_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.verified")


def _write_note(path: Path, hashes: dict[str, str]) -> None:
    status = path.stat()
    with contextlib.suppress(OSError, UserError):  # where a cache can only be read, it is verified each time
        write_json(_note_path(path), {"size": status.st_size, "changed": status.st_mtime_ns, "hashes": hashes})


def _read_note(path: Path) -> _Note | None:
    if not _note_path(path).is_file():
        return None
    try:
        note = read_record(_Note, _note_path(path), limit=4096)
    except UserError:
        return None
    return note if note.hashes.keys() <= {"md5", "sha256"} else None
