"""Where results go, and what files of a class are called."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.foundation.outputs import output_file, output_folder, safe_name

HOSTILE = [
    "../../x", "/abs", "..", ".", "", " ", "\0", "a\0b", "x" * 300, "\U0001f600" * 300, "CON", "nul.png", "COM1", "a.",
    "a ", "A", "a", "a/b", "a\\b", "C:x", "a:b", "*?<>|\"", "\x1b[2J", "\n", "~", "-rf", "$HOME", "é", "\udcff",
]  # fmt: skip


def test_names_of_classes_are_single_parts_of_paths_and_each_of_its_own() -> None:
    names = [safe_name(index, name) for index, name in enumerate(HOSTILE)]
    assert len({name.casefold() for name in names}) == len(HOSTILE)
    assert safe_name(3, "golden retriever") == "3_golden_retriever"


@given(st.integers(0, 10**6), st.text(alphabet=st.characters(), max_size=400) | st.sampled_from(HOSTILE))
def test_any_name_is_a_file_on_any_system(index: int, name: str) -> None:
    safe = safe_name(index, name)
    assert safe == safe_name(index, name)
    assert safe.startswith(f"{index}_")
    assert len(f"{safe}_seed{2**63}.png".encode()) < 140
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(safe).parts == (safe,)
    if hasattr(PureWindowsPath, "is_reserved"):
        assert not PureWindowsPath(safe).is_reserved()
    assert safe[-1] not in ". "
    assert safe.isprintable()


@pytest.mark.parametrize("name", HOSTILE)
def test_such_files_can_be_written(name: str, tmp_path: Path) -> None:
    file = tmp_path / safe_name(7, name)
    file.write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_file_is_replaced_only_if_that_was_asked_for(tmp_path: Path) -> None:
    new, old = tmp_path / "a" / "b" / "new.png", tmp_path / "old.png"
    old.write_text("dear")
    assert output_file(new, overwrite=False) == new
    assert not new.parent.exists(), "asking makes nothing"
    with pytest.raises(UserError, match=r"--out .*old\.png exists; add --overwrite"):
        output_file(old, overwrite=False)
    assert output_file(str(old), overwrite=True) == old
    with pytest.raises(UserError, match=r"old\.png is not a folder"):
        output_file(old / "x.png", overwrite=True)


def test_a_folder_is_new_or_empty_or_asked_for(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert output_folder(tmp_path / name, overwrite=False) == tmp_path / name
    with pytest.raises(UserError, match="is not empty; add --overwrite"):
        output_folder(tmp_path / "full", overwrite=False)
    assert output_folder(tmp_path / "full", overwrite=True)
    with pytest.raises(UserError, match="this is a file"):
        output_folder(tmp_path / "full" / "x", overwrite=True)
    with pytest.raises(UserError, match="this is a folder"):
        output_file(tmp_path / "full", overwrite=True)


@pytest.mark.parametrize("target", ["full", "full/x", "nowhere"])
def test_nothing_is_written_through_links(target: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "link").symlink_to(tmp_path / target)
    for check in (output_file, output_folder):
        with pytest.raises(UserError, match=rf"link is a link.* leads to, .*{target}"):
            check(tmp_path / "link", overwrite=True)


def test_pipes_and_impossible_names_are_said(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no ordinary file"):
        output_file(tmp_path / "pipe", overwrite=True)
    for name in ("", " ", "a\0b", "x" * 5000, str(tmp_path / ("y" * 300))):
        for check in (output_file, output_folder):
            with pytest.raises(UserError, match="--out"):
                check(name, overwrite=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_may_not_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="no permission"):
        output_file(tmp_path / "x.png", overwrite=False)
