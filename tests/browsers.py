"""What tests of pages need beside the package: a browser, Playwright, the runtime of pages that draw by themselves.

Where one is lacking its tests are skipped; under ``make browser``, which is asked for them, they fail.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

REQUIRED = "BIGGAN_BROWSER"
"""Environment variable that is ``required`` where nothing may be lacking."""
CHROMIUM = "BIGGAN_CHROMIUM"
RUNTIME = "BIGGAN_ONNXRUNTIME_WEB"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def chromium_path() -> str | None:
    """Return the browser to use: what ``BIGGAN_CHROMIUM`` names, else the first that is found; None if none is."""
    return os.environ.get(CHROMIUM) or next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def lacking(what: str) -> NoReturn:
    """Skip a test for want of something, or fail it where that is required."""
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{what}; {REQUIRED}=required (make browser) lets no test be skipped for it", pytrace=False)
    pytest.skip(what)


def runtime_folder() -> str:
    """Return the folder of the npm package onnxruntime-web, which ``BIGGAN_ONNXRUNTIME_WEB`` names."""
    return os.environ.get(RUNTIME) or lacking(f"no onnxruntime-web here ({RUNTIME} names its folder)")


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """Yield a browser without a window."""
    path = chromium_path()
    if path is None:
        lacking(f"no Chromium here ({CHROMIUM} names one)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("Playwright for Python is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
