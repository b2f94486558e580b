"""Snapshots of weights, as files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from biggan.cli.main import main
from biggan.foundation.errors import CorruptFileError
from biggan.models.contract import build
from biggan.models.snapshot import load_exactly
from biggan.sampling.sampler import load
from tests.conftest import tiny
from tests.snapshots import write


def test_where_a_file_had_its_tensors_changes_no_bit() -> None:
    """Mapped files have them at odd addresses, and some kernels add in another order there: weights are copied."""
    network = build(tiny("biggan")).discriminator
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    odd = {}
    for name, value in expected.items():
        room = torch.empty(value.numel() + 1, dtype=value.dtype)
        odd[name] = room[1:].view(value.shape).copy_(value)
    load_exactly(network, odd, "here")
    for name, value in network.state_dict().items():
        assert torch.equal(value, expected[name])
        assert value.data_ptr() != odd[name].data_ptr()
        assert value.data_ptr() % 16 == 0


def test_a_damaged_newest_generator_names_another_of_its_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    (run / "snapshots").mkdir(parents=True)
    newest = write(run / "snapshots" / "640.safetensors")
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(CorruptFileError) as alone:
        load(run, "cpu")
    assert "Another" not in str(alone.value)
    older = write(run / "snapshots" / "320.safetensors")
    with pytest.raises(CorruptFileError, match=f"Another of this run: {older}"):
        load(run, "cpu")
    (run / "checkpoints" / "640").mkdir(parents=True)
    same = write(run / "checkpoints" / "640" / "snapshot.safetensors")
    newest.write_bytes(b"{}")
    assert main(["info", str(run)]) == 2
    assert f"Another of this run: {same}" in capsys.readouterr().err
    assert main(["info", str(newest)]) == 2
    assert "Another" not in capsys.readouterr().err, "a file is what was asked for"
