"""A run that ``auto`` chose, and why. Imports no torch."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from biggan.training.configuration import TrainingConfig


@dataclass(kw_only=True)
class Chosen:
    """A run, and why it is that one."""

    config: TrainingConfig
    reasons: list[tuple[str, str, str, frozenset[str]]] = field(default_factory=list)
    """What, value, reason, and the options that it is about."""

    def note(self, what: str, value: object, reason: str, *options: str) -> None:
        """Remember why."""
        self.reasons.append((what, str(value), reason, frozenset(options)))

    def lines(self, given: Set[str] = frozenset()) -> list[str]:
        """Return a line for each choice, without those in whose place something was given."""
        said = [(what, value, reason) for what, value, reason, options in self.reasons if not options & given]
        wide = max((len(what) for what, _, _ in said), default=0)
        return [f"  {what:{wide}}  {value}: {reason}" for what, value, reason in said]
