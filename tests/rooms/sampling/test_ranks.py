"""`biggan sample` on several real processes (gloo): the files of one process, bit by bit, and failures that end all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from biggan.foundation.tensor_files import read_tensors
from tests.conftest import assert_same_tensors
from tests.rooms.training import commands
from tests.rooms.training.commands import Done

# 11 places in batches of 3: the last batch is a smaller one, and seed 4 comes twice.
PLACES = "--seeds 0-8,4,20 --batch 3 --truncation 0.8 --device cpu".split()


def sample(snapshot: Path, out: Path, ranks: int, *words: str) -> list[Done]:
    command = ["sample", str(snapshot), "--out", str(out), *PLACES, *words]
    if ranks == 1:
        return [commands.run(command, out.with_name(f"{out.name}.txt"))]
    return commands.run_ranks(command, out.with_name(f"{out.name} logs"), {}, ranks)


def succeeded(done: list[Done]) -> None:
    assert [one.status for one in done] == [0] * len(done), [one.printed for one in done]
    assert "batch norm: " in done[0].printed
    assert all("batch norm: " not in one.printed for one in done[1:]), "one process speaks"


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of pictures and lists; what else there is are tensors."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".safetensors"}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a new snapshot, if there is one."""
    return {name: tensor for path in folder.glob("*.safetensors") for name, tensor in read_tensors(path).items()}


@pytest.mark.parametrize(
    ("ranks", "words"),
    [(2, "--classes dog,cat,dog --standing-statistics 1"), (3, "--format grid"),
     pytest.param(2, "", marks=pytest.mark.nightly), pytest.param(2, "--format grid", marks=pytest.mark.nightly)],
)  # fmt: skip
def test_files_are_those_of_one_process(ranks: int, words: str, snapshot: Path, tmp_path: Path) -> None:
    one, several = tmp_path / "one", tmp_path / "several"
    succeeded(sample(snapshot, one, 1, *words.split()))
    succeeded(sample(snapshot, several, ranks, *words.split()))
    expected = contents(one)
    assert len(expected) == {"--format grid": 1, "": 12}.get(words, 2 * 10 + 1)
    assert contents(several) == expected
    assert bool(tensors(one)) == ("standing" in words)
    assert_same_tensors(tensors(one), tensors(several))


def test_the_archive_is_that_of_one_process(snapshot: Path, tmp_path: Path) -> None:
    for ranks in (1, 3):
        succeeded(sample(snapshot, tmp_path / str(ranks), ranks, "--format", "npz", "--npz-layout", "nhwc"))
    one, several = (np.load(tmp_path / name / "samples.npz") for name in "13")
    assert one.files == several.files
    for name in one.files:
        assert np.array_equal(one[name], several[name], equal_nan=name == "truncation"), name
    assert one["x"].std() > 10, "there is something to see"


def test_what_one_rank_cannot_write_ends_all(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "6_cat_seed5.png").symlink_to(tmp_path / "elsewhere")  # in the second batch, which is that of rank 1
    done = sample(snapshot, out, 2, "--classes", "cat", "--overwrite")
    assert [one.status for one in done] == [2, 2], [one.printed for one in done]
    assert "drawing images failed on rank 1: " in done[0].printed
    assert all("6_cat_seed5.png is a link" in one.printed for one in done)
    assert not (out / "labels.csv").exists()
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_in_use_is_refused_by_all(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").touch()
    done = sample(snapshot, out, 2)
    assert [one.status for one in done] == [2, 2]
    assert "is not empty; add --overwrite" in done[0].printed
    assert "looking at --out failed on rank 0" in done[1].printed
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


@pytest.mark.nightly
def test_a_file_that_one_rank_does_not_see_ends_all(snapshot: Path, tmp_path: Path) -> None:
    words = ["sample", f"{snapshot.parent}/{{rank}}.safetensors", "--out", str(tmp_path / "out"), *PLACES]
    (snapshot.parent / "0.safetensors").write_bytes(snapshot.read_bytes())
    done = commands.run_ranks(words, tmp_path / "logs", {})
    assert [one.status for one in done] == [2, 2]
    assert "reading the generator failed on rank 1" in done[0].printed
