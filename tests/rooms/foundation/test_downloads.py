"""Downloads from a server that does whatever servers do."""

from __future__ import annotations

import hashlib
import http.server
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from biggan.foundation import files
from biggan.foundation.addresses import file_name, require_secure
from biggan.foundation.downloads import download
from biggan.foundation.errors import CorruptFileError, UserError
from tests.conftest import HANGS

CONTENT = bytes(range(256)) * 400
SHA256, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
PROPER = b"HTTP/1.0 200 OK\r\nContent-Length: 102400\r\n\r\n" + CONTENT

ANSWERS = {
    "/w.pth": PROPER,
    "/unannounced": b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT,
    "/short": PROPER[:-100],
    "/nothing": b"",
    "/garbage": b"\xff\xfe\x00garbage\r\n\r\n",
    "/half-a-header": b"HTTP/1.1 200 OK\r\nContent-Le",
    "/negative": b"HTTP/1.0 200 OK\r\nContent-Length: -5\r\n\r\n" + CONTENT,
    "/superscript": "HTTP/1.0 200 OK\r\nContent-Length: ²\r\n\r\n".encode("latin1") + CONTENT,
    "/words": b"HTTP/1.0 200 OK\r\nContent-Length: many\r\n\r\n" + CONTENT,
    "/long": b"HTTP/1.0 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n" + CONTENT,
    "/tebibytes": b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + CONTENT,
    "/chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "/half-a-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nabc",
    "/long-line": b"HTTP/1.0 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    "/many-headers": b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "/absent": b"HTTP/1.0 404 Not here\r\nContent-Length: 0\r\n\r\n",
    "/broken": b"HTTP/1.0 500 Broken\r\n\r\n",
    "/loop": b"HTTP/1.0 302 There\r\nLocation: /loop\r\n\r\n",
    "/to-plain": b"HTTP/1.0 302 There\r\nLocation: http://example.com/w.pth\r\n\r\n",
    "/to-file": b"HTTP/1.0 302 There\r\nLocation: file:///etc/passwd\r\n\r\n",
    "/to-ftp": b"HTTP/1.0 302 There\r\nLocation: ftp://127.0.0.1/w.pth\r\n\r\n",
    "/to-nowhere": b"HTTP/1.0 302 There\r\nLocation: http://[\r\n\r\n",
    "/to-good": b"HTTP/1.0 302 There\r\nLocation: /w.pth\r\n\r\n",
}
REFUSED = [path for path in ANSWERS if path not in ("/w.pth", "/unannounced", "/to-good", "/tebibytes")]


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the path says, byte for byte."""

    requests: list[str]
    slow = threading.Event()

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path == "/endless":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while not self.slow.wait(0.001):
                self.wfile.write(bytes(2**16))
            return
        if self.path == "/waits.pth":
            self.wfile.write(PROPER[:-100])
            self.wfile.flush()
            self.slow.wait(30)
            self.wfile.write(PROPER[-100:])
            return
        self.wfile.write(ANSWERS.get(self.path.partition("?")[0], PROPER))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Server, "requests", [], raising=False)
    monkeypatch.setattr(Server, "slow", threading.Event())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that leaves is no error here
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        Server.slow.set()
        running.shutdown()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".verified")]


def test_what_is_announced_comes(address: str, tmp_path: Path) -> None:
    for path in ("/w.pth", "/unannounced", "/to-good"):
        for hashes in ({}, {"md5": MD5}, {"sha256": SHA256.upper()}, {"md5": MD5, "sha256": SHA256}):
            assert download(address + path, **hashes).read_bytes() == CONTENT
    assert Server.requests == ["/w.pth", "/unannounced", "/to-good", "/w.pth"], "each once, then from the cache"
    assert leftovers(tmp_path) == ["w.pth", "unannounced", "to-good"] or len(leftovers(tmp_path)) == 3


@pytest.mark.parametrize("path", REFUSED)
def test_whatever_else_comes_is_an_error_for_people(address: str, tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match=r"^(http|ftp)://"):
        download(address + path)
    assert not leftovers(tmp_path)


def test_too_much(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"97.7 KiB at most are fetched"):
        download(f"{address}/tebibytes", most=100_000)
    with pytest.raises(UserError, match=r"larger than the 1.0 MiB"):
        download(f"{address}/endless", most=2**20)
    with pytest.raises(UserError, match=r"100.0 KiB, and 1000 bytes at most"):
        download(f"{address}/w.pth", most=1000)
    monkeypatch.setattr(files, "free_space", lambda _: 1000)
    with pytest.raises(UserError, match=r"needs 100.0 KiB, and 1000 bytes are free"):
        download(f"{address}/w.pth")
    assert not leftovers(tmp_path)


def test_another_content_than_was_published(address: str, tmp_path: Path) -> None:
    for hashes in ({"md5": "0" * 32}, {"sha256": "0" * 64}):
        with pytest.raises(CorruptFileError, match=r"its (md5|sha256) is \w+, not 0+; nothing was kept"):
            download(f"{address}/w.pth", **hashes)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("hashes", [{}, {"sha256": SHA256}, {"md5": MD5}])
def test_what_lies_in_the_cache_is_verified(address: str, hashes: dict[str, str]) -> None:
    url = f"{address}/w.pth"
    path = download(url, **hashes)
    damages: list[Callable[[], object]] = [
        lambda: path.write_bytes(CONTENT[:-1]),
        lambda: path.write_bytes(b"x" + CONTENT[1:]),
        lambda: path.write_bytes(b""),
        path.unlink,
    ]
    for damage in damages:
        damage()
        count = len(Server.requests)
        assert download(url, **hashes).read_bytes() == CONTENT
        assert len(Server.requests) == count + 1
    os.utime(path)  # touched, but whole
    count = len(Server.requests)
    assert download(url, **hashes) == path
    note = path.with_name(".w.pth.verified")
    for content in (
        b"",
        b"{",
        b'{"size": 1e999}',
        b'{"size": 1, "changed": 2, "hashes": {"shake_128": "a"}}',
        b"[" * 5000,
    ):
        note.write_bytes(content)
        assert download(url, **hashes) == path
    note.unlink()
    assert download(url, sha256=SHA256) == path
    assert len(Server.requests) == count


def _read_so_far() -> int:
    """Return the bytes that this process has read since it began, from files and from elsewhere."""
    return int(Path("/proc/self/io").read_text().split("rchar:")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="counts bytes that Linux counts")
def test_reading_the_cache_again_is_not_paid_each_time(address: str) -> None:
    path = download(f"{address}/w.pth", sha256=SHA256)
    with path.open("r+b") as file:
        file.truncate(2**28)
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(".w.pth.verified").unlink()
    start = _read_so_far()
    assert download(f"{address}/w.pth", sha256=whole) == path
    assert _read_so_far() - start >= 2**28
    start = _read_so_far()
    assert download(f"{address}/w.pth", sha256=whole) == path
    assert _read_so_far() - start < 2**24


@pytest.mark.parametrize(
    "url",
    "http://example.com/x ftp://example.com/x file:///etc/passwd data:,x /x x http:// https:///x https://a:b/x "
    "http://[ http://localhost.example.com/x http://127.0.0.1.example.com/x jar:http://localhost/x".split(),
)
def test_only_secure_addresses(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        download(url, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    for text in (f"https://example.com/{chr(10)}x", "https://example.com/a b"):
        with pytest.raises(UserError, match="not an address"):
            require_secure(text)


def test_names_are_only_names(address: str, tmp_path: Path) -> None:
    names = {
        "/a/b.zip?x=/../y": "b.zip",
        "/..": "download",
        "/": "download",
        "/%2e%2e%2f%2e%2e%2fetc%2fpasswd": "passwd",
        "/.ssh": "ssh",
        "/a%00b%1b[31m.zip": "a_b__31m.zip",
        "/caf%C3%A9.zip": "caf_.zip",
        "/" + "n" * 4000 + ".zip": "n" * 116 + ".zip",
        "/C:%5Cx.zip": "C__x.zip",
    }
    for path, name in names.items():
        assert file_name(address + path) == name
        found = download(address + path)
        assert (found.name, found.parent.parent) == (name, tmp_path / "cache" / "downloads")


def _fetch_elsewhere(url: str) -> None:
    download(url)


def test_a_dead_process_leaves_nothing_in_the_way(address: str, tmp_path: Path) -> None:
    url = f"{address}/waits.pth"
    process = multiprocessing.get_context("spawn").Process(target=_fetch_elsewhere, args=(url,))
    process.start()
    while not Server.requests:
        time.sleep(0.01)
    time.sleep(0.2)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(tmp_path.rglob(".*.lock"))
    Server.slow.set()
    start = time.perf_counter()
    assert download(url).read_bytes() == CONTENT
    assert time.perf_counter() - start < HANGS
