"""A folder as people serve it, and what stands around it that must never be read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from biggan.web.api import routes
from biggan.web.bounds import Bounds
from biggan.web.guard import LOCAL, Guard
from biggan.web.service import Service
from tests.snapshots import write

SECRET = b"\x89PNG secret"


def folder(place: Path) -> Path:
    """Write two runs and two snapshots, and links that lead out; return their folder."""
    shown = place / "shown"
    shown.mkdir(parents=True)
    write(shown / "one.safetensors")
    write(shown / "two.safetensors", seed=1)
    for name, loss in (("first", 1.0), ("second", 2.0)):
        run(shown / name, loss)
    outside = place / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(SECRET)
    write(outside / "hidden.safetensors")
    (shown / "link.safetensors").symlink_to(outside / "hidden.safetensors")
    (shown / "links").symlink_to(outside)
    return shown


def run(path: Path, loss: float) -> Path:
    """Write a run as training leaves it."""
    (path / "samples" / "64").mkdir(parents=True)
    (path / "snapshots").mkdir()
    write(path / "snapshots" / "640.safetensors")
    Image.new("L", (4, 4), 200).save(path / "samples" / "64" / "fixed.png")
    lines = [{"images_seen": clock, "iterations": clock // 64, "G_loss": loss + clock} for clock in (64, 128)]
    look = {"images_seen": 128, "health": {"separation": 0.9}, "findings": {"collapse": "all images are alike"}}
    (path / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [*lines, look]) + '{"images_se')
    return path


@contextmanager
def client(path: Path, bounds: Bounds | None = None) -> Iterator[TestClient]:
    """Yield a client of the API behind the guard; Gradio is not needed for it."""
    service = Service([str(path)], "cpu", bounds)
    try:
        app = Guard(
            FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=routes(service)), service.bounds, LOCAL
        )
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as found:  # type: ignore[arg-type]
            yield found
    finally:
        service.close()
