"""Files from the network: whole, verified, kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import temporary_name
from biggan.foundation.terminal import one_line

_BLOCK = 2**20
_PATIENCE = 60  # seconds without a byte
_STALE = 3600  # seconds after which a lock is that of a process that died


def cache_folder() -> Path:
    """Return where what can be fetched or computed again is kept: ``$BIGGAN_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("BIGGAN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "biggan"


def download(url: str, *, md5: str | None = None, sha256: str | None = None, folder: Path | None = None) -> Path:
    """Return the local copy of ``url``, which is fetched if it is not there yet.

    Args:
        url: http(s) address.
        md5: expected hash, if one was published.
        sha256: likewise.
        folder: where to keep it; by default below :func:`cache_folder`, apart for each address.

    Raises:
        UserError: no connection, or the server says no; it names a way around.
        CorruptFileError: what came is not what was announced.
    """
    if folder is None:
        folder = cache_folder() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    name = Path(urlsplit(url).path).name or "download"
    path = folder / name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        if path.is_file():  # another process was faster
            return path
        temporary = temporary_name(path)
        try:
            _fetch(url, temporary, {"md5": md5, "sha256": sha256})
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    return path


def _fetch(url: str, path: Path, expected: dict[str, str | None]) -> None:
    from tqdm import tqdm

    hashes = {kind: hashlib.new(kind) for kind, value in expected.items() if value}
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "biggan"})
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer, path.open("wb") as file:
            length = int(answer.headers.get("Content-Length") or 0)
            received = 0
            with tqdm(
                total=length or None, unit="B", unit_scale=True, desc=one_line(path.name[1:40]), disable=None
            ) as bar:
                while block := answer.read(_BLOCK):
                    file.write(block)
                    received += len(block)
                    bar.update(len(block))
                    for one in hashes.values():
                        one.update(block)
            file.flush()
            os.fsync(file.fileno())
    except (urllib.error.URLError, OSError) as error:
        raise UserError(
            f"{url}: could not be downloaded ({getattr(error, 'reason', error)}). Fetch it on a machine with a network "
            "and give its path instead."
        ) from error
    if length and received != length:
        raise CorruptFileError(f"{url}: the connection ended after {received:,} of {length:,} bytes; try again")
    for kind, one in hashes.items():
        if one.hexdigest() != expected[kind]:
            raise CorruptFileError(f"{url}: its {kind} is {one.hexdigest()}, not {expected[kind]}; nothing was kept")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process at a time fetch ``path``; the others wait and then find it."""
    lock = path.with_name(f".{path.name}.lock")
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - lock.stat().st_mtime > _STALE:
                    lock.unlink()
                    continue
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
