"""The index of published weights is what its sources say, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from biggan.foundation.errors import CorruptFileError, UserError
from biggan.hub.index import BY_HAND, INDEX, describe, read_index, table
from biggan.models.family import FAMILIES

WEIGHTS = read_index().weights


def test_it_holds_what_people_look_for() -> None:
    names = {one.name for one in WEIGHTS}
    assert {
        "biggan-pytorch-128",
        *(f"huggingface-biggan-deep-{size}" for size in (128, 256, 512)),
        *(f"tfhub-biggan-{size}" for size in (128, 256, 512)),
        "mmgeneration-biggan-imagenet128-best-fid",
        "studiogan",
    } <= names
    assert len([one for one in WEIGHTS if one.family == "mmgeneration"]) >= 18


@pytest.mark.parametrize("one", WEIGHTS, ids=lambda one: one.name)
def test_each_entry_says_where_it_was_read_and_invents_nothing(one: object) -> None:
    entry = next(other for other in WEIGHTS if other is one)
    assert any("address" in read.says or "name" in read.says for read in entry.read_at)
    assert entry.metrics == () or any("score" in read.says for read in entry.read_at)
    assert entry.discriminator is None or any(
        re.search("discriminator|holdings|generator", read.says) for read in entry.read_at
    )
    assert not entry.size or any("size" in read.says for read in entry.read_at)
    assert entry.licence is None or any("licence" in read.says for read in entry.read_at)
    assert entry.architecture is None or entry.architecture in FAMILIES
    for file in entry.files:
        parts = urlsplit(file.address)
        assert parts.scheme == ("rsync" if entry.way == "rsync" else "https")
        assert parts.username is None
        if file.sha256:
            assert file.address.removesuffix(".pth").endswith(f"-{file.sha256}"), "a hash that no name tells"
    assert describe(entry).count("\n") >= 2


def test_names_carry_the_hashes_of_all_files_of_mmgeneration() -> None:
    files = [file for one in WEIGHTS if one.family == "mmgeneration" for file in one.files]
    assert all(re.fullmatch(r"[0-9a-f]{8}", file.sha256 or "") for file in files)


def test_everything_is_listed() -> None:
    lines = table(WEIGHTS).splitlines()
    assert [line.split()[0] for line in lines[1:]] == [one.name for one in WEIGHTS]
    assert sum("by hand" in line for line in lines) == sum(one.way in BY_HAND for one in WEIGHTS)


def test_an_unknown_name() -> None:
    with pytest.raises(UserError, match=r"unknown weights 'bigan-pytorch-128'; nearest: biggan-pytorch-128, "):
        read_index().find("bigan-pytorch-128")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "a b", "weights.0.name"),
        ("name", "huggingface-biggan-deep-128", "stands twice"),
        ("files", [], "weights.0.files"),
        ("files", [{"address": "http://example.com/x"}], "only https is followed"),
        ("files", [{"address": "https://example.com/x", "sha256": "12"}], "sha256"),
        ("files", [{"address": "https://example.com/x", "name": "../x"}], "name"),
        ("files", [{"address": "https://example.com/x"}, {"address": "https://example.com/y"}], "each needs a name"),
        ("read_at", [], "weights.0.read_at"),
        ("metrics", [{"metric": "fid", "value": 7.0, "protocol": ""}], "protocol"),
        ("metrics", [{"metric": "fid", "value": 7.0}], "protocol is missing"),
        ("way", "guess", "weights.0.way"),
        ("source", "ftp://example.com", "only https"),
        ("note", "\x1b[31m", "note"),
        ("hash", "x", "unknown name 'hash'"),
    ],
)
def test_what_is_no_such_index_is_refused(tmp_path: Path, field: str, value: object, message: str) -> None:
    content = json.loads(INDEX.read_text())
    content["weights"] = content["weights"][:3]
    content["weights"][0][field] = value
    path = tmp_path / "index.json"
    path.write_text(json.dumps(content))
    with pytest.raises(CorruptFileError, match=re.escape(message)):
        read_index(path)
