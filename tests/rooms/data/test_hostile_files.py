"""Damaged files of every kind: whatever was done to them, an image or a UserError comes of it, soon."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from biggan.foundation.errors import UserError
from tests.conftest import HANGS
from tests.data_kinds import HOSTILE, some_images
from tests.hostile_reading import MOST_SECONDS, attack, read_everything
from tests.mutations import damage

_QUICK = 5  # damaged files of a kind in the suite
_THOROUGH = 500  # at night; `python -m tests.hostile_reading all 0 2000` is most of an hour


@pytest.mark.parametrize("title", HOSTILE)
def test_nothing_but_an_error_or_an_image(title: str, tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    path = HOSTILE[title](some_images(1), original).replace(str(original), str(copy))
    for seed in range(_QUICK):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
        damage(copy, random.Random(f"suite {title} {seed}"))
        began = time.perf_counter()
        try:
            read_everything(path)
            told = str(copy)
        except UserError as error:
            told = str(error)
        assert str(copy) in told, "it names the file"
        assert time.perf_counter() - began < HANGS


@pytest.mark.nightly
@pytest.mark.parametrize("title", HOSTILE)
def test_nothing_but_an_error_or_an_image_hundreds_of_times(title: str) -> None:
    """In processes of their own, so that a crash or an endless loop inside a library is counted, not suffered."""
    found = attack(title, 100_000, _THOROUGH)
    assert found.cases == _THOROUGH
    assert found.bad == []
    assert found.refused > 0, "some of the damage was noticed"
    assert found.worst_seconds < MOST_SECONDS, found.worst_case
