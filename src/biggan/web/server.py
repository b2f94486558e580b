"""Ports, the web server, and the page put together."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import socket
import threading
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line
from biggan.web.bounds import Bounds

if TYPE_CHECKING:
    from biggan.web.guard import App
    from biggan.web.service import Service

PACKAGES = ("gradio", "fastapi", "uvicorn", "starlette")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_CONNECTIONS = 512


def check_packages() -> None:
    """Make sure, before any work, that a page can be served.

    Raises:
        UserError: the extra ``web`` is not installed.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f'biggan serve needs {", ".join(missing)}: pip install "biggan-torch[web]"')


@dataclass(frozen=True)
class Listening:
    """An open port.

    Attributes:
        socket: that listens.
        address: of the page.
    """

    socket: socket.socket
    address: str


def listen(host: str, port: int) -> Listening:
    """Open a port, before any model is read.

    Args:
        host: address or name to listen at.
        port: 0 for any free one.

    Raises:
        UserError: it is in use, may not be used, or there is no such host.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port {port}: 0 (any free one) to 65535")
    shown = f"--host {one_line(host, 80)} --port {port}"
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {one_line(host, 80)}: there is no such address on this machine") from error
    opened = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(place)
        opened.listen(128)
    except OSError as error:
        opened.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"{shown}: the port is in use; choose another with --port, or --port 0") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise UserError(f"{shown}: not allowed; choose a port above 1023") from error
        raise UserError(f"{shown}: cannot be opened ({error.strerror or error})") from error
    number = opened.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    return Listening(opened, f"http://{name}:{number}/")


def application(service: Service, host: str, bounds: Bounds) -> App:
    """Return the whole ASGI application: the guard, the API, the page.

    Args:
        service: that answers.
        host: at which it listens: where that is a loopback address, only its names are answered.
        bounds: of rate and size.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import gradio
    from fastapi import FastAPI

    from biggan.web.api import routes
    from biggan.web.guard import LOCAL, Guard
    from biggan.web.page import blocks, look

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=routes(service))
    mounted = gradio.mount_gradio_app(
        app,
        blocks(service),
        path="",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        blocked_paths=["/"],
        max_file_size=1,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        enable_monitoring=False,
        show_error=False,
        **look(),
    )
    return Guard(mounted, bounds, LOCAL if host in LOOPBACK else ())


def serve(app: Any, listening: Listening) -> None:
    """Answer until the process is told to stop."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            super().handle_exit(sig, frame)
            self.force_exit = False  # a second Ctrl-C ends nothing sooner, and left a traceback

    threading.Thread(target=_first_look, args=(listening.address,), daemon=True).start()

    config = uvicorn.Config(
        app,
        log_level="warning",
        use_colors=False,  # uvicorn asks whether there is a terminal, and not for NO_COLOR
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=3,
        ws="none",
        proxy_headers=False,
    )
    Server(config).run(sockets=[listening.socket])


def _first_look(address: str) -> None:
    """Ask for the page and its first image once, as a browser does: whoever comes first waits no longer than others."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in ("", "api/image?seed=0"):
        with (
            contextlib.suppress(OSError, HTTPException),
            opener.open(address.rstrip("/") + "/" + path, timeout=60) as answer,
        ):
            answer.read()
