"""The site without MkDocs: its navigation, what is generated, and the step that a page annotates."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml  # comes with huggingface_hub

from tests.code_blocks import ROOT, blocks
from tests.generated_pages import DOCS, PARTS, made

ABOVE = {"index.md": "README.md", "security.md": "SECURITY.md", "contributing.md": "CONTRIBUTING.md"}
ABOVE["changelog.md"] = "CHANGELOG.md"


def navigation() -> list[str]:
    """Return the pages that the site's navigation names."""

    def walk(part: object) -> list[str]:
        if isinstance(part, str):
            return [part]
        if isinstance(part, dict):
            return [page for value in part.values() for page in walk(value)]
        assert isinstance(part, list)
        return [page for value in part for page in walk(value)]

    return walk(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])


def test_every_page_is_in_the_navigation_once_and_exists() -> None:
    named = navigation()
    assert len(named) == len(set(named))
    there = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | set(ABOVE)
    assert set(named) == there, set(named) ^ there
    assert all((ROOT / name).is_file() for name in ABOVE.values())


@pytest.mark.parametrize("page", PARTS)
def test_generated_parts_are_as_they_would_be_made(page: str) -> None:
    assert (DOCS / page).read_text("utf-8") == made(page), "python -m tests.generated_pages"


def test_the_annotated_step_is_the_step() -> None:
    (block,) = [b for b in blocks("python") if b.page.name == "how_it_works.md"]
    source = re.sub(r"\s", "", (ROOT / "src" / "biggan" / "training" / "step.py").read_text())
    lines = [re.sub(r"\s", "", line.partition("#")[0]) for line in block.code.splitlines()]
    lines = [line for line in lines if line]
    assert len(lines) > 15
    for line in lines:
        if line.startswith("def"):
            assert line.partition("(")[0] in source
        else:
            assert line in source or line.removesuffix(")") in source, line


def test_the_loss_in_15_lines_trains(tmp_path: Path) -> None:
    from biggan.training.setup import train
    from tests.conftest import tiny_config

    (block,) = [b for b in blocks("python") if b.page.name == "extending.md" and b.file]
    body = block.code.partition("from dataclasses")[2]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15
    file = tmp_path / str(block.file)
    file.write_text(block.code)
    config = tiny_config(tmp_path / "run", duration=16, step=f"{file}:step", terms=("calm,weight=0.01",))
    assert train(config, "digits").images_seen == 16


def test_measured_numbers_of_the_recipes_stand_on_other_pages() -> None:
    """The recipe book gathers; nobody's number is only there."""
    recipes = (DOCS / "recipes.md").read_text("utf-8")
    others = "\n".join(path.read_text("utf-8") for path in DOCS.glob("*.md") if path.name != "recipes.md")
    found = set(re.findall(r"(?<![\w.,-])\d+(?:,\d{3})*\.\d+(?![\w.])|\d+(?:,\d{3})+|\d+(?= images/s)", recipes))
    assert len(found) > 25
    others += (ROOT / "src" / "biggan" / "presets" / "biggan.py").read_text()
    lacking = {number for number in found if number not in others}
    assert lacking == set()
