"""Handwritten digits: the demonstration that runs anywhere."""

from __future__ import annotations

from biggan.data.configuration import DataConfig
from biggan.models.architecture import architecture
from biggan.presets.registry import preset
from biggan.training.configuration import (
    AdamConfig,
    CheckpointConfig,
    LogConfig,
    MovingAverageConfig,
    TrainingConfig,
)


@preset("digits")
def digits() -> TrainingConfig:
    """A small BigGAN on real handwritten digits, minutes on a CPU."""
    return TrainingConfig(
        data=DataConfig(path="digits"),
        model=architecture(
            "biggan",
            resolution=(16, 16),
            channels=1,
            classes=10,
            latent_size=33,
            shared_embedding=32,
            generator_width=8,
            discriminator_width=8,
            generator_attention=(),
            discriminator_attention=(),
        ),
        batch=64,
        micro_batch=64,
        duration=200_000,
        generator_adam=AdamConfig(learning_rate=2e-4),
        discriminator_adam=AdamConfig(learning_rate=8e-4),
        ema=MovingAverageConfig(half_life=10_000, ramp_up=0.05),
        checkpoint=CheckpointConfig(every=20_000),
        log=LogConfig(every=2_000, samples_every=20_000, judge="digits"),
    )
