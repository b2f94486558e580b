"""One iteration of training: the whole algorithm, on one screen.

Letters: G generator, D discriminator, x images, y labels, z latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from biggan.foundation.images import to_float
from biggan.losses.adversarial import AdversarialLoss
from biggan.training.engine import Engine
from biggan.training.state import TrainState
from biggan.training.update import Rows


class DiscriminatorBatch(NamedTuple):
    """This rank's share of what one D step sees."""

    images: Rows
    """uint8 [B, C, H, W]; real ones are moved to the device by ``micro_batches``, or by ``images.to(device)``."""
    labels: Tensor
    """int64 [B]."""
    latents: Tensor
    """float [B, z_size]; its precision is that of the step."""
    fake_labels: Tensor
    """int64 [B]."""


class GeneratorBatch(NamedTuple):
    """This rank's share of what the G step sees."""

    latents: Tensor
    """float [B, z_size]."""
    labels: Tensor
    """int64 [B]."""


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """Everything that an iteration consumes, drawn outside."""

    discriminator: tuple[DiscriminatorBatch, ...]
    """One batch for each D step."""
    generator: GeneratorBatch
    batch: int
    """Images of one D step over all ranks."""
    generator_batch: int
    """Images of the G step over all ranks."""
    images_seen: int
    """The clock after this iteration."""


def score_together(D: Callable[..., Tensor], fakes: Tensor, fake_y: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Score fakes and reals in one pass; return the scores of each."""
    return torch.split(D(torch.cat([fakes, x]), torch.cat([fake_y, y])), [len(fakes), len(x)])


def score_separately(
    D: Callable[..., Tensor], fakes: Tensor, fake_y: Tensor, x: Tensor, y: Tensor
) -> tuple[Tensor, ...]:
    """Score fakes, then reals, in two passes; return the scores of each."""
    return D(fakes, fake_y), D(x, y)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is minimised."""

    loss: AdversarialLoss
    score: Callable[..., tuple[Tensor, ...]] = score_together


Losses = dict[str, Tensor]
"""Names to the losses of every micro-batch, float [n] each, for the log."""


def train_discriminator(state: TrainState, inputs: StepInputs, objective: Objective, engine: Engine) -> Losses:
    """Update D once for each of its batches."""
    G, D = engine.call(state.generator), engine.call(state.discriminator)
    on_fakes, on_reals = [], []
    for batch in inputs.discriminator:
        with engine.update(state, "discriminator") as update:
            fakes = update.generated(G, batch.latents, batch.fake_labels)  # without a graph: nothing flows into G
            rows = (fakes, batch.fake_labels, batch.images, batch.labels)
            for fake_x, fake_y, images, y in update.micro_batches(rows, inputs.batch):
                x = to_float(images, batch.latents.dtype)
                fake_scores, real_scores = objective.score(D, fake_x, fake_y, x, y)
                loss_fake, loss_real = objective.loss.discriminator(fake_scores, real_scores)
                update.backward(loss_fake + loss_real)
                on_fakes.append(loss_fake.detach())
                on_reals.append(loss_real.detach())
    return {"D_loss_fake": torch.stack(on_fakes), "D_loss_real": torch.stack(on_reals)}


def train_step(state: TrainState, inputs: StepInputs, objective: Objective, engine: Engine) -> Losses:
    """Update D once for each of its batches, then G once, then the moving average."""
    losses = train_discriminator(state, inputs, objective, engine)

    G, D = engine.call(state.generator), engine.call(state.discriminator)
    of_generator = []
    with engine.update(state, "generator") as update:
        fakes = update.generated(G, inputs.generator.latents, inputs.generator.labels)  # with their graph: this is G's
        rows = (fakes, inputs.generator.labels)
        for fake_x, fake_y in update.micro_batches(rows, inputs.generator_batch):
            loss = objective.loss.generator(D(fake_x, fake_y))
            update.backward(loss)
            of_generator.append(loss.detach())

    state.average.update(
        state.generator,
        images_seen=inputs.images_seen,
        images_per_step=inputs.batch * len(inputs.discriminator),
    )
    return losses | {"G_loss": torch.stack(of_generator)}
