"""BigGAN-deep (Brock, Donahue and Simonyan 2019, appendix B, tables 5 and 6), for any number of doublings.

Bottleneck blocks, several a stage; G's shortcut drops channels, D's adds them; the whole latent, with the class
embedding, conditions every normalisation.
"""

from __future__ import annotations

from biggan.models.biggan import generator_multipliers
from biggan.models.family import Family

# k -> D's widths out of the stem, then out of each stage; from k = 4 every stage halves.
_DISCRIMINATOR = {
    1: (2, 4, 8, 8),
    2: (2, 4, 8, 8),
    3: (4, 4, 4, 4),
    4: (1, 2, 4, 8, 16),
    5: (1, 2, 4, 8, 16, 16),
    6: (1, 2, 4, 8, 8, 16, 16),
    7: (1, 1, 2, 4, 8, 8, 16, 16),
    8: (1, 1, 1, 2, 4, 8, 8, 16, 16),
}


def discriminator_plan(doublings: int) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Return D's widths out of the stem and of each stage, and which stages halve."""
    widths = _DISCRIMINATOR[doublings]
    halvings = 2 if doublings == 3 else doublings
    return widths, tuple(i < halvings for i in range(len(widths) - 1))


FAMILY = Family(
    name="biggan-deep",
    generator_multipliers=generator_multipliers,
    discriminator_plan=discriminator_plan,
    generator="biggan.models.bottleneck:BottleneckGenerator",
    discriminator="biggan.models.bottleneck:BottleneckDiscriminator",
    customs={"generator_width": 128, "discriminator_width": 128, "latent_size": 128}
    | {"generator_depth": 2, "discriminator_depth": 2},
    discriminator_stem=True,
    chunked=False,
    fixed_shortcuts=True,
)
