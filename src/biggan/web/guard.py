"""What every request passes before anything else sees it: host, path, size, rate; and what every answer carries.

Gradio has routes for uploads, for files by path, for fetching other addresses and for calling functions. The page needs
none of them, so what is let through is a list, and all else is not there.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from biggan.web.bounds import MOST_QUERY, Bounds

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN = re.compile(
    r"/|/config/?|/theme\.css|/gradio_api/(theme\.css|startup-events|app_id/?)|/manifest\.json|/favicon\.ico|/robots\.txt"
    r"|/(assets|static)/[A-Za-z0-9_./@+-]+|/api/[a-z]+(\.[a-z0-9]+)?|/heartbeat"
)
"""Paths that exist."""
POSTED = "/api/recreate"
"""The one path to which something is sent."""
LOCAL = ("localhost", "127.0.0.1", "[::1]")
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self' blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""The browser loads nothing from other hosts, whatever a page says."""
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"referrer-policy", b"no-referrer"),
)
EARLY = (
    b'<img id="bg-early" alt="" style="position:absolute;top:66px;left:50%;transform:translateX(-50%);z-index:1;'
    b'width:min(448px,80vw,32vh);image-rendering:pixelated"><script>document.getElementById("bg-early").src='
    b'"api/image?"+(location.search.slice(1).replace(/&?(points|film)=[^&]*/g,"")||"seed=0")</script>'
)
"""The first image, seen while the browser still builds the controls around it."""
_SECONDS = 10.0
_FOREIGN = re.compile(rb"<meta\s[^>]*(?:og:|twitter:)[^>]*>", re.DOTALL)
_LARGEST_PAGE = 32 * 2**20


class Guard:
    """An ASGI application before another.

    Args:
        app: that answers what is let through.
        bounds: of rate and upload.
        hosts: names by which the server may be called; empty for any. A page of another site that has its own name
            lead here cannot read answers then.
    """

    def __init__(self, app: App, bounds: Bounds, hosts: tuple[str, ...] = ()) -> None:
        self._app, self._bounds, self._hosts = app, bounds, hosts
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        status, sentence = self._refusal(scope)
        if status:
            await refuse(send, status, sentence, scope["method"])
        elif scope["path"] == "/":
            await self._app(scope, receive, _Page(_marked(send)))
        else:
            await self._app(scope, receive, _marked(send))

    def _refusal(self, scope: Message) -> tuple[int, str]:
        """Return the status and the sentence with which a request is refused; 0 if it is not."""
        path, method = scope["path"], scope["method"]
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts and re.sub(r":[0-9]{1,5}$", "", host) not in self._hosts:
            return 421, f"this server answers to {', '.join(self._hosts)}"
        if not OPEN.fullmatch(path) or ".." in path:
            return 404, "there is no such page; the API is described in docs/serving.md"
        if method not in (("POST",) if path == POSTED else ("GET", "HEAD")):
            return 405, f"{path} takes {'POST' if path == POSTED else 'GET'} only"
        if len(scope.get("query_string", b"")) > MOST_QUERY:
            return 414, f"a query has at most {MOST_QUERY} characters"
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 12 or int(length) > self._bounds.upload:
            return 413, f"at most {self._bounds.upload:,} bytes can be sent"
        client = (scope.get("client") or ("",))[0]
        if not path.startswith(("/assets", "/static")) and not self._counts(client):
            return 429, f"more than {self._bounds.rate:g} requests a second from one address; ask again in a moment"
        return 0, ""

    def _counts(self, client: str) -> bool:
        """Tell whether a client may ask once more now."""
        now = time.monotonic()
        most = self._bounds.rate * _SECONDS
        left, then = self._left.pop(client, (most, now))
        left = min(most, left + (now - then) * self._bounds.rate)
        self._left[client] = (left - 1 if left >= 1 else left), now
        while len(self._left) > self._bounds.clients:
            self._left.popitem(last=False)
        return left >= 1


async def refuse(send: Send, status: int, sentence: str, method: str = "GET") -> None:
    """Answer with a sentence, as JSON."""
    import json

    body = json.dumps({"error": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    if status in (429, 503):
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _marked(send: Send) -> Send:
    """Return ``send`` that adds the headers of all answers."""

    async def mark(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in HEADERS}
            kept = [(name, value) for name, value in message["headers"] if name.lower() not in own]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return mark


class _Page:
    """Sends the page without what it says to other sites about Gradio: addresses of other hosts among it."""

    def __init__(self, send: Send) -> None:
        self._send, self._body = send, b""
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body") and len(self._body) < _LARGEST_PAGE:
            return
        if self._start is not None:
            body = _FOREIGN.sub(b"", self._body).replace(b"<gradio-app", EARLY + b"<gradio-app", 1)
            kept = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
            headers = [*kept, (b"content-length", str(len(body)).encode())]
            await self._send({**self._start, "headers": headers})
            await self._send({"type": "http.response.body", "body": body})
            self._start = None
