"""Judges that need no downloaded weights: each scores a generator on the data it was trained on."""

from __future__ import annotations

from typing import Protocol

from biggan.foundation.registry import Registry
from biggan.models.contract import Generator


class Verdict(Protocol):
    """What a judge found; ``str`` gives a sentence."""

    @property
    def value(self) -> float:
        """One number, larger is better, by which checkpoints are compared."""


class Judge(Protocol):
    """Scores a generator."""

    def judge(self, generator: Generator) -> Verdict:
        """Return the verdict on a generator in evaluation mode; it is not changed."""


JUDGES: Registry[type[Judge]] = Registry("judge", {"digits": "biggan.metrics.digits_judge:DigitsJudge"})
