"""``biggan serve``."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import say


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Show a page on which classes, seeds, truncation, latents and runs can be played with; and an HTTP API.

    It answers to this machine alone unless --host says otherwise, reads no file outside of what is named, and writes
    none.
    """

    paths: tyro.conf.Positional[tuple[str, ...]]
    """Runs, snapshots, or folders of them."""
    host: str = "127.0.0.1"
    """Address to listen at. 0.0.0.0 is every one: all who can reach this machine can draw then."""
    port: int = 7860
    """0 takes any free one."""
    rate: float = 200.0
    """Most requests a second from one address."""
    waiting: int = 256
    """Most images that wait to be drawn."""
    cache: int = 64
    """Megabytes of images that are kept."""
    weights: int = 4096
    """Megabytes of generators that are kept, of at most four; one is always."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


def main(words: list[str]) -> int:
    """Serve until told to stop."""
    options = read_options(ServeOptions, words, "biggan serve")
    if not options.paths:
        raise UserError("name a run, a snapshot, or a folder of them: biggan serve RUN")
    for name, value, low, high in (
        ("--rate", options.rate, 1, 1e6),
        ("--waiting", options.waiting, 1, 100_000),
        ("--cache", options.cache, 1, 100_000),
        ("--weights", options.weights, 1, 10_000_000),
    ):
        if not low <= value <= high:
            raise UserError(f"{name} {value:g}: {low} to {high:g}")
    from biggan.web.bounds import MEGABYTE, Bounds
    from biggan.web.server import LOOPBACK, application, check_packages, listen, serve

    check_packages()
    bounds = Bounds(
        rate=options.rate,
        waiting=options.waiting,
        cache=options.cache * MEGABYTE,
        weights=options.weights * MEGABYTE,
    )
    listening = listen(options.host, options.port)
    from biggan.web.service import Service

    service = Service(options.paths, options.device, bounds)
    try:
        app = application(service, options.host, bounds)
        names = list(service.places.entries())
        say(f"{len(names)} to look at: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}")
        if options.host not in LOOPBACK:
            say("everybody who can reach this machine can draw: there is no password")
        say(f"{listening.address}  (Ctrl-C stops)")
        with contextlib.suppress(KeyboardInterrupt):  # which the server raises again once it has closed
            serve(app, listening)
        say("stopped")
    finally:
        listening.socket.close()
        service.close()
    return 0
