"""Weights from wherever they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from biggan.cli.main import main
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.hub.index import Index, Published, PublishedFile, ReadAt
from biggan.hub.places import fetch, next_step
from biggan.models.snapshot import is_snapshot
from tests.rooms.foundation.shelf import Shelf

CONTENT = bytes(range(256)) * 100
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def published(*files: PublishedFile, way: str = "download") -> Index:
    read = ReadAt(document="a page", says="address")
    one = Published(name="weights-1", family="biggan-pytorch", data="digits", way=way, files=files, read_at=(read,))  # type: ignore[arg-type]  # a test's word
    return Index(weights=(one,))


def test_a_name_of_the_index_is_fetched_verified_and_kept(cache: Path) -> None:
    shelf = Shelf(CONTENT)
    with shelf.served() as site:
        index = published(PublishedFile(address=f"{site}/G_ema.pth", sha256=SHA256[:8]))
        found = fetch("weights-1", index=index)
        assert found.path.read_bytes() == CONTENT
        assert found.published == index.weights[0]
        assert found.path == cache / "weights" / "weights-1" / "G_ema.pth"
        assert fetch("weights-1", index=index) == found
        assert len(shelf.asked) == 1
        wrong = published(PublishedFile(address=f"{site}/G_ema.pth", sha256="0" * 8))
        with pytest.raises(CorruptFileError, match="does not begin with 00000000"):
            fetch("weights-1", index=wrong)


def test_files_that_belong_together_lie_together(cache: Path) -> None:
    with Shelf(CONTENT).served() as site:
        index = published(
            PublishedFile(address=f"{site}/deep-128-pytorch_model.bin", name="pytorch_model.bin"),
            PublishedFile(address=f"{site}/deep-128-config.json", name="config.json"),
        )
        found = fetch("weights-1", index=index)
    assert found.path == cache / "weights" / "weights-1"
    assert {path.name for path in found.path.iterdir() if path.name[0] != "."} == {"pytorch_model.bin", "config.json"}
    assert next_step(found.path, found.published) == f"biggan convert {found.path} weights-1.safetensors"


def test_an_address_a_path_and_a_file_address_are_alike(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    file = tmp_path / "a b" / "G.pth"
    file.write_bytes(CONTENT)
    with Shelf(CONTENT).served() as site:
        assert fetch(f"{site}/G.pth", sha256=SHA256).path.read_bytes() == CONTENT
        with pytest.raises(CorruptFileError, match="its sha256"):
            fetch(f"{site}/other.pth", sha256="1" * 8)
    assert fetch(str(file)).path == file
    assert fetch(file.as_uri()).path == file
    assert fetch(f"file://localhost{file.parent.as_uri()[7:]}").path == file.parent
    assert next_step(file) == f"biggan convert '{file}' G.safetensors"
    for word, message in (
        ("file:///nowhere/G.pth", "there is no /nowhere/G.pth"),
        ("file://elsewhere/G.pth", "file:// means this machine"),
        ("http://example.com/G.pth", "only https"),
        ("s3://bucket/G.pth", "only https"),
        ("", "unknown weights ''"),
        ("x" * 5000, "unknown weights"),
        ("a\0b", "unknown weights"),
    ):
        with pytest.raises(UserError, match=message):
            fetch(word)
    for word in (str(file), file.as_uri(), "https://example.com/G.pth"):
        with pytest.raises(UserError, match=r"--file x\.pth: of a repository only"):
            fetch(word, file="x.pth")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "https://drive.google.com/open?id=1",
            "open the address in a browser, save what it offers.*biggan convert FILE",
        ),
        ("https://drive.google.com/drive/folders/1", "browser"),
        (
            "biggan-pytorch-128",
            "(?s)inception_score 97.35.*drive.google.com.*browser.*Then: biggan convert FILE NEW.safetensors",
        ),
        (
            "tfhub-biggan-256",
            "save its variables by name in one .npz or HDF5 file. Then: biggan convert FILE NEW.safetensors",
        ),
        ("compare-gan-danbooru256", "rsync"),
    ],
)
def test_what_no_program_gets_is_told_with_the_way_by_hand(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fetch(word)


def test_a_page_says_how_to_go_on_by_hand(cache: Path) -> None:
    page = b"<!DOCTYPE html><html><title>Quota exceeded</title>Too many users have viewed this file"
    with (
        Shelf(page).served() as site,
        pytest.raises(UserError, match=r"a web page came.*'biggan convert FILE NEW.safetensors'"),
    ):
        fetch(f"{site}/G.pth")
    assert not list(cache.rglob("G.pth"))


def test_an_interrupted_pull_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    shelf = Shelf(CONTENT, most=10_000)
    with shelf.served() as site:
        assert main(["pull", f"{site}/G.pth"]) == 2
        assert "10,000 of 25,600 bytes; what came is kept; the same again goes on" in capsys.readouterr().err
        shelf.most = None
        assert main(["pull", f"{site}/G.pth"]) == 0
    assert shelf.sent == len(CONTENT)
    path, step = capsys.readouterr().out.splitlines()
    assert Path(path).read_bytes() == CONTENT
    assert step == f"next: biggan convert {path} G.safetensors"


def test_the_command_lists_and_copies(tmp_path: Path, snapshot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pull"]) == 0
    assert "huggingface-biggan-deep-512" in capsys.readouterr().out
    out = tmp_path / "out"
    assert main(["pull", str(snapshot), "--out", str(out)]) == 0
    assert (out / snapshot.name).read_bytes() == snapshot.read_bytes()
    assert f"next: biggan sample {out / snapshot.name} --out FOLDER" in capsys.readouterr().out
    assert not is_snapshot(out), "a folder holds one under its own name only"
    for arguments, message in (
        (["pull", str(snapshot), "--out", str(out)], "is not empty; add --overwrite"),
        (["pull", str(snapshot), "--out", str(snapshot.parent), "--overwrite"], "lies already"),
        (["pull", "nothing-such"], "unknown weights 'nothing-such'; nearest: "),
        (["pull", "x", "--sha256", "12"], "--sha256 12: 8 to 64 hexadecimal digits"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
    assert main(["pull", str(snapshot), "--out", str(out), "--overwrite"]) == 0


def test_an_archive_is_to_be_unpacked_first(tmp_path: Path) -> None:
    assert next_step(tmp_path / "x.tar.gz") == f"unpack {tmp_path}/x.tar.gz, then: biggan convert FOLDER x.safetensors"
