"""What tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.snapshots import write


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """Return a file with a tiny generator of ten named classes, 16 px, colour."""
    return write(tmp_path / "640.safetensors")
