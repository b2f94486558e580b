"""A folder is there whole or not at all, and nothing in it is written through links."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing_folder


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, text: str) -> None:
    (folder / "part").mkdir()
    (folder / "index").write_text(text)
    (folder / "part" / "one").write_text(text)


def interrupted(path: Path) -> None:
    with replacing_folder(path) as folder:
        fill(folder, "new")
        raise ZeroDivisionError


@pytest.mark.parametrize("there", [None, {}, {"index": "old", "part/one": "old", "part/mine": "dear"}])
def test_files_are_replaced_and_others_stay(there: dict[str, str] | None, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "page"
    if there is not None:
        path.mkdir(parents=True)
    for name, text in (there or {}).items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    with pytest.raises(ZeroDivisionError):
        interrupted(path)
    assert (contents(path) if path.exists() else None) == there
    with replacing_folder(path) as folder:
        fill(folder, "new")
    assert contents(path) == {**(there or {}), "index": "new", "part/one": "new"}
    assert [one.name for one in path.parent.iterdir()] == ["page"]


@pytest.mark.parametrize("link", [".", "index", "part", "part/one"])
def test_no_link_is_followed(link: str, tmp_path: Path) -> None:
    path, victim = tmp_path / "page", tmp_path / "victim"
    victim.mkdir()
    (path / link).parent.mkdir(parents=True, exist_ok=True)
    (path / link).symlink_to(victim, target_is_directory=True)
    with pytest.raises(UserError, match="link"), replacing_folder(path) as folder:
        fill(folder, "new")
    assert contents(victim) == {}
    assert not contents(path)
