"""A browser without a window, pages served to it, and what it shows."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
PIXELS = """() => { const c = document.getElementById("picture");
  return [c.height, c.width, Array.from(c.getContext("2d").getImageData(0, 0, c.width, c.height).data)]; }"""

FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const clear = (one) => /, 0\\)$|transparent/.test(getComputedStyle(one).backgroundColor);
  let ground = e.parentElement;
  while (clear(ground) && ground.parentElement) ground = ground.parentElement;
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + Math.min(box.height / 2, 20));
  return {
    id: e.id || e.tagName.toLowerCase(),
    width: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
    colour: style.outlineColor,
    ground: getComputedStyle(ground).backgroundColor,
    in_sight: box.top >= 0 && box.bottom <= innerHeight + 1 && (e === middle || e.contains(middle)),
  };
}"""
"""What has the keyboard, how it is framed, on which colour, and whether it can be seen."""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextlib.contextmanager
def served(place: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(place)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def opened(chromium: Any, address: str, size: dict[str, int] = DESKTOP, **options: Any) -> Iterator[Any]:
    """Yield a page; whatever it complains of on the console fails the test, unless ``problems`` is emptied."""
    context = chromium.new_context(viewport=size, **options)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(address)
    yield page
    assert page.problems == []
    context.close()


def drawn(page: Any, state: str) -> np.ndarray:
    """Wait until the page shows ``state``; return the picture uint8 [3, H, W]."""
    page.wait_for_selector(f"body[data-drawn={json.dumps(state)}]", timeout=60_000)
    height, width, values = page.evaluate(PIXELS)
    return np.array(values, dtype=np.uint8).reshape(height, width, 4)[..., :3].transpose(2, 0, 1)


def apart(found: np.ndarray, ours: torch.Tensor) -> int:
    return int(np.abs(found.astype(int) - ours.numpy().astype(int)).max())


def lowest_contrast(page: Any) -> float:
    """Return the lowest contrast of text on its ground, as WCAG 2 reckons it, in all that is shown and not disabled."""
    pairs = page.evaluate(
        """() => {
          const clear = (e) => /, 0\\)$|transparent/.test(getComputedStyle(e).backgroundColor);
          const written = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
          return [...document.querySelectorAll("body *")].filter((e) => e.offsetParent && !e.disabled && written(e))
            .map((e) => {
              let ground = e;
              while (clear(ground) && ground.parentElement) ground = ground.parentElement;
              return [getComputedStyle(e).color, getComputedStyle(ground).backgroundColor];
            });
        }"""
    )

    ratios = [contrast(*pair) for pair in pairs]
    assert len(ratios) > 20
    return min(ratios)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours of CSS, ``rgb(r, g, b)``, as WCAG 2 reckons it: 1 to 21."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = light(one), light(other)
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def status(page: Any) -> str:
    page.wait_for_selector("#status.wrong", timeout=60_000)
    page.problems.clear()
    return str(page.locator("#status").inner_text())
