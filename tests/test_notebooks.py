"""The notebooks: without outputs, and what they say can be run, cell by cell, on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.code_blocks import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def cells(path: Path, kind: str) -> list[str]:
    """Return the text of the cells of a kind."""
    return ["".join(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == kind]


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_are_as_they_are_committed(path: Path) -> None:
    notebook = read(path)
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert set(cell) <= {"cell_type", "id", "metadata", "source", "outputs", "execution_count"}
    assert cells(path, "markdown")[0].startswith("# ")
    for code in cells(path, "code"):
        compile(code, path.name, "exec")  # plain Python, no magic of a shell


def test_there_are_three() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["evaluation", "own_images", "sampling"]


@pytest.mark.nightly
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells(path, "code")), "utf-8")
    own = os.environ | {"PYTHONPATH": str(ROOT / "src"), "BIGGAN_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, script.name], cwd=tmp_path, env=own, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
