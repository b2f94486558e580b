"""What may be compared: only numbers of which everything but the model is the same, and every reason is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.evaluation.protocol import FeatureProtocol, JudgedProtocol, Protocol, ReferenceProtocol, comparable
from biggan.evaluation.records import (
    METRICS_FILE,
    MetricRecord,
    append_records,
    best_value,
    comparable_groups,
    read_records,
    summary,
    table,
)
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.sampling.statistics import NormStatistics

FULL = Protocol(
    metric="fd_random",
    count=50,
    real_count=100,
    reference=ReferenceProtocol(
        data="aa", title="all", count=100, resolution=(16, 16), channels=3, handling="center lanczos white", classes=4
    ),
    judged=JudgedProtocol(
        kind="generator",
        weights="ema",
        statistics=NormStatistics(kind="running"),
        labels="as the real images",
        first_seed=0,
    ),
    features=FeatureProtocol(name="random", text="randomvgg16-uint8", weights="ab" * 32, dimensions=64),
    parameters={"k": 3},
)
FREE = {
    ("judged", "first_seed"),
    ("judged", "data"),
    ("judged", "refinement_fit"),
    ("reference", "title"),
    ("reference", "file"),
}
"""What may differ: draws, judged images, what was fitted to a model, and where statistics of the same images lay."""


def changed(value: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(value, dict):
        return {**value, "k": 7}
    if isinstance(value, tuple):
        return (32, 32)
    if isinstance(value, int) or value is None:
        return (value or 0) + 3
    return {"generator": "images", "as the real images": "all alike", "running": "none"}.get(value, f"x{value}")


def fields(record: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        here = (*path, field.name)
        found += fields(value, here) if dataclasses.is_dataclass(value) else [here]
    return found


def replaced(record: Any, path: tuple[str, ...]) -> Any:
    value = getattr(record, path[0])
    new = changed(value) if len(path) == 1 else replaced(value, path[1:])
    return dataclasses.replace(record, **{path[0]: new})


ALL_FIELDS = fields(FULL)


@given(paths=st.sets(st.sampled_from(ALL_FIELDS), max_size=4))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_two_numbers_compare_only_if_all_that_decides_them_is_the_same(paths: set[tuple[str, ...]]) -> None:
    other = FULL
    for path in paths:
        other = replaced(other, path)
    reasons = comparable(FULL, other)
    assert comparable(FULL, FULL) == []
    assert bool(reasons) == bool(paths - FREE), (paths, reasons)
    assert bool(comparable(other, FULL)) == bool(reasons), "either both ways or neither"
    assert (other.digest == FULL.digest) == (not reasons), "the name under which best values are kept"


def test_a_record_survives_its_file_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    records = [record(FULL, 1.5), record(FULL, None), record(dataclasses.replace(FULL, metric="fid"), 0.1)]
    append_records(tmp_path, records[:1])
    append_records(tmp_path, records[1:])
    path = tmp_path / METRICS_FILE
    assert read_records(path) == records
    whole = path.read_text()
    path.write_text(whole + whole[:100])
    assert read_records(path) == records, "a line that a killed process did not finish is none"
    for old, new, says in (
        ('"count": 50,', '"count": -50,', "conditions.count"),
        ('"count": 50,', '"count": 51,', "is not that of its conditions"),
        ('"value": 1.5', '"value": "1.5"', "value"),
        ('"ranks"', '"rank"', "nearest: ranks"),
        ('"metric"', '"metric": "fid", "metric"', "twice"),
    ):
        assert old in whole
        path.write_text(whole.replace(old, new, 1))
        with pytest.raises(CorruptFileError, match=says) as error:
            read_records(path)
        assert f"{path}, line 1" in str(error.value)


def record(conditions: Protocol, value: float | None, **values: Any) -> MetricRecord:
    return MetricRecord(
        metric=conditions.metric, value=value, protocol=str(conditions), conditions=conditions, **values
    )


def test_best_values_of_other_protocols_stand_under_other_names() -> None:
    truncated = dataclasses.replace(
        FULL,
        judged=dataclasses.replace(
            FULL.judged, statistics=NormStatistics(kind="running", asked=0.3, asked_kind="resample")
        ),
    )
    one, again, other = record(FULL, 2.0), record(FULL, 1.0), record(truncated, 0.1)
    best = [best_value([entry], None) for entry in (one, again, other)]
    assert None not in best
    (a, x), (b, y), (c, _) = best  # type: ignore[misc]
    assert a == b != c, "truncated values never rank among whole ones"
    assert (x, y) == (-2.0, -1.0), "larger is better"
    assert [len(group) for group in comparable_groups([one, other, again])] == [2, 1]
    precision = record(dataclasses.replace(FULL, metric="precision_random"), 0.5)
    assert best_value([one, precision], "precision_random") == (f"precision_random {precision.conditions.digest}", 0.5)
    with pytest.raises(UserError, match="not among what was measured: fd_random"):
        best_value([one], "fid")
    assert best_value([record(FULL, None)], "fd_random") is None, "a number that could not be computed chooses none"
    assert best_value([], None) is None
    assert summary([one, record(FULL, None)]) == "fd_random 2"
    assert "not computed" in table([record(FULL, None, notes=("why",))])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, "fd_random_50_all100_randomvgg16-uint8_ema-running"),
        ({"real_count": 60}, "fd_random_50_60of100_randomvgg16-uint8_ema-running"),
        (
            {"reference": ReferenceProtocol(data=None, title="r", file="0123456789", unreadable=2)},
            "fd_random_50_given-r-01234567-2unreadable_randomvgg16-uint8_ema-running",
        ),
        (
            {"judged": JudgedProtocol(kind="images", unreadable=1)},
            "fd_random_50_all100_randomvgg16-uint8_images-1unreadable",
        ),
    ],
)
def test_the_line_is_derived(values: dict[str, Any], text: str) -> None:
    protocol = dataclasses.replace(FULL, **values)
    assert str(protocol) == text
    assert json.loads(json.dumps(text)) == text


def test_unknown_images_are_never_taken_for_known_ones() -> None:
    foreign = dataclasses.replace(
        FULL, real_count=None, reference=ReferenceProtocol(data=None, title="stats", file="f" * 64)
    )
    assert any("number of real images" in reason for reason in comparable(FULL, foreign))
    assert comparable(foreign, foreign) == [], "the same file is the same statistics"
    other = dataclasses.replace(foreign, reference=ReferenceProtocol(data=None, title="stats", file="e" * 64))
    assert comparable(foreign, other) == ["it is not known of which real images the statistics are"]
