"""One transfer of a file from the network: bounded, hashed, and taken up again where the last attempt ended.

What came of a file is kept beside it, with a note, only if the server gave something by which the file can be told
from a later one of the same address (a strong ETag, or a time of change that is past). The next attempt asks for the
rest on the condition that it is still that file (``If-Range``), and hashes what lies there before it is trusted.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import re
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from biggan.foundation.addresses import opened, told
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import (
    format_bytes,
    full_disk_is_an_error,
    refuse_link,
    require_space,
)
from biggan.foundation.terminal import one_line
from biggan.foundation.unfinished import BLOCK, Unfinished
from biggan.foundation.web_pages import refuse_web_page

_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,200}"')
_SETTLED = 60  # seconds after which a time of change tells one content from the next


def fetch(url: str, path: Path, expected: Mapping[str, str], most: int) -> dict[str, str]:
    """Fetch ``url`` to ``path``; return the hashes of what came, that which was published among them.

    Args:
        url: an address that may be followed.
        path: the file; what is there is replaced when everything came and was right.
        expected: hashes by kind (md5, sha256), or the first digits of them.
        most: the most bytes that it may have.

    Raises:
        UserError: no connection, too large, no space, or the server says no. What came is kept if it can be gone on
            with.
        CorruptFileError: the connection ended early, or what came is not what was announced.
    """
    refuse_link(path)
    part = Unfinished(path, url, expected.keys())
    with full_disk_is_an_error(path):
        try:
            _receive(part, url, most)
            for kind, value in expected.items():
                found = part.hashes[kind].hexdigest()
                if not found.startswith(value.lower()):
                    part.discard()
                    raise CorruptFileError(f"{url}: its {kind} is {found}, {_not(kind, value)}; nothing was kept")
            return part.finish()
        except OSError:  # the disk: what is there would stand in its way
            part.discard()
            raise
        except BaseException:
            part.keep()
            raise
        finally:
            part.close()


def matches(found: Mapping[str, str], expected: Mapping[str, str]) -> bool:
    """Tell whether hashes are, or begin with, what is expected."""
    return all(found.get(kind, "").startswith(value.lower()) for kind, value in expected.items())


def _not(kind: str, value: str) -> str:
    whole = len(value) == 2 * hashlib.new(kind).digest_size
    return f"not {value}" if whole else f"which does not begin with {value}"


def _receive(part: Unfinished, url: str, most: int) -> None:
    with contextlib.closing(_answer(part, url, most)) as answer:
        require_space(part.whole.parent, max(part.length - part.received, 0), f"the download of {url}")
        for block in _blocks(answer, url, part):
            if not part.received:
                refuse_web_page(url, block)
            if part.received + len(block) > most:
                part.discard()
                raise UserError(f"{url}: larger than the {format_bytes(most)} that are fetched at most")
            part.write(block)
    if not part.received:
        raise CorruptFileError(f"{url}: the server answered without a single byte; try again")
    if part.length and part.received != part.length:
        kept = "what came is kept; the same again goes on from there" if part.validator else "try again"
        raise CorruptFileError(f"{url}: the connection ended after {part.received:,} of {part.length:,} bytes; {kept}")


def _answer(part: Unfinished, url: str, most: int) -> Any:
    """Return the answer that goes on with ``part``, or begins it anew."""
    if part.take_up() and part.length <= most:
        assert part.validator is not None
        answer = _rest(part, url, {"Range": f"bytes={part.received}-", "If-Range": part.validator})
        if answer is not None:
            return answer
    part.discard()
    with told(url):
        answer = opened(url, {})
    return _begun(part, answer, url, most)


def _rest(part: Unfinished, url: str, headers: dict[str, str]) -> Any:
    """Return the answer with what is missing; None if the server does not give exactly that."""
    if part.received == part.length:  # all came, and the process ended before it was named
        headers["Range"] = f"bytes={part.received - 1}-"
    try:
        with told(url):
            answer = opened(url, headers)
    except UserError as error:
        if isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code in (412, 416):
            return None
        raise
    first = int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
    proper = f"bytes {first}-{part.length - 1}/{part.length}"
    tag = answer.headers.get("ETag")
    same = tag is None or not part.validator or not part.validator.startswith('"') or tag == part.validator
    if answer.status != 206 or answer.headers.get("Content-Range", "").strip() != proper or not same:
        answer.close()
        return None
    if first < part.received:
        with told(url):
            answer.read(1)
    return answer


def _begun(part: Unfinished, answer: Any, url: str, most: int) -> Any:
    try:
        if answer.status != 200:
            raise UserError(f"{url}: could not be downloaded, no proper answer (status {answer.status})")
        length = _announced(answer, url, most)
    except BaseException:
        answer.close()
        raise
    part.begin(None if length is None else _validator(answer), length or 0)
    return answer


def _validator(answer: Any) -> str | None:
    """Return what tells this content from any other of its address; None if nothing does."""
    if answer.headers.get("Accept-Ranges", "").strip().lower() == "none":
        return None
    tag = answer.headers.get("ETag", "").strip()
    if _ETAG.fullmatch(tag):
        return str(tag)
    changed = answer.headers.get("Last-Modified", "").strip()
    try:
        age = email.utils.parsedate_to_datetime(answer.headers.get("Date", "")) - email.utils.parsedate_to_datetime(
            changed
        )
    except (TypeError, ValueError):
        return None
    return str(changed) if age.total_seconds() >= _SETTLED and changed.isprintable() and len(changed) < 60 else None


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


def _blocks(answer: Any, url: str, part: Unfinished) -> Iterator[bytes]:
    from tqdm import tqdm

    name = one_line(part.whole.name[:40])
    with tqdm(
        total=part.length or None, initial=part.received, unit="B", unit_scale=True, desc=one_line(name), disable=None
    ) as bar:
        while True:
            with told(url):
                block = answer.read(BLOCK)
            if not block:
                return
            bar.update(len(block))
            yield block
