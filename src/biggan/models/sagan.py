"""SAGAN (Zhang et al. 2019): SNGAN's residual networks with self-attention, and spectral norm in G as well."""

from __future__ import annotations

from biggan.models.family import Family
from biggan.models.sngan import check, discriminator_plan, generator_multipliers

FAMILY = Family(
    name="sagan",
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
        "generator_attention": ("64",),
        "discriminator_attention": ("64",),
        "spectral_norm_class_tables": True,
    },
    check=check,
)
