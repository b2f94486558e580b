"""What the site needs beyond the pages in docs/: the pages above it, and links that lead out of it.

README.md, SECURITY.md, CONTRIBUTING.md and CHANGELOG.md stay where everybody looks for them, and are pages of the site.
A link to a file that is no page (a source, an example) becomes its text, since nobody knows where the repository lies.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ABOVE = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
_LINK = re.compile(r"(!?)\[((?:[^\]\[]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages above docs/."""
    for name, page in ABOVE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Make links between docs/ and what lies above it those of the site."""
    above = {page_: name for name, page_ in ABOVE.items()}
    source = ROOT / above.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def translate(match: re.Match[str]) -> str:
        mark, text, target, anchor = match[1], match[2], match[3], match[4] or ""
        file = (source.parent / target).resolve()
        if not file.is_relative_to(ROOT):
            return match[0]
        inside = file.relative_to(ROOT).as_posix()
        if inside in ABOVE:
            return f"{mark}[{text}]({ABOVE[inside]}{anchor})"
        if inside.startswith("docs/"):
            here = posixpath.dirname(page.file.src_uri)
            return f"{mark}[{text}]({posixpath.relpath(inside.removeprefix('docs/'), here or '.')}{anchor})"
        return text  # a file of the repository

    parts = re.split(r"(^ *```.*?^ *```)", markdown, flags=re.M | re.S)
    return "".join(part if part.lstrip().startswith("```") else _LINK.sub(translate, part) for part in parts)
