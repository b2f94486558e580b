"""Files from the network: whole, verified, of bounded size, kept."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ipaddress
import os
import re
import ssl
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import format_bytes, replacing, require_space, write_json
from biggan.foundation.locks import held
from biggan.foundation.records import Count, read_record
from biggan.foundation.terminal import one_line

_BLOCK = 2**20
_PATIENCE = 60  # seconds without a byte
_WAITING = 24 * 3600.0  # seconds that one process waits for another that fetches the same
_MOST = 2**38
_UNSAFE = re.compile(r"[^A-Za-z0-9._+=@-]")
_LONGEST_NAME = 120


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
    most: int = _MOST,
) -> Path:
    """Return the local copy of ``url``, which is fetched if it is not there yet, or not as it was.

    What lies in the cache is verified by the hash at its first use and whenever its size or time of change is no longer
    as it was then, so that a file of gigabytes is not read through each time. A damaged one is fetched again.

    Args:
        url: https address; http only on this machine.
        md5: expected hash, if one was published.
        sha256: likewise.
        folder: where to keep it; by default below :func:`cache_folder`, apart for each address.
        most: the most bytes that it may have.

    Raises:
        UserError: no connection, no secure one, too large, no space, or the server says no; it names a way around.
        CorruptFileError: what came is not what was announced.
    """
    require_secure(url)
    if folder is None:
        folder = cache_folder() / "downloads" / hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    path = folder / file_name(url)
    expected = {kind: value for kind, value in (("md5", md5), ("sha256", sha256)) if value}
    try:
        if _is_whole(path, expected):
            return path
        folder.mkdir(parents=True, exist_ok=True)
        with held(path.with_name(f".{path.name}.lock"), f"the download of {url}", patience=_WAITING):
            if not _is_whole(path, expected):  # else another process was faster
                _write_note(path, _fetch(url, path, expected, most))
    except OSError as error:
        raise UserError(f"{url}: cannot be kept in {folder} ({error.strerror or error}); set BIGGAN_CACHE") from error
    return path


def file_name(url: str) -> str:
    """Return the name under which a download is kept: the last of its path, without anything that has a meaning."""
    name = _UNSAFE.sub("_", unquote(urlsplit(url).path).rpartition("/")[2]).lstrip(".")
    return name[-_LONGEST_NAME:].lstrip(".") or "download"


def require_secure(url: str) -> None:
    """Check that an address is https, or http on this machine.

    Raises:
        UserError: it is not, or is no address at all.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UserError(f"{url}: not an address ({error})") from error
    if not host or any(ord(character) <= 32 or ord(character) == 127 for character in url):
        raise UserError(f"{url!a}: not an address")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise UserError(
            f"{url}: only https is followed, on the way as well; fetch it yourself and give its path instead"
        )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> urllib.request.Request | None:
        require_secure(arguments[-1])
        return super().redirect_request(*arguments)


def _fetch(url: str, path: Path, expected: dict[str, str], most: int) -> dict[str, str]:
    """Fetch ``url`` to ``path``; return the hashes of what came, that which was published among them."""
    hashes = {kind: hashlib.new(kind) for kind in {*expected, "sha256"}}
    with replacing(path) as temporary, _opened(url) as answer, temporary.open("wb") as file:
        length = _announced(answer, url, most)
        require_space(path.parent, length or 0, f"the download of {url}")
        received = 0
        for block in _blocks(answer, url, path.name, length):
            received += len(block)
            if received > most:
                raise UserError(f"{url}: larger than the {format_bytes(most)} that are fetched at most")
            file.write(block)
            for one in hashes.values():
                one.update(block)
        if not received:
            raise CorruptFileError(f"{url}: the server answered without a single byte; try again")
        if length is not None and received != length:
            raise CorruptFileError(f"{url}: the connection ended after {received:,} of {length:,} bytes; try again")
        found = {kind: one.hexdigest() for kind, one in hashes.items()}
        for kind, value in expected.items():
            if found[kind] != value.lower():
                raise CorruptFileError(f"{url}: its {kind} is {found[kind]}, not {value}; nothing was kept")
    return found


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Say whatever goes wrong with the network in one way."""
    try:
        yield
    except UserError:
        raise
    except (http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{url}: could not be downloaded ({reason or type(error).__name__}). Fetch it on a machine with a network "
            "and give its path instead."
        ) from error
    except ValueError as error:  # what the library says of headers and addresses that are none
        raise UserError(f"{url}: could not be downloaded, no proper answer ({error})") from error


def _opened(url: str) -> Any:
    opener = urllib.request.OpenerDirector()  # without the usual handlers of files, ftp and data
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SecureRedirects(),
    ):
        opener.add_handler(handler)
    with _told(url):
        request = urllib.request.Request(url, headers={"User-Agent": "biggan", "Accept-Encoding": "identity"})
        return opener.open(request, timeout=_PATIENCE)


def _announced(answer: Any, url: str, most: int) -> int | None:
    """Return how many bytes the server says will come; None if it does not say."""
    text = answer.headers.get("Content-Length")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text.strip(), re.ASCII):
        raise UserError(f"{url}: could not be downloaded, no proper answer (a length of {text[:40]!a})")
    if int(text) > most:
        raise UserError(f"{url}: {format_bytes(int(text))}, and {format_bytes(most)} at most are fetched")
    return int(text)


def _blocks(answer: Any, url: str, name: str, length: int | None) -> Iterator[bytes]:
    from tqdm import tqdm

    with tqdm(total=length, unit="B", unit_scale=True, desc=one_line(name[:40]), disable=None) as bar:
        while True:
            with _told(url):
                block = answer.read(_BLOCK)
            if not block:
                return
            bar.update(len(block))
            yield block


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
    wanted = {**(note.hashes if note else {}), **{kind: value.lower() for kind, value in expected.items()}}
    status = path.stat()
    if not wanted or (note == _Note(size=status.st_size, changed=status.st_mtime_ns, hashes=wanted)):
        return True
    for kind, value in wanted.items():
        with path.open("rb") as file:
            if hashlib.file_digest(file, kind).hexdigest() != value:
                return False
    _write_note(path, wanted)
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
