"""What is said of what was measured: a pure function of a run's own records. Imports no torch.

A finding is a sign that has been there for some looks in a row. Signs look at one record and at the healthy stretch
before it: the earlier looks, without the first few, at which nothing had collapsed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from biggan.training.health import constants as limit
from biggan.training.health.records import Finding, HealthRecord, Kind

Numbers = Mapping[str, float]


class _Look(NamedTuple):
    """One record, and what came before it."""

    now: Numbers
    before: Sequence[HealthRecord]
    number: int
    """Of the attempt."""

    @property
    def attempt(self) -> Sequence[HealthRecord]:
        """Return the earlier looks of the same attempt."""
        return [record for record in self.before if record.attempt == self.number]

    @property
    def nth(self) -> int:
        """Return its number, from 1."""
        return len(self.before) + 1

    def has(self, *names: str) -> bool:
        """Tell whether all these numbers are known."""
        return all(name in self.now for name in names)

    def healthy(self, name: str) -> float | None:
        """Return the median of a number in the healthy stretch, None where that is too short."""
        return self.healthy_of(lambda numbers, _: numbers.get(name))

    def healthy_of(self, value: Callable[[Numbers, Numbers], float | None]) -> float | None:
        """Return the median of what ``value`` makes of a look and of the one before it, where it makes something."""
        numbers = [record.numbers for record in self.before]
        found = [
            value(numbers[i], numbers[i - 1])
            for i in range(limit.SETTLING, len(numbers))
            if not self.before[i].has("collapse")
        ]
        known = [each for each in found if each is not None]
        return statistics.median(known) if len(known) >= limit.ENOUGH else None

    def lately(self, name: str) -> float:
        """Return the mean of a number over the last few looks, this one included, which has it."""
        earlier = self.attempt[1 - limit.LONG_RUNNING :]
        return statistics.fmean([*(r.numbers[name] for r in earlier if name in r.numbers), self.now[name]])


class _Sign(NamedTuple):
    """Something that may be wrong."""

    kind: Kind
    looks: int
    """How many in a row it must be there."""
    tell: Callable[[_Look], str | None]
    """Returns a sentence if it is there."""


def findings(records: Sequence[HealthRecord]) -> tuple[Finding, ...]:
    """Return what is wrong at the last of ``records``, which are in the order of their clocks.

    The last one's own findings are not looked at; those of earlier ones tell the healthy stretch.
    """
    found: dict[Kind, Finding] = {}
    for sign in _SIGNS:
        last = range(len(records) - sign.looks, len(records))
        if last.start < 0 or sign.kind in found or records[last.start].attempt != records[-1].attempt:
            continue
        told = [sign.tell(_Look(records[i].numbers, records[:i], records[i].attempt)) for i in last]
        text = told[-1]
        if text is not None and None not in told:
            found[sign.kind] = Finding(kind=sign.kind, text=text)
    return tuple(found.values())


def line_of(record: HealthRecord) -> str:
    """Return what the log says: healthy, with the numbers that tell most, or what is wrong and by how much."""
    unknown = [] if "memory" in record.numbers else ["memorisation unknown without --data.holdout"]
    if record.findings:
        return "; ".join([*(f"{finding.kind}: {finding.text}" for finding in record.findings), *unknown])
    shown = {
        "separation": "D ranks reals above fakes",
        "label_use": "heeds labels",
        "diversity": "variety",
        "distance": "distance",
    }
    told = [f"{words} {record.numbers[name]:.2f}" for name, words in shown.items() if name in record.numbers]
    return f"healthy ({', '.join([*told, *unknown])})"


def _lost_variety(look: _Look) -> str | None:
    before = look.healthy("diversity")
    if before is None or not look.has("diversity", "diversity_raw"):
        return None
    now = max(look.now["diversity"], look.now["diversity_raw"])
    if now >= limit.LOST_VARIETY * min(before, 1.0):
        return None
    return f"images of a class have {now:.2f} of the reals' variety, and had {before:.2f}"


def _far_away(look: _Look) -> str | None:
    before = look.healthy("distance")
    if before is None or not look.has("distance", "distance_raw"):
        return None
    now = min(look.now["distance"], look.now["distance_raw"])
    if now <= limit.FAR * max(before, limit.NEAR):
        return None
    return f"images have gone away from the reals: their distance is {now:.2f}, and was {before:.2f}"


def _blind(look: _Look) -> str | None:
    young = look.nth < limit.FIRST_ALARM or len(look.attempt) + 1 < limit.LONG_RUNNING
    if young or not look.has("separation", "distance", "distance_raw"):
        return None
    apart, separation = min(look.now["distance"], look.now["distance_raw"]), look.lately("separation")
    before = look.healthy_of(lambda numbers, _: _lead(numbers["separation"]) if "separation" in numbers else None)
    if apart < limit.APART or not limit.BLIND.lost(_lead(separation), before):
        return None
    had = "" if before is None else f", and did {before:.2f}"
    return (
        f"D is blind: it ranks reals above fakes {separation:.2f} of the time (1/2 is chance){had}, though they are "
        f"{apart:.2f} apart"
    )


def _lead(separation: float) -> float:
    """Return how often the right or the wrong ones are ranked above: who ranks all fakes above reals is not blind."""
    return 0.5 + abs(separation - 0.5)


def _never_near(look: _Look) -> str | None:
    before = look.healthy("distance")
    if len(look.attempt) < limit.YOUNG or before is None or not look.has("distance", "distance_raw"):
        return None
    now = min(look.now["distance"], look.now["distance_raw"])
    if min(before, now) <= limit.GRAY:
        return None
    return f"images are {now:.2f} away from the reals, and one gray picture would be {limit.GRAY:g}"


def _by_heart(look: _Look) -> str | None:
    way = _way_to_fakes(look.now)
    if way is None or "memory" not in look.now:
        return None
    known = limit.KNOWN_BY_HEART.lost(look.now["memory"], look.healthy("memory"))
    if not known or not limit.LIKE_FAKES.lost(way, look.healthy_of(lambda numbers, _: _way_to_fakes(numbers))):
        return None
    memory, separation, held = (look.now[name] for name in ("memory", "separation", "separation_held"))
    return (
        f"D ranks reals that it was trained on above held-out ones {memory:.2f} of the time (1/2 is none by heart), "
        f"and these above fakes only {held:.2f} of it ({separation:.2f} of those trained on)"
    )


def _way_to_fakes(numbers: Numbers) -> float | None:
    """Return how far held-out reals are on the way from reals (0) to fakes (1); None where D tells neither."""
    if not {"separation", "separation_held"} <= numbers.keys() or numbers["separation"] <= 0.5:
        return None
    return (numbers["separation"] - numbers["separation_held"]) / (numbers["separation"] - 0.5)


def _unheeded(look: _Look) -> str | None:
    if "label_use" not in look.now or len(look.attempt) + 1 < limit.LONG_RUNNING:
        return None
    now, before = look.lately("label_use"), look.healthy("label_use")
    heeded = before is not None and before > limit.UNHEEDED.admitted
    if not limit.UNHEEDED.lost(now, before) or (look.nth <= limit.YOUNG and not heeded):
        return None
    had = f", and did {before:.2f}" if heeded else ""
    return f"D scores an image higher under its own label {now:.2f} of the time (1/2 is chance){had}"


def _unused_z(look: _Look) -> str | None:
    share = _share_over_z(look.now)
    if look.nth <= limit.SETTLING or share is None:
        return None
    before = look.healthy_of(lambda numbers, _: _share_over_z(numbers))
    if not limit.UNUSED_Z.lost(share, before):
        return None
    had = "" if before is None else f", and did by {before:.3f}"
    return f"images of a class differ over z by {share:.3f} of what reals of a class do{had}"


def _share_over_z(numbers: Numbers) -> float | None:
    """Return variety over z, relative to reals within a class; reals that are all one image ask nothing of z."""
    if "z_use" not in numbers or not numbers.get("within_real"):
        return None
    return numbers["z_use"] / numbers["within_real"]


def _leaks(look: _Look) -> str | None:
    leak = _leak_near_reals(look.now)
    if look.nth <= limit.YOUNG or leak is None:
        return None
    if not limit.LEAKS.lost(leak, look.healthy_of(lambda numbers, _: _leak_near_reals(numbers))):
        return None
    return f"about {leak:.0%} of fakes look augmented as what D sees is, not as the data are (samples/*/leak.png)"


def _leak_near_reals(numbers: Numbers) -> float | None:
    """Return the share of fakes that look augmented, where fakes look like something."""
    near = numbers.get("distance", limit.LIKE_REALS + 1) <= limit.LIKE_REALS  # the published G's, as the leak is
    return numbers.get("leak") if near else None


def _at_rest(look: _Look) -> str | None:
    moved = _movement(look.now, look.before[-1].numbers) if look.before else None
    if moved is None or not limit.STANDS_STILL.lost(moved, look.healthy_of(_movement)):
        return None
    return (
        "the moving average of G has not moved since the look before, and G has: look at --ema.decay, --ema.half-life"
    )


def _movement(now: Numbers, last: Numbers) -> float | None:
    """Return by how much the average has moved since the look before, relative to G; None where G has not."""
    if not {"average_trace", "G_trace"} <= now.keys() & last.keys():
        return None
    of_average, of_generator = (abs(now[name] - last[name]) for name in ("average_trace", "G_trace"))
    return of_average / of_generator if of_generator else None


def _repeating(look: _Look) -> str | None:
    if not look.has("distinct", "different", "epochs") or look.now["epochs"] < limit.OFTEN:
        return None
    few, copies = look.now["distinct"] < limit.FEW_IMAGES, look.now["different"] < limit.MANY_COPIES
    if not few and not copies:
        return None
    return (
        f"there are about {look.now['distinct']:.0f} different images, and each was seen {look.now['epochs']:.0f} times"
    )


_SIGNS = (
    _Sign("collapse", limit.RUNNING, _lost_variety),
    _Sign("collapse", limit.RUNNING, _far_away),
    _Sign("collapse", 1, _blind),
    _Sign("nothing learnt", limit.LONG_RUNNING, _never_near),
    _Sign("memorisation", limit.RUNNING, _by_heart),
    _Sign("labels ignored", 1, _unheeded),
    _Sign("z ignored", limit.RUNNING, _unused_z),
    _Sign("leak of augmentation", limit.RUNNING, _leaks),
    _Sign("average at rest", limit.RUNNING, _at_rest),
    _Sign("data repeat", 1, _repeating),
)
