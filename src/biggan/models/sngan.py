"""SNGAN with projection discriminator (Miyato et al. 2018; Miyato and Koyama 2018).

G is not spectrally normalised and every normalisation has its own class table. The tables are those by which the
family is known in PyTorch: 32 px has constant widths (256 in G, 128 in D are customary), 64 px ends on a 2x2 map.
"""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import Family

_GENERATOR = {
    1: (1, 1),
    2: (1, 1, 1),
    3: (1, 1, 1, 1),
    4: (16, 8, 4, 2, 1),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
    7: (16, 16, 8, 8, 4, 2, 1, 1),
    8: (16, 16, 8, 8, 4, 2, 1, 1, 1),
}

_DISCRIMINATOR = {
    1: (1, 1, 1),
    2: (1, 1, 1),
    3: (1, 1, 1, 1),
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
    halvings = {3: 2, 4: 5}.get(doublings, doublings)
    return widths, tuple(i < halvings for i in range(len(widths)))


def check(architecture: Architecture) -> None:
    """Refuse what the family does not have."""
    if architecture.shared_embedding or architecture.hierarchical_latent:
        raise UserError(
            f"{architecture.family} has neither a shared embedding nor a hierarchical latent: leave out "
            "--model.shared-embedding and --model.hierarchical-latent, or choose --model.family biggan"
        )


FAMILY = Family(
    name="sngan",
    generator_multipliers=generator_multipliers,
    discriminator_plan=discriminator_plan,
    generator="biggan.models.residual:ResidualGenerator",
    discriminator="biggan.models.residual:ResidualDiscriminator",
    customs={
        "latent_size": 128,
        "generator_width": 64,
        "discriminator_width": 64,
        "shared_embedding": 0,
        "hierarchical_latent": False,
        "generator_attention": (),
        "discriminator_attention": (),
        "generator_spectral_norm": SpectralNorm(enabled=False),
    },
    check=check,
)
