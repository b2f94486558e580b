"""What is given away says what it is, and loads again as what it was."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.evaluation.protocol import FeatureProtocol, JudgedProtocol, Protocol, ReferenceProtocol
from biggan.evaluation.records import MetricRecord, append_records
from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_verified
from biggan.hub.card import model_card, numbers_of
from biggan.hub.pretrained import read_target
from biggan.models.snapshot import IN_FOLDER, read_info
from biggan.sampling.statistics import NormStatistics
from tests.conftest import assert_same_tensors
from tests.rooms.convert.foreign_files import biggan_pytorch_folder
from tests.snapshots import NAMES, write

CONDITIONS = Protocol(
    metric="fd_random",
    count=50,
    real_count=50,
    reference=ReferenceProtocol(data="content", title="all", count=50, resolution=(16, 16)),
    judged=JudgedProtocol(kind="generator", weights="ema", statistics=NormStatistics(kind="running")),
    features=FeatureProtocol(name="random", text="random-uint8", weights="0" * 64, dimensions=8),
)


def number(value: float, **changed: Any) -> MetricRecord:
    values: dict[str, Any] = {"images_seen": 640, "iterations": 10, "conditions": CONDITIONS, **changed}
    conditions = values["conditions"]
    return MetricRecord(metric=conditions.metric, value=value, protocol=str(conditions), **values)


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_loads_as_what_was_given(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "given" / "model"
    assert main(["push", str(snapshot), str(out), "--licence", "mit"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert {path.name for path in out.iterdir()} == {"README.md", "config.json", "model.safetensors"}
    before = biggan.load(snapshot, device="cpu")
    asked = {"classes": ["golden retriever", "cat"], "seeds": [1, 2], "truncation": 0.7}
    for name in (out, str(out), out.as_uri(), out / "model.safetensors", snapshot):
        after = biggan.from_pretrained(name, device="cpu")
        assert after.info == before.info
        assert torch.equal(after.sample(**asked), before.sample(**asked))
    assert main(["info", str(out)]) == 0
    again = biggan.from_pretrained(out, device="cpu").save_pretrained(tmp_path / "again")
    one, other = (read_verified(folder / "model.safetensors") for folder in (out, again))
    assert one.header == other.header
    assert_same_tensors(one.tensors, other.tensors)
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: biggan\nlicense: mit\ntags:\n- gan\n")
    assert "3 x 16 x 16 images, 10 classes" in card
    assert f'biggan.from_pretrained("{out}")' in card
    assert "None was measured" in card
    assert "1. golden retriever" in card
    assert "license" not in (again / "README.md").read_text()


def test_a_bank_is_given_too(snapshot: Path, tmp_path: Path) -> None:
    calibrated = tmp_path / "calibrated.safetensors"
    arguments = ["--out", str(calibrated), "--truncations", "0.5", "1.0", "--batches", "1", "--device", "cpu"]
    assert main(["calibrate", str(snapshot), *arguments]) == 0
    before, after = (
        biggan.from_pretrained(path, device="cpu")
        for path in (calibrated, biggan.from_pretrained(calibrated, device="cpu").save_pretrained(tmp_path / "given"))
    )
    assert after.bank is not None
    assert torch.equal(after.sample([1], [1], truncation=0.6), before.sample([1], [1], truncation=0.6))


def test_what_is_there_stays(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model"
    words = ["push", str(snapshot), str(out)]
    assert main(words) == 0
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    with no_file_larger_than(50):
        assert main([*words, "--overwrite"]) == 2
    assert "nothing that was there" in capsys.readouterr().err.lower()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    assert main([*words, "--overwrite"]) == 0
    (tmp_path / "link").symlink_to(out)
    assert main(["push", str(snapshot), str(tmp_path / "link"), "--overwrite"]) == 2


def test_numbers_are_those_of_these_weights_with_their_protocol(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    file = write(run / "snapshots" / "640.safetensors")
    info = read_info(file)
    truncated = dataclasses.replace(
        CONDITIONS,
        judged=dataclasses.replace(
            CONDITIONS.judged, statistics=NormStatistics(kind="running", asked=0.3, asked_kind="resample")
        ),
    )
    raw = dataclasses.replace(CONDITIONS, judged=dataclasses.replace(CONDITIONS.judged, weights="generator"))
    images = dataclasses.replace(CONDITIONS, judged=JudgedProtocol(kind="images"))
    records = [number(9.0), number(2.0, conditions=truncated), number(3.0, images_seen=320, iterations=5)]
    records += [number(4.0, conditions=raw), number(5.0, conditions=images), number(7.25)]
    append_records(run, records)
    found = numbers_of(file, info)
    assert [record.value for record in found] == [7.25, 2.0], "the newest of each protocol"
    card = model_card(info, found, licence=None, name="run")
    assert f"| fd\\_random | 7.25 | `{CONDITIONS}` |" in card
    assert f"| fd\\_random | 2 | `{truncated}` |" in card
    given = file
    for place in ("given", "given-again"):
        given = biggan.from_pretrained(given, device="cpu").save_pretrained(tmp_path / place)
        assert (given / "README.md").read_text().count("| fd\\_random |") == 2
    again = biggan.from_pretrained(given, device="cpu").numbers()
    assert again == [dataclasses.replace(record, file="model.safetensors") for record in found]
    biggan.from_pretrained(write(tmp_path / "2.safetensors"), device="cpu").save_pretrained(given, overwrite=True)
    assert not biggan.from_pretrained(given, device="cpu").numbers(), "those of other weights do not stay"
    alone = write(tmp_path / "alone" / "other.safetensors")
    append_records(alone.parent, [number(6.0, file="x/other.safetensors"), number(1.0, file="x/640.safetensors")])
    assert [record.value for record in numbers_of(alone, info)] == [6.0], "outside of a run, those of this file"


def test_a_card_reads_as_it_stands_whatever_names_hold(tmp_path: Path) -> None:
    names = ("| a |", "`b`", "<script>", "[x](y)", "line\nline", "\x1b[31m", "#", "***", "---", "1. x")
    info = dataclasses.replace(
        read_info(write(tmp_path / "1.safetensors", names=names)),
        provenance={"a|b": "<img src=x>\n# head", "made": {"by": ["you", "me"], "of": {}}},
    )
    card = model_card(info, [], licence=None, name='x"); import os #\n```')
    assert "<script>" not in card
    assert "<img" not in card
    assert "\x1b" not in card
    assert card.count("\n```") == 2, "one block of code, opened and closed"
    assert len([line for line in card.splitlines() if line.startswith("#")]) == 6
    assert card.count("\n---\n") == 1
    assert "- made.by: you, me\n" in card
    assert "4. line\\\\nline" in card


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("FILE OUT --licence Free", "--licence 'Free': write its short name in small letters"),
        ("FILE hf://x", "hf://x: a repository is written hf://owner/name"),
        ("FILE owner/name", "owner/name: this is a repository of the Hugging Face Hub, which takes a token"),
        ("nothing OUT", "unknown weights 'nothing'"),
        ("biggan-pytorch-128 OUT", "Then: biggan convert FILE NEW.safetensors"),
        ("FOREIGN OUT", "weights of another implementation; first: biggan convert "),
        ("EMPTY OUT", "neither a run with a snapshot"),
    ],
)
def test_what_cannot_be_given(
    words: str,
    message: str,
    snapshot: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    (tmp_path / "foreign.pth").write_bytes(b"PK\x03\x04")
    (tmp_path / "empty").mkdir()
    places = {
        "FILE": snapshot,
        "OUT": tmp_path / "out",
        "FOREIGN": tmp_path / "foreign.pth",
        "EMPTY": tmp_path / "empty",
    }
    assert main(["push", *(str(places.get(word, word)) for word in words.split())]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_shows_the_card_and_nothing_else(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    there = sorted(tmp_path.rglob("*"))
    for target in ("owner/name", "hf://owner/name", "./model"):
        assert main(["push", str(snapshot), target, "--dry-run"]) == 0
        said = capsys.readouterr().out
        assert "# " in said
        assert "dry run: nothing was written" in said
    assert sorted(tmp_path.rglob("*")) == there


def test_targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("hf://owner/name", "owner/name"):
        assert read_target(word).repository == "owner/name"
    for word in ("./owner/name", "/owner/name", "name", "a/b/c", "owner/na me", "../x"):
        assert read_target(word).folder == Path(word)
    (tmp_path / "owner").mkdir()
    with pytest.raises(UserError, match=r"write ./owner/name for the folder, or hf://owner/name for the repository"):
        read_target("owner/name")


def test_a_run_whose_path_looks_like_a_repository_is_the_run(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``runs/flowers`` has the form ``owner/name``."""
    (tmp_path / "runs" / "flowers").mkdir(parents=True)
    shutil.copyfile(snapshot, tmp_path / "runs" / "flowers" / IN_FOLDER)
    monkeypatch.chdir(tmp_path)
    assert main(["push", "runs/flowers", "./given", "--licence", "mit"]) == 0
    given = biggan.from_pretrained("runs/flowers", device="cpu")
    assert torch.equal(given.sample([1], [2]), biggan.from_pretrained("./given", device="cpu").sample([1], [2]))


def test_names_go_along(tmp_path: Path) -> None:
    assert biggan.from_pretrained(write(tmp_path / "1.safetensors"), device="cpu").class_names == NAMES


def test_a_file_that_changed_is_not_mixed_with_what_was_read(tmp_path: Path) -> None:
    """D and moments are read when they are given away, from a file that may be another by then."""
    biggan_pytorch_folder(tmp_path / "theirs")
    file = tmp_path / "model.safetensors"
    assert main(["convert", str(tmp_path / "theirs"), str(file)]) == 0
    model = biggan.from_pretrained(file, device="cpu")
    assert_same_tensors(
        *(read_verified(path).tensors for path in (file, model.save_pretrained(tmp_path / "same") / IN_FOLDER))
    )
    assert main(["convert", str(tmp_path / "theirs"), str(file), "--overwrite", "--facts.norm-eps", "1e-3"]) == 0
    with pytest.raises(UserError, match="has changed since this generator was read"):
        model.save_pretrained(tmp_path / "given")
    assert not (tmp_path / "given").exists()
