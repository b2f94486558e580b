"""What is said of constructed records: each alarm comes where it must, and nowhere else."""

from __future__ import annotations

import dataclasses
import random

import pytest

from biggan.training.health import constants as limit
from biggan.training.health.judging import findings, line_of
from biggan.training.health.records import MOST_RECORDS, NUMBERS, Finding, HealthRecord, kept, last_healthy

HEALTHY = {
    "separation": 0.9,
    "separation_held": 0.89,
    "memory": 0.52,
    "label_use": 0.9,
    "diversity": 0.8,
    "diversity_raw": 0.8,
    "distance": 0.1,
    "distance_raw": 0.1,
    "z_use": 0.5,
    "within_real": 0.7,
    "different": 1.0,
    "distinct": 5000.0,
}
LOOKS = 20


def course(looks: int = LOOKS, **changes: float) -> list[HealthRecord]:
    """Return a healthy run whose last looks have other numbers, each found healthy or not as it went."""
    records: list[HealthRecord] = []
    for i in range(looks):
        numbers = HEALTHY | {"epochs": float(i), "average_trace": 1.0 + 0.1 * i, "G_trace": 1.0 + 0.2 * i}
        if i >= looks - limit.LONG_RUNNING:
            numbers |= changes
        record = HealthRecord(images_seen=1000 * (i + 1), numbers=numbers)
        found = findings([*records, record])
        records.append(HealthRecord(images_seen=record.images_seen, numbers=numbers, findings=found))
    return records


ALARMS = {
    "collapse": [
        {"diversity": 0.2, "diversity_raw": 0.2},
        {"distance": 0.9, "distance_raw": 0.9},
        {"separation": 0.52, "distance": 0.4, "distance_raw": 0.4},
    ],
    "memorisation": [{"memory": 0.95, "separation": 0.99, "separation_held": 0.55}],
    "labels ignored": [{"label_use": 0.5}],
    "z ignored": [{"z_use": 0.01}],
    "leak of augmentation": [{"leak": 0.5}],
    "average at rest": [{"average_trace": 5.0}],
    "data repeat": [{"distinct": 10.0}, {"different": 0.2}],
}


@pytest.mark.parametrize(("kind", "changes"), [(kind, one) for kind, all_ in ALARMS.items() for one in all_])
def test_each_alarm_comes_and_no_other(kind: str, changes: dict[str, float]) -> None:
    assert {finding.kind for finding in course(**changes)[-1].findings} == {kind}
    assert all(not record.findings for record in course(**changes)[: -limit.LONG_RUNNING])


def test_what_looks_like_nothing_yet_does_not_leak() -> None:
    assert "leak of augmentation" not in {each.kind for each in course(limit.YOUNG, leak=0.9)[-1].findings}
    far = limit.LIKE_REALS + 0.1  # of the generator whose fakes were looked at: the published one
    assert not any(record.findings for record in course(leak=0.9, distance=far))
    assert course(leak=0.9, distance_raw=far)[-1].has("leak of augmentation")


def test_a_healthy_course_is_healthy_and_noise_changes_nothing() -> None:
    assert not any(record.findings for record in course())
    draw = random.Random(0)
    for _ in range(50):
        noisy = [
            HealthRecord(
                images_seen=r.images_seen,
                numbers={
                    n: v * draw.uniform(0.93, 1.07) if n not in ("average_trace", "G_trace") else v
                    for n, v in r.numbers.items()
                },
            )
            for r in course()
        ]
        assert not any(findings(noisy[: i + 1]) for i in range(len(noisy)))


def test_one_look_is_no_alarm() -> None:
    """But that data repeat is no matter of chance."""
    for kind, several in ALARMS.items():
        for changes in several:
            records = course()
            odd = HealthRecord(images_seen=10**6, numbers=records[-1].numbers | changes)
            found = {finding.kind for finding in findings([*records, odd])}
            assert found == ({"data repeat"} if kind == "data repeat" else set())


def test_what_is_unknown_is_no_alarm() -> None:
    """No classes, one class, no held-out images, no average: whatever numbers are absent."""
    draw = random.Random(1)
    for several in ALARMS.values():
        for changes in several:
            names = [name for name in NUMBERS if draw.random() < 0.5]
            whole = course(**changes)
            partial = [
                HealthRecord(images_seen=r.images_seen, numbers={n: v for n, v in r.numbers.items() if n in names})
                for r in whole
            ]
            assert {f.kind for f in findings(partial)} <= {f.kind for f in whole[-1].findings}
    assert findings([]) == ()
    assert findings([HealthRecord(images_seen=1, numbers={})]) == ()


def test_thresholds_follow_the_run() -> None:
    """A run whose variety was low all the time has not lost any."""
    low = {"diversity": 0.3, "diversity_raw": 0.3}
    steady = [HealthRecord(images_seen=i + 1, numbers=HEALTHY | low) for i in range(LOOKS)]
    assert findings(steady) == ()
    assert findings([*steady[:-2], *course(**low)[-2:]]) == ()


WAYS = {
    "collapse": ("separation", limit.BLIND, {"distance": 0.4, "distance_raw": 0.4}),
    "memorisation": ("memory", limit.KNOWN_BY_HEART, {"separation_held": 0.5}),
    "labels ignored": ("label_use", limit.UNHEEDED, {}),
    "z ignored": ("z_use", limit.UNUSED_Z, {"within_real": 1.0}),
    "leak of augmentation": ("leak", limit.LEAKS, {}),
    "average at rest": ("average_trace", limit.STANDS_STILL, {}),
}


def walked(name: str, healthy: float, now: float, always: dict[str, float]) -> list[HealthRecord]:
    """Return a run that had one value until the last looks; the average's is its movement relative to G's, 1 a look."""
    records: list[HealthRecord] = []
    moved = 0.0
    for i in range(LOOKS):
        value = healthy if i < LOOKS - limit.LONG_RUNNING else now
        moved += value
        numbers = HEALTHY | {"G_trace": float(i)} | always | {name: moved if name == "average_trace" else value}
        record = HealthRecord(images_seen=i + 1, numbers=numbers)
        records.append(dataclasses.replace(record, findings=findings([*records, record])))
    return records


@pytest.mark.parametrize("kind", WAYS)
def test_shares_and_ranks_are_judged_by_what_is_left_of_the_runs_own(kind: str) -> None:
    """Of two runs at the same value one has lost what it had, and the other never had more."""
    name, way, always = WAYS[kind]
    assert way.limit(None) == way.limit(way.admitted) == way.limit(way.worst), "who never was healthy"
    modest, rich = way.limit(way.admitted), way.limit(way.best)
    assert (rich - modest) * (way.best - way.worst) > 0
    between = (rich + modest) / 2
    assert walked(name, way.best, between, always)[-1].has(kind)
    assert not walked(name, way.admitted, between, always)[-1].has(kind)
    assert walked(name, way.admitted, (modest + way.worst) / 2, always)[-1].has(kind)


def test_held_out_reals_are_judged_by_where_they_were_before() -> None:
    """On their way from reals to fakes, a D that knows many by heart given."""
    way = limit.LIKE_FAKES
    between = (way.limit(way.best) + way.limit(way.admitted)) / 2

    def held(share: float) -> float:
        return HEALTHY["separation"] - share * (HEALTHY["separation"] - 0.5)

    for before, alarmed in ((way.best, True), (way.admitted, False)):
        records = walked("separation_held", held(before), held(between), {"memory": 0.9})
        assert records[-1].has("memorisation") == alarmed


def test_ignorance_from_the_beginning_is_no_measure_of_health() -> None:
    for kind, (name, way, always) in WAYS.items():
        bad = (way.worst + way.limit(None)) / 2
        assert walked(name, bad, bad, always)[-1].has(kind), kind


def test_a_collapse_does_not_become_the_measure_of_health() -> None:
    records = course()
    for i in range(100):
        bad = HealthRecord(images_seen=10**6 + i, numbers=records[-1].numbers | ALARMS["collapse"][0])
        found = findings([*records, bad])
        records.append(HealthRecord(images_seen=bad.images_seen, numbers=bad.numbers, findings=found))
    assert records[-1].has("collapse")
    assert last_healthy(records) == 10**6  # one look is no alarm
    assert last_healthy([]) is None
    assert last_healthy(course()) == course()[-1 - limit.LONG_RUNNING].images_seen  # an alarm may rest on later ones


def test_an_attempt_is_judged_by_its_own_looks() -> None:
    """Not by those that made it go back; the healthy stretch is that of the whole run."""
    for changes in ALARMS["collapse"]:
        sick = course(**changes)
        for number in range(1, limit.LONG_RUNNING + 1):
            first = HealthRecord(images_seen=10**6 + number, numbers=sick[-1].numbers, attempt=1)
            sick.append(first)
            alarmed = {finding.kind for finding in findings(sick)} == {"collapse"}
            assert alarmed == (number >= (limit.LONG_RUNNING if "separation" in changes else limit.RUNNING))


def test_one_look_of_an_attempt_says_nothing_of_labels() -> None:
    """They are judged by the mean of four, and by those of the attempt alone."""
    records = course()
    for number in range(1, limit.LONG_RUNNING + 1):
        numbers = HEALTHY | {"label_use": 0.5}
        records.append(HealthRecord(images_seen=10**6 + number, numbers=numbers, attempt=1))
        alarmed = {finding.kind for finding in findings(records)} == {"labels ignored"}
        assert alarmed == (number == limit.LONG_RUNNING)


def test_a_d_that_ranks_all_fakes_above_reals_is_not_blind() -> None:
    wrong = {"separation": 0.1, "separation_held": 0.1, "distance": 0.4, "distance_raw": 0.4}
    assert not findings([HealthRecord(images_seen=i + 1, numbers=HEALTHY | wrong) for i in range(LOOKS)])


def test_a_young_d_may_ignore_labels_but_not_one_that_heeded_them() -> None:
    assert course(limit.YOUNG, label_use=0.5)[-1].has("labels ignored")
    never = [HealthRecord(images_seen=i + 1, numbers=HEALTHY | {"label_use": 0.5}) for i in range(LOOKS)]
    assert not findings(never[: limit.YOUNG])
    assert findings(never)[0].kind == "labels ignored"


def test_who_never_comes_nearer_than_one_gray_picture_is_told_when_no_longer_young() -> None:
    far = HEALTHY | {"distance": 2.0, "distance_raw": 2.0}
    never = [HealthRecord(images_seen=i + 1, numbers=far) for i in range(LOOKS)]
    first = limit.YOUNG + limit.LONG_RUNNING
    assert not findings(never[: first - 1])
    assert [each.kind for each in findings(never[:first])] == ["nothing learnt"]
    again = [HealthRecord(images_seen=100 + i, numbers=far, attempt=1) for i in range(first)]
    assert not findings([*never, *again[:-1]]), "an attempt is young again"
    assert findings([*never, *again])
    near = [HealthRecord(images_seen=100 + i, numbers=HEALTHY) for i in range(LOOKS)]
    late = [*never[: limit.YOUNG], *near]
    assert not any(findings(late[: i + 1]) for i in range(len(late)))


def test_lines() -> None:
    assert line_of(course()[-1]).startswith("healthy (")
    assert "unknown" not in line_of(course()[-1])
    assert "memorisation unknown" in line_of(HealthRecord(images_seen=1, numbers={"separation": 0.9}))
    sick = HealthRecord(images_seen=1, numbers={}, findings=(Finding(kind="collapse", text="so much"),))
    assert line_of(sick) == "collapse: so much; memorisation unknown without --data.holdout"
    assert line_of(dataclasses.replace(sick, numbers={"memory": 0.5})) == "collapse: so much"


def test_records_are_bounded_and_the_latest_stay() -> None:
    records: list[HealthRecord] = []
    for i in range(5 * MOST_RECORDS):
        records = kept([*records, HealthRecord(images_seen=i, numbers={})])
        assert len(records) <= MOST_RECORDS
        assert records[-1].images_seen == i
    clocks = [record.images_seen for record in records]
    assert clocks == sorted(set(clocks))
    assert clocks[0] == 0


def test_reals_that_do_not_differ_within_a_class_ask_nothing_of_z() -> None:
    numbers = {"z_use": 0.0, "within_real": 0.0}
    records = [HealthRecord(images_seen=100 * look, numbers=numbers) for look in range(20)]
    assert findings(records) == ()
