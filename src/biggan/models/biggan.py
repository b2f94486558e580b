"""BigGAN (Brock, Donahue and Simonyan 2019, tables 4 and 7 to 9), for any number of doublings."""

from __future__ import annotations

from biggan.models.family import Family

# k -> G's widths into the first stage and out of each. k = 5, 6, 7 (128, 256, 512 px on a 4x4 grid) are the
# paper's; k = 4 (64 px) and k = 3 (32 px) those of the authors' PyTorch version; the ends continue the pattern.
_GENERATOR = {
    1: (4, 4),
    2: (4, 4, 4),
    3: (4, 4, 4, 4),
    4: (16, 16, 8, 4, 2),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
    8: (16, 16, 8, 8, 4, 2, 1, 1, 1),
}

# k -> D's widths out of each stage. The last stage does not halve; at k = 3 (the CIFAR table) the last two do not.
# Below, D goes down to the bottom grid: one that stops at 8x8 at 16 px judges patches, and G then varies much less.
_DISCRIMINATOR = {
    1: (2, 4, 8),
    2: (2, 4, 8),
    3: (4, 4, 4, 4),
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
    8: (1, 1, 1, 2, 4, 8, 8, 16, 16),
}


def generator_multipliers(doublings: int) -> tuple[int, ...]:
    """Return G's widths into the first stage and out of each, in units of the width."""
    return _GENERATOR[doublings]


def discriminator_plan(doublings: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return D's widths out of each stage, and which stages halve."""
    widths = _DISCRIMINATOR[doublings]
    halvings = 2 if doublings == 3 else doublings
    return widths, tuple(i < halvings for i in range(len(widths)))


FAMILY = Family(
    name="biggan",
    generator_multipliers=generator_multipliers,
    discriminator_plan=discriminator_plan,
    generator="biggan.models.residual:ResidualGenerator",
    discriminator="biggan.models.residual:ResidualDiscriminator",
)
