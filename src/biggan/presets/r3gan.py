"""R3GAN: the published configuration for CIFAR-10."""

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

_END = 20_000_000
"""Images at which everything that changes has come to its end."""


def _course(first: float, last: float) -> Course:
    return Course(first=first, last=last, end=_END, shape="cosine")


@preset("r3gan-cifar10")
def r3gan_cifar10() -> TrainingConfig:
    """R3GAN 32 px for CIFAR-10, conditional (R3GAN, train.py --preset=CIFAR10 --cond=True).

    Source: R3GAN at 19a7ddf, arXiv 2501.05441. Its G's phase reads new reals, ours takes those of D's step; three of
    its four stages run in bfloat16, ours in what --precision says; it trains until it is stopped, and the duration is
    ours. Hardware: 8 GPUs in its README; time: none published. Expect: FID 1.96 (paper; 50,000 samples, Tero Karras'
    Inception, whole training set, not mirrored).
    Parameters: G 20,781,952, D 21,280,512.
    """
    adam = AdamConfig(learning_rate=_course(2e-4, 5e-5), beta2=_course(0.9, 0.99), eps=1e-8)
    gamma = _course(0.05, 0.005)
    return TrainingConfig(
        data=DataConfig(flip=True),
        model=architecture("r3gan", resolution=(32, 32), classes=10),
        batch=512,
        micro_batch=64,
        duration=100_000_000,
        loss="relativistic",
        terms=(f"r1,weight={gamma}", f"r2,weight={gamma}", f"ada,p={_course(0, 0.55)},colour=0.5,cutout=yes"),
        generator_adam=adam,
        discriminator_adam=adam,
        ema=MovingAverageConfig(half_life=_course(0, 5_000_000)),
        checkpoint=CheckpointConfig(every=500_000),
        log=LogConfig(every=10_000, samples_every=500_000),
    )
