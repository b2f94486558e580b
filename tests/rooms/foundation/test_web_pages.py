"""Pages that come instead of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.foundation.downloads import download
from biggan.foundation.web_pages import WebPageError, refuse_web_page
from tests.rooms.foundation.shelf import Shelf

QUOTA = b"""<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head><body>
<p>Sorry, you can't view or download this file at this time. Too many users have viewed or downloaded this file.</p>"""
LOGIN = b"\xef\xbb\xbf\r\n<HTML lang=en><head><TITLE>\n Welcome &amp;\n enter </TITLE><form>Password</form>"
SCAN = b"<html><title>Google Drive - Virus scan warning</title>Google Drive can't scan this file for viruses."
GONE = b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x">\n<html xmlns="x"><body>nothing</body></html>'


@pytest.mark.parametrize(
    ("page", "about"),
    [
        (QUOTA, r"\('Google Drive - Quota exceeded': too many people fetched it lately\)"),
        (LOGIN, r"\('Welcome & enter': it is behind a login\)"),
        (SCAN, r"\('Google Drive - Virus scan warning': it is to be confirmed"),
        (GONE, r"instead of the file; nothing"),
        (b"<!-- saved --><html>", "instead of the file; nothing"),
        (b"<html><title>\x1b[31mred\x00</title>", r"'\\x1b\[31mred\\x00'"),
        (b"<html >" + b"x" * 2**20, "instead of the file; nothing"),
    ],
)
def test_a_page_is_told_from_a_file(tmp_path: Path, page: bytes, about: str) -> None:
    with Shelf(page).served() as site, pytest.raises(WebPageError, match=rf"came .*{about}.*Open the address in"):
        download(f"{site}/w.pth", folder=tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"<",
        b"<htmlx>",
        b"PK\x03\x04<html>",
        b"\x80\x02<html>",
        b"<?xml ?><svg>",
        b"<!-- html -->\n",
        b"{}",
        b"< html>",
    ],
)
def test_a_file_is_not_taken_for_a_page(start: bytes) -> None:
    refuse_web_page("https://example.com/w.pth", start)
