"""From where on something is wrong: the same numbers for all data, in one place, each with its reason.

Relative ones are relative to the median of a run's own healthy looks. How far each may be moved until one of 38 runs of
digits is told otherwise stands in docs/collapse.md. Imports no torch.
"""

from __future__ import annotations

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
BLIND = 0.1
"""How near 1/2 the separation is, on the mean of those looks, where D is as good as blind: a healthy D of digits was
above 0.8 as long as fakes were :data:`APART`, one that learnt 30 times too fast at 0.49 to 0.6."""
GRAY = 1.0
"""Distance of one picture, the mean of all reals, by the definition of distance. Who is not nearer when no longer young
learns nothing: of 29 runs of digits those that learnt were within 0.6 by then, the others beyond 1.1."""
APART = 0.3
"""Distance to the reals at which who sees can tell: a third of their own variance."""

KNOWN_BY_HEART = 0.7
"""How often a real that is trained on is scored above a held-out one: five standard errors above 1/2."""
LIKE_FAKES = 0.5
"""How far held-out reals have come on the way from reals (0) to fakes (1), as D ranks them."""

UNHEEDED = 0.6
"""How often D scores an image higher under its own label, on the mean of :data:`LONG_RUNNING` looks: 1/2 is chance. One
look alone is within 0.3 and 0.7 of a D that heeds none, because it may favour a class."""
UNHEEDED_NOW = 0.75
"""The healthy stretch was above this: then a D that falls below :data:`UNHEEDED` is not young but has changed."""

UNUSED_Z = 0.05
"""Variety over z that is left, relative to that of reals within a class: z has lost all influence."""

STANDS_STILL = 1e-5
"""Movement of the average, relative to G's: a half-life of a thousand runs moves it more."""

FEW_IMAGES = 100
"""Different images that a GAN knows by heart before it has learnt anything."""
MANY_COPIES = 0.5
"""Share of different images among those looked at."""
OFTEN = 10.0
"""Times that an image must have been seen for its repetition to matter."""

LEAKS = 0.4
"""Estimated share of fakes that look augmented: its standard error is about 0.1."""
LIKE_REALS = 0.3
"""Distance to the reals within which that says anything: what looks like nothing looks augmented, too. At 0.5 a run
of 200 photos that had hardly begun was said to leak."""
