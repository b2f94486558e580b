"""Tests of pages are skipped where there is no browser, and fail where one was asked for."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import browsers
from tests.code_blocks import ROOT


def _browser() -> None:
    with browsers.started():
        pass


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return the only folder in which programs are looked for, an empty one."""
    for name in (browsers.REQUIRED, browsers.CHROMIUM, browsers.RUNTIME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_browser_that_is_named_is_taken_before_one_that_is_found(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert browsers.chromium_path() is None
    found = bare / "google-chrome"
    found.touch(mode=0o755)
    assert browsers.chromium_path() == str(found)
    monkeypatch.setenv(browsers.CHROMIUM, "/opt/named")
    assert browsers.chromium_path() == "/opt/named"


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("what", [_browser, browsers.runtime_folder])
def test_what_is_lacking_skips_and_where_it_is_required_fails(
    what: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"no .* here"):
        what()
    monkeypatch.setenv(browsers.REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match=r"no .* here"):
        what()


def test_without_playwright_too(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(browsers.CHROMIUM, str(bare))
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(pytest.skip.Exception, match="Playwright"):
        _browser()
    monkeypatch.setenv(browsers.REQUIRED, "required")
    with pytest.raises(pytest.fail.Exception, match="Playwright"):
        _browser()


def test_make_browser_requires_them() -> None:
    recipe = re.search(r"^browser:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert recipe is not None
    assert f"{browsers.REQUIRED}=required" in recipe[1]
    assert f"{browsers.RUNTIME}=" in recipe[1]
