"""What several presets share: ImageNet at a batch of 2048, by the launch scripts and by the paper."""

from __future__ import annotations

from biggan.models.architecture import Architecture
from biggan.training.configuration import (
    AdamConfig,
    CheckpointConfig,
    LogConfig,
    MovingAverageConfig,
    TrainingConfig,
)

IMAGENET = 1_281_167
"""Training images of ImageNet (ILSVRC 2012)."""

BATCH = 2048


def intervals(images_per_iteration: int, save: int, keep_best: int = 5) -> tuple[CheckpointConfig, LogConfig]:
    """Return what saving every ``save`` iterations means in images, with the scripts' copies."""
    every = save * images_per_iteration
    return (
        CheckpointConfig(every=every, keep_last=2, keep_best=keep_best, snapshot_every=10 * every),
        LogConfig(every=10 * images_per_iteration, samples_every=every),
    )


def imagenet(model: Architecture, *, micro_batch: int, save: int = 1000) -> TrainingConfig:
    """The options that the ImageNet launch scripts share, at a batch of 2048."""
    checkpoint, log = intervals(BATCH, save)
    return TrainingConfig(
        model=model,
        batch=BATCH,
        micro_batch=micro_batch,
        duration=150_000 * BATCH,
        generator_adam=AdamConfig(learning_rate=1e-4, eps=1e-6),
        discriminator_adam=AdamConfig(learning_rate=4e-4, eps=1e-6),
        fake_labels="uniform",
        ema=MovingAverageConfig(decay=0.9999, start=20_000 * BATCH),
        checkpoint=checkpoint,
        log=log,
    )


def paper(model: Architecture, micro_batch: int) -> TrainingConfig:
    """The paper's optimisation: two D steps, lower rates, orthogonal regularisation."""
    checkpoint, log = intervals(2 * BATCH, 500)
    return TrainingConfig(
        model=model,
        batch=BATCH,
        micro_batch=micro_batch,
        duration=150_000 * 2 * BATCH,
        discriminator_steps=2,
        generator_adam=AdamConfig(learning_rate=5e-5, eps=1e-8),
        discriminator_adam=AdamConfig(learning_rate=2e-4, eps=1e-8),
        generator_orthogonal=1e-4,
        ema=MovingAverageConfig(decay=0.9999, start=20_000 * 2 * BATCH),
        checkpoint=checkpoint,
        log=log,
    )
