"""Quality over truncations, and the statistics that fit each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.sampling.identity import network_hash
from biggan.sampling.picture_record import NoRecordError
from biggan.sampling.png_text import read_record
from tests.conftest import assert_same_tensors


@pytest.mark.nightly
def test_a_sweep(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--count", "60", "--metrics", "fid", "is", "--truncations", "0.3", "1.0", "--standing-batches", "2"]
    assert main(["evaluate", "truncation", str(run), *words, "--device", "cpu", "--out", str(tmp_path)]) == 0
    rows = (tmp_path / "truncation" / "truncation.csv").read_text().splitlines()
    assert rows[0] == "truncation,fd_classifier,is_classifier,is_std_classifier"
    assert [row.split(",")[0] for row in rows[1:]] == ["0.3", "1.0"]
    for name in ("truncation.png", "truncation_sheet.png"):
        with Image.open(tmp_path / "truncation" / name) as picture:
            assert min(picture.size) > 30
            about = json.loads(picture.info.get("biggan-about", "{}"))
    assert about["generator"] == network_hash(biggan.load(run, "cpu").generator)
    assert (about["seeds"], [row["truncation"] for row in about["rows"]]) == (list(range(10)), [0.3, 1.0])
    assert about["rows"][0]["statistics"] == "ema-standing2x64-resample0.3"
    with pytest.raises(NoRecordError, match="the command that made it makes it again"):
        read_record(tmp_path / "truncation" / "truncation_sheet.png")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["conditions"]["judged"]["statistics"]["asked"] for line in lines} == {0.3, 1.0}
    assert all("standing2x64-resample" in line["protocol"] for line in lines)


def test_a_bank_is_used_by_itself(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bank.safetensors"
    words = ["--truncations", "0.4", "0.8", "--batches", "2", "--device", "cpu"]
    assert main(["calibrate", str(run), "--out", str(out), *words]) == 0
    plain, calibrated = biggan.load(run, "cpu"), biggan.load(out, "cpu")
    assert_same_tensors(plain.generator.state_dict(), calibrated.generator.state_dict())
    assert torch.equal(plain.sample(seeds=range(4)), calibrated.sample(seeds=range(4))), "untruncated is untouched"
    assert "badly" in str(plain.statistics(0.4))
    assert "bank" in str(calibrated.statistics(0.4))
    from biggan.sampling.standing import write_with_standing_statistics

    write_with_standing_statistics(plain, tmp_path / "s.safetensors", batches=2, truncation=0.4)
    standing = biggan.load(tmp_path / "s.safetensors", "cpu")
    assert "standing statistics of truncation 0.4" in str(standing.statistics(0.4))
    one = calibrated.sample(seeds=range(4), truncation=0.4)
    other = standing.sample(seeds=range(4), truncation=0.4)
    # The file of standing statistics also holds the spectral-norm vectors that moved while they were estimated.
    assert (one.int() - other.int()).abs().float().mean() < 3
    low, high = (calibrated.at_truncation(t).state_dict() for t in (0.4, 0.8))
    between = calibrated.at_truncation(0.5).state_dict()
    name = next(n for n in low if n.endswith("running_mean"))
    assert torch.allclose(between[name], torch.lerp(low[name], high[name], 0.25))
    assert main(["calibrate", str(run), "--out", str(out), *words]) == 2
    capsys.readouterr()
    command = [
        "sample",
        str(out),
        "--out",
        str(tmp_path / "o"),
        "--count",
        "2",
        "--device",
        "cpu",
        "--truncation",
        "0.5",
    ]
    assert main(command) == 0
    assert "from the file's bank" in capsys.readouterr().out


def test_npz_for_other_evaluators(run: Path, tmp_path: Path) -> None:
    command = ["sample", str(run), "--out", str(tmp_path), "--count", "5", "--device", "cpu", "--format", "npz"]
    assert main([*command, "--npz-layout", "nhwc"]) == 0
    with np.load(tmp_path / "samples.npz") as archive:
        assert archive["x"].shape == archive["arr_0"].shape == (5, 16, 16, 1)
        assert archive["x"].dtype == np.uint8
        assert archive["y"].tolist() == [0, 1, 2, 3, 4]
