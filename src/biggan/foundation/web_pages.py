"""Web pages that come where a file was asked for: of a quota, of a login, of a warning."""

from __future__ import annotations

import html
import re

from biggan.foundation.errors import CorruptFileError
from biggan.foundation.terminal import one_line

_LOOKED_AT = 2**16
_BEGINNING = re.compile(rb"<(!doctype\s+html|html|head|body|title|meta|script)[\s>]")
_NOT_YET = re.compile(rb"<(\?xml|!--)")
_TITLE = re.compile(r"<title[^>]*>(.{0,400}?)</title>", re.IGNORECASE | re.DOTALL)
# What such pages say, most telling first.
_KINDS = (
    (r"quota exceeded|too many users have (viewed|downloaded)|download limit", "too many people fetched it lately"),
    (r"virus scan|can't scan|cannot scan|can&#39;t scan", "it is to be confirmed that the file may be unscanned"),
    (r"sign in|log in|login|accounts\.google\.com|password", "it is behind a login"),
)


class WebPageError(CorruptFileError):
    """A web page came instead of a file."""


def refuse_web_page(url: str, start: bytes) -> None:
    """Check that what came is not a page for people to read.

    Args:
        url: the address, for the message.
        start: the first bytes that came.

    Raises:
        WebPageError: it is one; says what it is about.
    """
    seen = start[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not (_BEGINNING.match(seen) or (_NOT_YET.match(seen) and re.search(rb"<html[\s>]", seen[:4096]))):
        return
    text = start[:_LOOKED_AT].decode("utf-8", "replace")
    title = _TITLE.search(text)
    shown = one_line(" ".join(html.unescape(title[1]).split()), 80) if title else ""
    about = next((meaning for pattern, meaning in _KINDS if re.search(pattern, text, re.IGNORECASE)), "")
    said = ": ".join(part for part in (f"'{shown}'" if shown else "", about) if part)
    raise WebPageError(
        f"{url}: a web page came instead of the file{f' ({said})' if said else ''}; nothing was kept. Open the address "
        "in a browser, save the file, and give its path instead."
    )
