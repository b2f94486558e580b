"""What the tests of this room share: a cache of their own, and a tiny run."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.training.setup import train
from tests.conftest import tiny_config


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGGAN_CACHE", str(cache))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run on digits."""
    path = tmp_path_factory.mktemp("run") / "run"
    train(tiny_config(path, duration=160), "digits")
    return path
