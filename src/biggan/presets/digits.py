"""Handwritten digits: the demonstration that runs anywhere."""

from __future__ import annotations

from biggan.data.configuration import DataConfig
from biggan.foundation.courses import Course
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
    """A small BigGAN on real handwritten digits, minutes on a CPU.

    Source: tuned here, on scikit-learn's 1,797 digits at 16 px. What mattered: a D that goes down to 4x4 (one that
    stops at 8x8 loses a quarter of the variety), and rates not above 3e-4 and 1.2e-3. Hardware and time: 2 CPU cores,
    under 2 minutes. Expect, of 500 samples after 120,000 images, seeds 0, 1, 2: 99.4, 98.6, 99.4 % recognised as
    their digit by a classifier that gets 99.3 % of real ones, with 0.86, 0.87, 0.84 of the real digits' variety.
    Parameters: G 56,929, D 75,185.
    """
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
        duration=120_000,
        generator_adam=AdamConfig(learning_rate=2e-4),
        discriminator_adam=AdamConfig(learning_rate=8e-4),
        ema=MovingAverageConfig(half_life=10_000, ramp_up=0.05),
        checkpoint=CheckpointConfig(every=30_000),
        log=LogConfig(every=2_000, samples_every=6_000, judge="digits"),
    )


def _fading(first: float, last: float) -> Course:
    return Course(first=first, last=last, end=40_000, shape="cosine")


@preset("digits-r3gan")
def digits_r3gan() -> TrainingConfig:
    """A small R3GAN on the same digits: no normalisation, relativistic pairs, penalties on D's gradients.

    Source: tuned here, in four runs. At a gamma of 0.3 and constant rates more is recognised after 60,000 images
    (97.8 %), with 0.47 of the variety. Hardware and time: 2 CPU cores, some minutes. Expect, of 500 samples after
    40,000 images, seed 0: 78.0 % recognised, with 0.91 of the real digits' variety.
    Parameters: G 43,232, D 42,208.
    """
    adam = AdamConfig(learning_rate=_fading(5e-4, 1e-4), beta2=_fading(0.9, 0.99))
    return TrainingConfig(
        data=DataConfig(path="digits"),
        model=architecture(
            "r3gan",
            resolution=(16, 16),
            channels=1,
            classes=10,
            latent_size=32,
            shared_embedding=32,
            generator_width=4,
            discriminator_width=4,
            generator_depth=1,
            discriminator_depth=1,
        ),
        batch=64,
        micro_batch=64,
        duration=40_000,
        loss="relativistic",
        terms=("r1,weight=2", "r2,weight=2"),
        generator_adam=adam,
        discriminator_adam=adam,
        ema=MovingAverageConfig(half_life=10_000, ramp_up=0.05),
        checkpoint=CheckpointConfig(every=10_000),
        log=LogConfig(every=2_000, samples_every=6_000, judge="digits"),
    )
