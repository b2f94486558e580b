"""From where on something is wrong: the same numbers for all data, in one place, each with its reason.

What becomes of a run is relative to its own healthy stretch, the median of its healthy looks. Variety and distance are
factors of it. Shares and ranks have a worst value by their definition, and are judged by how much is left of the way
from there to the healthy stretch (:class:`Way`). How far those that decide may be moved until one of 38 runs of digits
is told otherwise stands in docs/collapse.md; ``benchmarks/health.py --room`` tells it of all. Imports no torch.
"""

from __future__ import annotations

from typing import NamedTuple


class Way(NamedTuple):
    """A share or rank, from the worst that it can be to the best."""

    worst: float
    best: float
    admitted: float
    """The least that counts as healthy: a run that was worse all the time, or has no healthy stretch yet, is measured
    by this; else a run with shuffled labels would have its own ignorance as the measure of health."""
    left: float
    """Part of the way from worst to healthy of which less is an alarm."""

    def limit(self, healthy: float | None) -> float:
        """Return the value at which the alarm begins, where the healthy stretch has the median ``healthy``."""
        low, high = sorted((self.admitted, self.best))
        measure = self.admitted if healthy is None else min(max(healthy, low), high)
        return self.worst + self.left * (measure - self.worst)

    def lost(self, now: float, healthy: float | None) -> bool:
        """Tell whether ``now`` is nearer to the worst than the limit is."""
        return (now - self.limit(healthy)) * (self.best - self.worst) < 0


SETTLING = 4
"""First looks that are no part of the healthy stretch: networks that begin pass through everything."""
ENOUGH = 4
"""Looks of which there must be a median before anything is compared with it."""
RUNNING = 2
"""Looks in a row at which something must be so: one of 120 images is chance now and then."""
LONG_RUNNING = 4
"""Looks over whose mean that is judged which one look tells badly: whether D sees a difference, or heeds labels."""
FIRST_ALARM = SETTLING + LONG_RUNNING
"""The first look at which a collapse can be told."""
YOUNG = 12
"""Looks before which D may ignore labels that it has never heeded, and fakes look like nothing yet, and so augmented:
three tenths of a run."""

LOST_VARIETY = 0.4
"""Variety within classes that is left, relative to the healthy stretch (which counts as 1 at most: more variety than
that of the reals is noise). Healthy runs of digits keep above 0.6."""
FAR = 2.5
"""Distance to the reals, relative to the healthy stretch, from which on images are others."""
NEAR = 0.2
"""Distance that counts as this in the healthy stretch: near the reals, factors of a small number mean nothing."""
BLIND = Way(worst=0.5, best=1.0, admitted=0.75, left=0.35)
"""How often D ranks a real above a fake, on the mean of those looks. A healthy D of digits was above 0.8 as long as
fakes were :data:`APART`, one that learnt 30 times too fast at 0.49 to 0.6."""
GRAY = 1.0
"""Distance of one picture, the mean of all reals, by the definition of distance. Who is not nearer when no longer young
learns nothing: of 29 runs of digits those that learnt were within 0.6 by then, the others beyond 1.1."""
APART = 0.3
"""Distance to the reals at which who sees can tell: a third of their own variance."""

KNOWN_BY_HEART = Way(worst=1.0, best=0.5, admitted=0.55, left=0.65)
"""How often a real that is trained on is scored above a held-out one. Who tells them apart at the healthy stretch knows
some by heart already, so little is admitted: 120 images are within 0.55 by chance."""
LIKE_FAKES = Way(worst=1.0, best=0.0, admitted=0.1, left=0.6)
"""How far held-out reals have come on the way from reals (0) to fakes (1), as D ranks them."""

UNHEEDED = Way(worst=0.5, best=1.0, admitted=0.75, left=0.35)
"""How often D scores an image higher under its own label, on the mean of :data:`LONG_RUNNING` looks: 1/2 is chance. One
look alone is within 0.3 and 0.7 of a D that heeds none, because it may favour a class. A D whose healthy stretch was
above what is admitted is not young when it falls: it has changed."""

UNUSED_Z = Way(worst=0.0, best=1.0, admitted=0.5, left=0.1)
"""Variety over z, relative to that of reals within a class: z has lost its influence."""

STANDS_STILL = Way(worst=0.0, best=1.0, admitted=0.01, left=1e-3)
"""Movement of the average, relative to G's: a half-life of a thousand runs moves it more."""

FEW_IMAGES = 100
"""Different images that a GAN knows by heart before it has learnt anything. This and the next two are of the data,
which are the same all the time and have no healthy stretch."""
MANY_COPIES = 0.5
"""Share of different images among those looked at."""
OFTEN = 10.0
"""Times that an image must have been seen for its repetition to matter."""

LEAKS = Way(worst=1.0, best=0.0, admitted=0.1, left=0.6)
"""Estimated share of fakes that look augmented: its standard error is about 0.1."""
LIKE_REALS = 0.3
"""Distance to the reals within which that says anything: what looks like nothing looks augmented, too. At 0.5 a run
of 200 photos that had hardly begun was said to leak."""
