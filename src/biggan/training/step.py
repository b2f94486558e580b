"""One iteration of training: the whole algorithm, on one screen.

Letters: G generator, D discriminator, x images, y labels, z latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from biggan.foundation.seeding import derive_seed
from biggan.layers.heads import Verdict
from biggan.losses.adversarial import AdversarialLoss
from biggan.losses.scene import Judge, JudgeBoth, Stage
from biggan.losses.terms import Phase
from biggan.training.engine import Engine
from biggan.training.state import TrainState
from biggan.training.update import Rows, Update


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
    places: dict[str, Tensor] = field(default_factory=dict)
    """Where the rows of each network's batches lie in the global ones, int64 [B]: for terms that draw by chance."""

    def places_of(self, network: str, rows: Tensor) -> Tensor:
        """Return the places of the ``rows`` of a batch; by default it is the whole batch."""
        return self.places.get(network, torch.arange(len(rows), device=rows.device))


def judge_together(D: Judge, fakes: Tensor, fake_y: Tensor, x: Tensor, y: Tensor) -> tuple[Verdict, ...]:
    """Judge fakes and reals in one pass; return the verdict on each."""
    return D(torch.cat([fakes, x]), torch.cat([fake_y, y])).split([len(fakes), len(x)])


def judge_separately(D: Judge, fakes: Tensor, fake_y: Tensor, x: Tensor, y: Tensor) -> tuple[Verdict, ...]:
    """Judge fakes, then reals, in two passes; return the verdict on each."""
    return D(fakes, fake_y), D(x, y)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """What is minimised; terms that are added are the engine's."""

    loss: AdversarialLoss
    judge: JudgeBoth = judge_together
    seed: int = 0
    """Of what terms draw by chance."""

    def stage(self, phase: Phase, state: TrainState, G: Callable[..., Tensor], D: Judge, update: Update) -> Stage:
        """Return where the scenes of an update are set: terms act on what is put there."""
        update.staged = True
        return Stage(
            phase=phase,
            G=G,
            D=D,
            both=self.judge,
            acting=update.acting,
            sums=update.sums,
            seed=derive_seed(self.seed, phase),
            clock=update.clock,
            generator=state.generator,
            discriminator=state.discriminator,
            plainly=state.discriminator.judge,
            compares=getattr(self.loss, "needs_reals", False),
        )


Losses = dict[str, Tensor]
"""Names to the losses of every micro-batch, float [n] each, for the log."""


def train_discriminator(state: TrainState, inputs: StepInputs, objective: Objective, engine: Engine) -> Losses:
    """Update D once for each of its batches."""
    G, D = engine.call(state.generator), engine.call(state.discriminator.judge)
    on_fakes, on_reals = [], []
    for batch in inputs.discriminator:
        with engine.update(state, "discriminator") as update:
            fakes = update.generated(G, batch.latents, batch.fake_labels)  # without a graph: nothing flows into G
            places = inputs.places_of("discriminator", batch.latents)
            rows = (fakes, batch.latents, batch.fake_labels, places, batch.images, batch.labels)
            stage = objective.stage("discriminator", state, G, D, update)
            for those in update.micro_batches(rows, inputs.batch):
                scene = stage.scene(*those)
                loss_fake, loss_real = objective.loss.discriminator(*scene.verdicts)
                update.backward(scene.total(loss_fake + loss_real))
                on_fakes.append(loss_fake.detach())
                on_reals.append(loss_real.detach())
    return {"D_loss_fake": torch.stack(on_fakes), "D_loss_real": torch.stack(on_reals)}


def train_step(state: TrainState, inputs: StepInputs, objective: Objective, engine: Engine) -> Losses:
    """Update D once for each of its batches, then G once, then the moving average."""
    losses = train_discriminator(state, inputs, objective, engine)

    G, D = engine.call(state.generator), engine.call(state.discriminator.judge)
    of_generator = []
    with engine.update(state, "generator") as update:
        latents, labels = inputs.generator
        fakes = update.generated(G, latents, labels)  # with their graph: this is G's
        stage = objective.stage("generator", state, G, D, update)
        reals = inputs.discriminator[-1][:2] if stage.needs_reals else ()
        rows = (fakes, latents, labels, inputs.places_of("generator", latents), *reals)
        for those in update.micro_batches(rows, inputs.generator_batch):
            scene = stage.scene(*those)
            loss = objective.loss.generator(*scene.verdicts)
            update.backward(scene.total(loss))
            of_generator.append(loss.detach())

    state.average.update(
        state.generator,
        images_seen=inputs.images_seen,
        images_per_step=inputs.batch * len(inputs.discriminator),
    )
    return losses | {"G_loss": torch.stack(of_generator)}
