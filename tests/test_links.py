"""Links of all documents: files that exist, places in them that exist. No network, no MkDocs."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, pages

PAGES = [*pages(), ROOT / "CHANGELOG.md"]
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^()\s]*(?:\([^()]*\)[^()\s]*)?)\)")
_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.M | re.S)


def prose(page: Path) -> str:
    """Return the text of a page without its code."""
    return _CODE.sub("", page.read_text("utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the names of its headings, as GitHub and MkDocs both make them of letters, digits and spaces."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", text, re.M):
        explicit = re.search(r"\{ *#([\w-]+) *\}$", heading)
        if explicit:
            found.add(explicit[1])
            continue
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = slugified(plain)
        number = 1
        while slug in found:
            slug, number = f"{slugified(plain)}_{number}", number + 1
        found.add(slug)
    return found | set(re.findall(r'<a id="([\w-]+)"', text))


def slugified(heading: str) -> str:
    """Return what a heading is called in an address."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            assert target.startswith(("https://", "mailto:")), f"{page.name}: {target} is no secure address"
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        assert file.exists(), f"{page.name} links to {target}"
        assert file.is_relative_to(ROOT), f"{page.name} links out of the project: {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page.name} links to {target}, which has {sorted(anchors(file))}"


def test_every_page_can_be_reached() -> None:
    """From the README, by links."""
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in seen:
            continue
        seen.add(page)
        for target in _LINK.findall(prose(page)):
            file = (page.parent / target.partition("#")[0]).resolve()
            if file.suffix == ".md" and file.is_file():
                todo.append(file)
    assert set(PAGES) - seen - {ROOT / "CHANGELOG.md"} == set()


def test_the_checks_can_fail() -> None:
    assert _LINK.findall("see [a](b.md#c) and ![d](e.png)") == ["b.md#c", "e.png"]
    assert slugified("How large a batch is worth it?") == "how-large-a-batch-is-worth-it"
    assert "one-clock" in anchors(ROOT / "docs" / "training.md")
    assert "no-such-heading" not in anchors(ROOT / "docs" / "training.md")
