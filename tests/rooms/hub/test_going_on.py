"""What training needs is given away with the generator, and is what it was; so are snapshots from an address."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.models.export_file import read_export, write_export
from tests.conftest import assert_same_tensors
from tests.rooms.foundation.shelf import Shelf
from tests.rooms.models.test_export_file import make


def test_all_that_training_goes_on_from_goes_along(tmp_path: Path) -> None:
    made = make()
    write_export(tmp_path / "whole.safetensors", made)
    assert main(["push", str(tmp_path / "whole.safetensors"), str(tmp_path / "given")]) == 0
    found = read_export(tmp_path / "given" / "model.safetensors")
    assert found.info == made.info
    for name in ("sampled", "raw", "discriminator"):
        assert_same_tensors(dict(getattr(found, name)), dict(getattr(made, name)))
    for network in ("generator", "discriminator"):
        assert_same_tensors(dict(found.moments[network]), dict(made.moments[network]))
    card = (tmp_path / "given" / "README.md").read_text()
    assert "also holds, for training to go on from: G itself, D, Adam's moments of G, Adam's moments of D." in card


def test_a_snapshot_comes_from_an_address(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BIGGAN_CACHE", str(tmp_path / "cache"))
    with Shelf(snapshot.read_bytes()).served() as site:
        fetched = biggan.from_pretrained(f"{site}/640.safetensors", device="cpu")
    assert torch.equal(fetched.sample([1], [1]), biggan.load(snapshot, device="cpu").sample([1], [1]))
    with (
        Shelf(b"PK\x03\x04 no snapshot").served() as site,
        pytest.raises(UserError, match=r"first: biggan convert .*G"),
    ):
        biggan.from_pretrained(f"{site}/G.pth", device="cpu")
