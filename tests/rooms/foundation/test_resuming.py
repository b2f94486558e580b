"""Downloads that end early and are taken up again; whatever happened in between, what is kept is one whole file."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from biggan.foundation import transfers, unfinished
from biggan.foundation.downloads import download
from biggan.foundation.errors import CorruptFileError, UserError
from tests.rooms.foundation.shelf import SETTLED, Shelf

CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1]
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(CONTENT)


@pytest.fixture
def address(shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "cache"))
    with shelf.served() as site:
        yield f"{site}/w.pth"


def kept(folder: Path) -> set[str]:
    return {
        path.name for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".verified", ".lock"))
    }


def interrupt(shelf: Shelf, address: str, after: int = 30_000) -> None:
    shelf.most = after
    with pytest.raises(UserError, match=r"the connection ended after 30,000 of 102,400 bytes; what came is kept"):
        download(address)
    shelf.most = None


def test_what_was_interrupted_goes_on(shelf: Shelf, address: str, tmp_path: Path) -> None:
    interrupt(shelf, address)
    assert kept(tmp_path) == {".w.pth.partial", ".w.pth.partial.json"}
    assert download(address, sha256=SHA256).read_bytes() == CONTENT
    assert (shelf.asked[1]["Range"], shelf.asked[1]["If-Range"]) == ("bytes=30000-", '"first"')
    assert shelf.sent == len(CONTENT), "no byte comes twice"
    assert kept(tmp_path) == {"w.pth"}


def test_an_address_that_leads_elsewhere_goes_on_too(shelf: Shelf, address: str) -> None:
    address = address.replace("/w.pth", "/moved/w.pth")
    interrupt(shelf, address)
    assert download(address).read_bytes() == CONTENT
    assert shelf.sent == len(CONTENT)


def _changed(shelf: Shelf) -> None:
    shelf.content, shelf.tag = OTHER, '"second"'


def _changed_and_condition_ignored(shelf: Shelf) -> None:
    _changed(shelf)
    shelf.honours_condition = False


def _grown_and_condition_ignored(shelf: Shelf) -> None:
    shelf.content, shelf.tag, shelf.honours_condition = OTHER + OTHER, None, False


def _shrunk_and_condition_ignored(shelf: Shelf) -> None:
    shelf.content, shelf.tag, shelf.honours_condition = OTHER[:1000], None, False


def _shifted(shelf: Shelf) -> None:
    shelf.shifts_parts_by = 1


def _no_parts(shelf: Shelf) -> None:
    shelf.gives_parts = False


@pytest.mark.parametrize(
    "change",
    [
        _changed,
        _changed_and_condition_ignored,
        _grown_and_condition_ignored,
        _shrunk_and_condition_ignored,
        _shifted,
        _no_parts,
    ],
)
def test_no_file_is_put_together_of_two(
    shelf: Shelf, address: str, tmp_path: Path, change: Callable[[Shelf], None]
) -> None:
    interrupt(shelf, address)
    change(shelf)
    assert download(address).read_bytes() == shelf.content
    assert kept(tmp_path) == {"w.pth"}


@pytest.mark.parametrize(
    ("tag", "changed", "goes_on"),
    [
        (None, None, False),
        ('W/"weak"', None, False),
        ("unquoted", None, False),
        (None, SETTLED, True),
        (None, "Tue, 01 Jan 2999 00:00:00 GMT", False),
        (None, "yesterday", False),
        ('W/"weak"', SETTLED, True),
    ],
)
def test_only_what_can_be_told_apart_goes_on(
    shelf: Shelf, address: str, tmp_path: Path, tag: str | None, changed: str | None, goes_on: bool
) -> None:
    shelf.tag, shelf.changed, shelf.most = tag, changed, 30_000
    with pytest.raises(UserError, match="what came is kept" if goes_on else "try again"):
        download(address)
    assert bool(kept(tmp_path)) == goes_on
    shelf.most = None
    assert download(address).read_bytes() == CONTENT
    assert ("Range" in shelf.asked[1]) == goes_on


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(["", "change", "hide"])), max_size=5))
def test_any_history_ends_in_what_is_served_last(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("kept")
    shelf = Shelf(os.urandom(2500))
    with shelf.served() as site:
        for number, (after, what) in enumerate(events):
            if what == "change":
                shelf.content, shelf.tag = os.urandom(2000 + number), f'"{number}"'
            shelf.gives_parts, shelf.most = what != "hide", after
            try:
                found = download(f"{site}/w.pth", folder=folder)
            except UserError:
                continue
            assert found.read_bytes() == shelf.content
            found.unlink()
        shelf.most = None
        assert download(f"{site}/w.pth", folder=folder).read_bytes() == shelf.content
    assert kept(folder) == {"w.pth"}


def note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def rewrite(note: Path, received: int) -> None:
    note.write_text(note.read_text().replace("30000", str(received)))


def _a_link(part: Path) -> None:
    part.rename(part.with_name("x"))
    part.symlink_to(part.with_name("x"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda part: part.write_bytes(b"x" + part.read_bytes()[1:]),
        lambda part: part.write_bytes(part.read_bytes()[:-1]),
        lambda part: part.unlink(),
        lambda part: note_of(part).unlink(),
        lambda part: note_of(part).write_bytes(b"{"),
        lambda part: rewrite(note_of(part), 102_401),
        lambda part: rewrite(note_of(part), 29_999),
        lambda part: rewrite(note_of(part), 0),
        _a_link,
    ],
)
def test_what_lies_there_is_not_trusted(
    shelf: Shelf, address: str, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    interrupt(shelf, address)
    (part,) = tmp_path.rglob(".*.partial")
    damage(part)
    assert download(address).read_bytes() == CONTENT
    assert "Range" not in shelf.asked[1]


def test_bytes_after_those_that_were_noted_are_dropped(shelf: Shelf, address: str, tmp_path: Path) -> None:
    interrupt(shelf, address)
    (part,) = tmp_path.rglob(".*.partial")
    part.write_bytes(part.read_bytes() + b"not synced")
    assert download(address).read_bytes() == CONTENT
    assert shelf.sent == len(CONTENT)


def test_a_wrong_hash_leaves_nothing(shelf: Shelf, address: str, tmp_path: Path) -> None:
    interrupt(shelf, address)
    with pytest.raises(CorruptFileError, match=r"its sha256 is \w{64}, not 0{64}; nothing was kept"):
        download(address, sha256="0" * 64)
    with pytest.raises(CorruptFileError, match=r"its sha256 is \w{64}, which does not begin with 0{8}; nothing"):
        download(address, sha256="0" * 8)
    assert not kept(tmp_path)
    assert download(address, sha256=SHA256[:8].upper()).read_bytes() == CONTENT
    count = len(shelf.asked)
    assert download(address, sha256=SHA256[:8]) == download(address, sha256=SHA256)
    assert len(shelf.asked) == count, "a beginning and the whole of a hash are of one file"
    with pytest.raises(CorruptFileError, match="which does not begin with"):
        download(address, sha256="1" * 8)


def test_all_came_and_the_process_ended(
    shelf: Shelf, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(unfinished.Unfinished, "finish", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            download(address)
    assert download(address).read_bytes() == CONTENT
    assert shelf.sent == len(CONTENT) + 1, "the last byte is asked for, to hear that the file is still the same"
    assert kept(tmp_path) == {"w.pth"}


def _fetch_noting_often(address: str) -> None:
    unfinished._NOTED_EVERY, transfers.BLOCK = 1000, 1000
    download(address)


def test_a_killed_process_is_made_up_for(shelf: Shelf, address: str, tmp_path: Path) -> None:
    shelf.most, shelf.hangs = 30_000, True
    process = multiprocessing.get_context("spawn").Process(target=_fetch_noting_often, args=(address,))
    process.start()
    deadline = time.monotonic() + 30
    while '"received": 30000' not in "".join(note.read_text() for note in tmp_path.rglob("*.partial.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    shelf.most, shelf.hangs = None, False
    assert download(address).read_bytes() == CONTENT
    assert shelf.sent == len(CONTENT)


def _fetch_onto_a_small_disk(address: str) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
    transfers.BLOCK = 1000
    with pytest.raises(UserError, match="could not be written"):
        download(address)


def test_a_full_disk_is_not_kept_full(shelf: Shelf, address: str, tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_fetch_onto_a_small_disk, args=(address,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert not kept(tmp_path)
