"""What evaluations and reports write is replaced only if that was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.cli.main import main
from tests.pooled_features import register
from tests.snapshots import write

MEASURE = "--data digits --features pooled --count 16 --batch 16 --device cpu"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    register()
    return write(tmp_path / "x.safetensors", names=tuple("0123456789"))


@pytest.mark.parametrize(
    ("line", "files"),
    [
        (f"evaluate FILE --out OUT --metrics memorisation {MEASURE}", {"memorisation.png"}),
        (
            f"evaluate truncation FILE --out OUT --truncations 0.5 --standing-batches 1 --metrics fid {MEASURE}",
            {"truncation/truncation.csv", "truncation/truncation.png", "truncation/truncation_sheet.png"},
        ),
        (
            "evaluate reference --data digits --resolution 16 --features pooled --out OUT/r.npz --device cpu",
            {"r.npz"},
        ),
    ],
    ids=["memorisation", "truncation", "reference"],
)
def test_evaluations_replace_nothing_in_silence(
    line: str, files: set[str], digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = [word.replace("FILE", str(digits)).replace("OUT", str(out)) for word in line.split()]
    assert main(words) == 0
    first = {name: (out / name).stat().st_mtime_ns for name in files}
    assert main(words) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert {name: (out / name).stat().st_mtime_ns for name in files} == first
    assert main([*words, "--overwrite"]) == 0


def test_numbers_are_added_and_plots_are_kept(digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", str(digits), "--metrics", "fid", *MEASURE.split()]
    for _ in range(2):
        assert main(words) == 0, "lines are added, nothing is replaced"
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert main(["report", "compare", str(tmp_path)]) == 0
    assert main(["report", "compare", str(tmp_path)]) == 2
    assert "compare.png exists; add --overwrite" in capsys.readouterr().err
    assert main(["report", "compare", str(tmp_path), "--overwrite"]) == 0
    (tmp_path / "link").symlink_to(tmp_path)
    assert main([*words, "--out", str(tmp_path / "link")]) == 2
    assert "is a link" in capsys.readouterr().err
