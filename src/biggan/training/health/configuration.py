"""How often the health of a run is looked at. Imports no torch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from biggan.foundation.durations import MaybeImages
from biggan.foundation.errors import UserError
from biggan.training.health.constants import FIRST_ALARM

OF_A_RUN = 40
"""Looks in the course of a run, by default: what goes wrong is seen within a twentieth of it, at the second look."""
LEAST, MOST = 1_000, 500_000
"""Images between two looks, by default: as many as make a look cheap, and no more than between two checkpoints."""


@dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """When the health of the networks is looked at."""

    every: MaybeImages = None
    """Interval of looks at the health of the networks; 0 for none. By default a fortieth of the duration, 1,000 to
    500,000 images."""

    def __post_init__(self) -> None:
        if self.every is not None and self.every < 0:
            raise UserError(f"--health.every {self.every}: a number of images, or 0 for never")

    def resolved(self, duration: int) -> HealthConfig:
        """Return it with the interval written out, so that a longer duration later does not change it."""
        if self.every is not None:
            return self
        return dataclasses.replace(self, every=min(max(duration // OF_A_RUN, LEAST), MOST))

    def remarks(self, on_collapse: str, duration: int) -> list[str]:
        """Return a sentence where a run that is to act on a collapse would never be told of one; of a resolved one."""
        looks = duration // self.every if self.every else 0
        if on_collapse == "warn" or looks >= FIRST_ALARM:
            return []
        return [
            f"--on-collapse {on_collapse}: nothing will be told; a collapse shows at the {FIRST_ALARM}th look at the "
            f"networks, and with --health.every {self.every} there are {looks}"
        ]
