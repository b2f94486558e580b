"""Standing statistics."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.models.contract import build
from biggan.models.norm_records import StandingStatistics
from biggan.models.snapshot import read_info
from biggan.sampling.standing import StandingEstimate
from tests.conftest import assert_same_tensors, tiny
from tests.snapshots import write


def test_standing_statistics_are_averages_of_batch_moments() -> None:
    generator = build(tiny("biggan")).generator.eval()
    norm = generator.stages[0][0].norm1.norm
    seen = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    standing = StandingEstimate(generator)
    before = {k: v.clone() for k, v in generator.state_dict().items() if "running" in k}
    for i in range(3):
        standing.add(torch.randn(4, generator.architecture.z_size), torch.arange(4) + i)
    after = {k: v for k, v in generator.state_dict().items() if "running" in k}
    assert_same_tensors(before, after)
    standing.apply()
    assert torch.allclose(norm.running_mean, torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0), atol=1e-6)
    assert torch.allclose(
        norm.running_var, torch.stack([x.var(dim=(0, 2, 3), correction=0) for x in seen]).mean(dim=0), atol=1e-6
    )
    assert not generator.training
    with pytest.raises(ValueError, match="at least one batch"):
        StandingEstimate(generator).apply()


def test_standing_statistics_from_the_command_line(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot.read_bytes()
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(tmp_path / "out"),
        "--standing-statistics",
        "2",
        "--truncation",
        "0.5",
        "--seeds",
        "0",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    made = tmp_path / "out" / "640-standing2-resample0.5.safetensors"
    info = read_info(made)
    assert info.standing_statistics == StandingStatistics(batches=2, batch=64, truncation=0.5, kind="resample")
    assert snapshot.read_bytes() == before
    assert not torch.equal(biggan.load(made, "cpu").sample(seeds=[0]), biggan.load(snapshot, "cpu").sample(seeds=[0]))
    plain = write(tmp_path / "plain.safetensors", tiny("biggan", normalization="layer"))
    assert (
        main(["sample", str(plain), "--out", str(tmp_path / "o"), "--standing-statistics", "2", "--device", "cpu"]) == 2
    )
    assert "no batch norm" in capsys.readouterr().err
