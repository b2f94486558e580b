"""Weights to begin from, as options. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from biggan.foundation.errors import UserError
from biggan.foundation.options import also_called


@dataclass(frozen=True, kw_only=True)
class InitConfig:
    """Weights to begin from, instead of random ones."""

    path: Annotated[str | None, also_called("--init")] = None
    """Begin from the networks of this run, checkpoint, snapshot or export: the architecture is theirs."""
    weights: Literal["ema", "raw"] = "ema"
    """Begin G from its moving average, or from G itself (which checkpoints and whole exports hold)."""
    classes: str = "name"
    """Which old class a new one begins as: name (the one of the same name), nearest (by D's class embedding), mean,
    fresh, or a file: JSON {"new": "old"} or lines of: new=old."""
    others: Literal["mean", "nearest", "fresh"] = "mean"
    """What classes begin as that neither a name nor the file matches."""
    optimizers: bool = False
    """Also take over Adam's moments."""
    recalibrate: int | None = None
    """Batches of 64 over which the statistics of batch norm are estimated anew before the first step; by default 100,
    or 0 if classes and channels are as they were."""
    new_rate_factor: float = 1.0
    """Learning rates of what is new in a network that is otherwise taken over, relative to the rest."""

    def __post_init__(self) -> None:
        if self.recalibrate is not None and not 0 <= self.recalibrate <= 1_000_000:
            raise UserError(f"--init.recalibrate {self.recalibrate}: 0 to 1,000,000 batches; a hundred are usual")
        if not 0 <= self.new_rate_factor <= 1e6:
            raise UserError(f"--init.new-rate-factor {self.new_rate_factor}: must be 0 to 1,000,000")
