"""A failure on one of two ranks ends, or skips, on both; nothing ever hangs."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from biggan.training.checkpoint import read_checkpoint
from tests.rooms.training import commands
from tests.rooms.training.commands import Attack, Done
from tests.rooms.training.test_run import last_checkpoint

LONG = "--batch 8 --duration 100k --log.every 8 --checkpoint.every 1G --log.judge none --log.samples-every 1G".split()
SHORT = "--batch 8 --duration 32 --log.every 8 --checkpoint.every 16 --log.judge none".split()


@pytest.fixture
def place(make_folder: Callable[..., Path], tmp_path: Path) -> Path:
    """A folder for each rank with images of its own, the same ones."""
    images = make_folder({"a": 12, "b": 12})
    for rank in range(2):
        shutil.copytree(images, tmp_path / f"place{rank}" / "images")
    return tmp_path


def train(place: Path, words: list[str], attacks: dict[int, Attack] | None = None) -> list[Done]:
    attacks = attacks or {}
    both = {rank: partial(in_its_place, str(place / f"place{rank}"), attacks.get(rank)) for rank in range(2)}
    common = ["train", "digits", "--data", "images", "--run-dir", str(place / "run"), *commands.SMALL]
    return commands.run_ranks([*common, *words], place / "logs", both)


def in_its_place(folder: str, attack: Attack | None) -> None:
    os.chdir(folder)
    if attack is not None:
        attack()


def both_end(done: list[Done], rank: int, message: str) -> None:
    """The rank that failed says why; the other that it was that one."""
    for number, one in enumerate(done):
        assert one.status == 2, one.printed
        assert "Traceback" not in one.printed, one.printed
        assert message in one.printed, one.printed
        if number != rank:
            assert f"failed on rank {rank}: " in one.printed, one.printed


@pytest.mark.parametrize("rank", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_data_that_one_rank_cannot_open(rank: int, place: Path) -> None:
    shutil.rmtree(place / f"place{rank}" / "images")
    both_end(train(place, SHORT), rank, "there is nothing at this path")
    assert not (place / "run").exists(), "nothing was begun"


@pytest.mark.nightly
@pytest.mark.parametrize("rank", [0, 1])
def test_data_that_one_rank_sees_otherwise(rank: int, place: Path) -> None:
    (place / f"place{rank}" / "images" / "a" / "0003.png").unlink()
    for one in train(place, SHORT):
        assert one.status == 2, one.printed
        assert "rank 1 sees other images or labels than rank 0" in one.printed


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--seed 1{rank}", "--seed: rank 1 was given 11, rank 0 10"),
        pytest.param("--batch 1{rank}", "--batch: rank 1 was given 11, rank 0 10", marks=pytest.mark.nightly),
    ],
)
def test_ranks_that_were_given_other_options(option: str, words: str, place: Path) -> None:
    for one in train(place, [*SHORT, *option.split()]):
        assert one.status == 2, one.printed
        assert f"error: {words}; give all ranks the same options" in one.printed
        assert "Traceback" not in one.printed
    assert not (place / "run" / "config.json").exists(), "nothing was begun"


def test_where_a_rank_computes_and_reads_is_its_own(place: Path) -> None:
    (place / "place1" / "images").rename(place / "place1" / "images1")
    (place / "place0" / "images").rename(place / "place0" / "images0")
    own = ["--data", "images{rank}", "--data.workers", "{rank}", "--duration", "8"]
    done = train(place, [*SHORT, *own])
    assert [one.status for one in done] == [0, 0], [one.printed for one in done]


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.nightly), 1])
def test_a_batch_that_one_rank_cannot_read(rank: int, place: Path) -> None:
    """The images of one rank vanish while it trains, before it has read them all: what was read is kept."""
    for folder in place.glob("place*/images/*"):
        (first, *_) = sorted(folder.iterdir())
        for number in range(1500):
            os.link(first, folder / f"more{number}.png")
    gone = partial(shutil.rmtree, place / f"place{rank}" / "images")
    attack = partial(commands.when_it_exists, str(place / "run" / "stats.jsonl"), gone)
    both_end(train(place, [*LONG, "--data.workers", "0"], {rank: attack}), rank, "Saved at")
    assert read_checkpoint(last_checkpoint(place / "run")).images_seen > 0
    assert not (place / "run" / ".lock").exists()


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.nightly), 1])
def test_a_signal_to_one_rank_stops_both(rank: int, place: Path) -> None:
    attack = partial(commands.signal_at, "training/loop.py:_read", int(signal.SIGTERM), 3)
    done = train(place, LONG, {rank: attack})
    assert [one.status for one in done] == [128 + signal.SIGTERM] * 2, [one.printed for one in done]
    assert "SIGTERM: saved at" in done[0].printed
    assert read_checkpoint(last_checkpoint(place / "run")).images_seen > 0


@pytest.mark.nightly
def test_a_disk_that_is_full_for_the_first_rank(place: Path) -> None:
    done = train(place, SHORT, {0: partial(commands.no_file_larger_than, 60_000)})
    both_end(done, 0, "could not be written")
    assert not list((place / "run").rglob("*.writing-*"))


@pytest.mark.nightly
def test_sheets_that_cannot_be_written_are_skipped_and_snapshots_are_made_up_for(place: Path) -> None:
    assert [one.status for one in train(place, SHORT)] == [0, 0]
    run = place / "run"
    for name in ("samples", "snapshots"):
        shutil.rmtree(run / name)
        (run / name).write_text("in the way")
    longer = [*SHORT, "--duration", "64"]
    done = train(place, longer)
    both_end(done, 0, "the snapshot at the end failed")
    assert "samples at 64 images failed, training goes on" in done[0].printed
    assert read_checkpoint(last_checkpoint(run)).record.pending == ("snapshot",)
    for name in ("samples", "snapshots"):
        (run / name).unlink()
    done = train(place, longer)
    assert [one.status for one in done] == [0, 0]
    assert "left to do at 64 images: snapshot" in done[0].printed
    assert (run / "snapshots" / "64.safetensors").is_file()
    assert read_checkpoint(last_checkpoint(run)).record.pending == ()


@pytest.mark.nightly
def test_a_directory_in_use_is_an_error_on_both(place: Path) -> None:
    from biggan.foundation.locks import held

    (place / "run").mkdir()
    with held(place / "run" / ".lock", "the test"):
        both_end(train(place, SHORT), 0, "is in use by process")


@pytest.mark.nightly
@pytest.mark.parametrize("rank", [0, 1])
def test_networks_of_ones_own_that_one_rank_cannot_build(rank: int, place: Path) -> None:
    own = place / "own.py"
    own.write_text(
        "from biggan.foundation import distributed\nfrom biggan.training.step import train_step as step\n"
        f"def prepare(state):\n    if distributed.rank() == {rank}:\n        raise RuntimeError('no memory')\n"
    )
    done = train(place, [*SHORT, "--step", f"{own}:step"])
    assert all("no memory" in one.printed and one.status != 0 for one in done)
