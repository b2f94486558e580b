"""A run beside the published log: only what may be compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from biggan.cli.main import main
from biggan.evaluation.protocol import Protocol, ReferenceProtocol
from biggan.evaluation.records import MetricRecord, append_records
from biggan.foundation.errors import UserError
from biggan.report.compare import CURVES, published_log, refusal
from biggan.sampling.statistics import NormStatistics

FD, IS = "fd_inception-torchvision", "is_inception-torchvision"


def measured(name: str, **values: Any) -> Protocol:
    """Return the protocol of a number that may be compared with the log's, but for ``values``."""
    protocol = CURVES[name].protocol
    assert protocol.reference is not None
    assert protocol.features is not None
    own = {
        "reference": dataclasses.replace(protocol.reference, data="content", title="all", handling="center"),
        "features": dataclasses.replace(protocol.features, weights=f"0cc3c7bd{'0' * 56}", dimensions=2048),
        "judged": dataclasses.replace(protocol.judged, labels="as the real images", first_seed=0),
    }
    return dataclasses.replace(protocol, **{**own, **values})


def record(protocol: Protocol, value: float, images: int) -> MetricRecord:
    return MetricRecord(
        metric=protocol.metric, value=value, protocol=str(protocol), conditions=protocol, images_seen=images
    )


def test_comparison_with_the_published_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [
        record(measured(FD), 100.0, 6000 * 2048),
        record(measured(IS), 12.0, 8000 * 2048),
        record(measured(FD, metric="fid"), 90.0, 6000 * 2048),
        record(measured(FD, count=10_000), 80.0, 6000 * 2048),
        record(measured(FD), 300.0, 64),
    ]
    append_records(tmp_path, records)
    assert main(["report", "compare", str(tmp_path), "--out", str(tmp_path / "x.svg")]) == 0
    out = capsys.readouterr().out
    assert "12,288,000 images: fd_inception-torchvision 100.00, better than the log's 101.64" in out
    assert "16,384,000 images: is_inception-torchvision 12.00, better than the log's 8.14" in out
    assert "not compared: fid_50000" in out
    assert "evaluate with --protocol biggan-pytorch" in out
    assert "judged images: 10,000, and 50,000" in out
    assert "the log has no number near 64 images" in out
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    assert main(["report", "compare", str(tmp_path), "--out", str(tmp_path / "x.svg")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["report", "compare", str(tmp_path / "none")]) == 2
    assert "evaluate the run first" in capsys.readouterr().err
    assert main(["report", "compair"]) == 2


TRUNCATED = NormStatistics(kind="running", asked=0.3, asked_kind="resample")
OTHER = ReferenceProtocol(data="digits", title="all", count=1797, resolution=(16, 16), channels=1, classes=10)
FOREIGN = ReferenceProtocol(data=None, title="stats", file="0" * 64)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"judged": dataclasses.replace(measured(FD).judged, statistics=TRUNCATED)}, "truncation: 0.3"),
        ({"judged": dataclasses.replace(measured(FD).judged, weights="generator")}, "weights of the generator"),
        ({"judged": dataclasses.replace(measured(FD).judged, kind="images", statistics=None)}, "judged kind"),
        ({"reference": OTHER}, "the number of real images: 1,797, and 1,281,167"),
        ({"reference": FOREIGN}, "the number of real images: none or not known"),
        ({"features": dataclasses.replace(measured(FD).features, weights="f" * 64)}, "weights of the features"),  # type: ignore[type-var]
        ({"real_count": 50_000}, "real images that went into it"),
        ({"precision": "TF32"}, "precision"),
    ],
)
def test_what_is_not_alike_is_neither_compared_nor_drawn(values: dict[str, Any], says: str) -> None:
    reasons = refusal(record(measured(FD, **values), 1.0, 6000 * 2048))
    assert reasons
    assert any(says in reason for reason in reasons), reasons
    assert refusal(record(measured(FD), 1.0, 6000 * 2048)) == []


def test_damaged_logs_are_named(tmp_path: Path) -> None:
    for number, content in enumerate(
        (b"", b"a,b\n1,2\n", b"iteration,inception_score,fid\n", b"iteration,inception_score,fid\n1,x,3\n",
         b"iteration,inception_score,fid\n2,1,3\n1,1,3\n", b"iteration,inception_score,fid\nnan,1,3\n",
         b"iteration,inception_score,fid\n1\n", b"\xff\xfe\x00", b"\0")
    ):  # fmt: skip
        path = tmp_path / f"{number}.csv"
        path.write_bytes(content)
        with pytest.raises(UserError, match="csv"):
            published_log(path)
    with pytest.raises(UserError, match="there is no such file"):
        published_log(tmp_path / "none.csv")
