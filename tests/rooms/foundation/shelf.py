"""A server of one file that can be interrupted, changed and asked for parts, as real ones are."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

SETTLED = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class Shelf:
    """What is served, and how."""

    content: bytes
    tag: str | None = '"first"'
    changed: str | None = None
    """Time of change."""
    most: int | None = None
    """Bytes of a body after which the connection ends."""
    honours_condition: bool = True
    gives_parts: bool = True
    shifts_parts_by: int = 0
    hangs: bool = False
    """Whether the connection stays open where it should end."""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Yield the address of the server."""
        shelf = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shelf.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
            running.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that leaves is no error
            threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
            try:
                yield f"http://127.0.0.1:{running.server_address[1]}"
            finally:
                self.released.set()
                running.shutdown()

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        if request.path.startswith("/moved"):
            request.send_response(302)
            request.send_header("Location", "/w.pth")
            request.end_headers()
            return
        self.asked.append(dict(request.headers))
        first = self._first(request.headers)
        if first is not None and first >= len(self.content):
            request.send_error(416)
            return
        body = self.content if first is None else self.content[first + self.shifts_parts_by :]
        request.send_response(200 if first is None else 206)
        if first is not None:
            start = first + self.shifts_parts_by
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        for name, value in (("ETag", self.tag), ("Last-Modified", self.changed)):
            if value is not None:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        part = body[: self.most]
        self.sent += len(part)
        request.wfile.write(part)
        request.wfile.flush()
        if self.hangs:
            self.released.wait(300)

    def _first(self, headers: object) -> int | None:
        """Return the first byte of the part to give; None for the whole."""
        get = headers.get  # type: ignore[attr-defined]  # a message of the standard library
        match = re.fullmatch(r"bytes=(\d+)-", get("Range") or "")
        if match is None or not self.gives_parts:
            return None
        condition = get("If-Range")
        if self.honours_condition and condition not in (None, self.tag, self.changed):
            return None
        return int(match[1])
