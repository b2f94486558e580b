"""G alone, before there is a D to learn from: its fakes are to have the reals' features, class by class.

After dos Santos et al. 2019, "Learning implicit generative models by matching perceptual features", arXiv 1904.02762:
mean and variance of each feature, here of each class. With m and v those of the n fakes of class c in a batch, M and V
those of its reals, s^2 the variance of the feature over all reals, the loss is a mean over fakes and features of

    ((m - M)^2 - v / (n - 1)) / s^2 + (v - (n - 1) / n V)^2 / s^4.

v / (n - 1) is what the first square is too large by because m is a mean of n: without it G would learn to paint each
class one image. A class with one fake in a batch teaches nothing. A feature in which the reals do not differ (s^2
below a thousandth of the features' mean, as of a rectifier that none of them excites) is left out: it would outweigh
all others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.data.opening import open_source
from biggan.data.reading import read_those_that_can_be
from biggan.foundation import distributed
from biggan.foundation.errors import NotDownloadedError, UserError, unknown
from biggan.foundation.images import to_float
from biggan.foundation.schedules import batch_factor
from biggan.layers.standing_still import still
from biggan.metrics.features import EXTRACTORS, ExtractorOptions, differentiable, make_extractor
from biggan.training.checkpoint import Checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.hooks.agenda import Agenda
from biggan.training.run import Run
from biggan.training.state import TrainState
from biggan.training.stopping import Stopped

Features = Callable[[Tensor], Tensor]
"""Images float [N, C, H, W] in [-1, 1] to rows float [N, d], differentiably."""
LEAST = 1e-3
"""Variance of a feature over all reals, relative to the mean of all features, below which it is left out."""
_AT_ONCE = 256


class Moments(NamedTuple):
    """Of features by class."""

    counts: Tensor
    """float64 [K, 1]."""
    sums: Tensor
    """float64 [K, d]."""
    squares: Tensor
    """float64 [K, d]."""

    @property
    def mean(self) -> Tensor:
        """[K, d]; 0 for a class that has none."""
        return self.sums / self.counts.clamp(min=1)

    @property
    def variance(self) -> Tensor:
        """[K, d], biased."""
        return (self.squares / self.counts.clamp(min=1) - self.mean.square()).clamp(min=0)

    def overall(self) -> tuple[Tensor, Tensor]:
        """Return the variance over all classes, [d], 1 where a feature is left out; and which count, bool [d]."""
        count = self.counts.sum()
        mean = self.sums.sum(dim=0) / count
        variance = (self.squares.sum(dim=0) / count - mean.square()).clamp(min=0)
        counts = (variance > LEAST * variance.mean()) & (variance > 0)
        return torch.where(counts, variance, 1), counts


def moments(rows: Tensor, labels: Tensor, classes: int) -> Moments:
    """Return those of ``rows`` [N, d] with ``labels`` [N]; products, whose sums have one order on every device."""
    wide = torch.float32 if rows.device.type == "mps" else torch.float64
    of = torch.nn.functional.one_hot(labels, max(classes, 1)).to(wide).T
    rows = rows.detach().to(wide)
    return Moments(of.sum(dim=1, keepdim=True), of @ rows, of @ rows.square())


class Slope(NamedTuple):
    """The loss of a batch, and its gradient along each fake's features f and their squares: a f + b f^2."""

    loss: Tensor
    a: Tensor
    """[K, d]."""
    b: Tensor
    """[K, d]."""


def slope(fakes: Moments, reals: Moments) -> Slope:
    """Return the loss above of the ``fakes`` of a whole batch, and its gradient."""
    n, (spread, differ) = fakes.counts, reals.overall()
    counts = (n > 1) & (reals.counts > 0) & differ
    least = n.clamp(min=2)
    off, wide = fakes.mean - reals.mean, fakes.variance - (least - 1) / least * reals.variance
    of_class = (off.square() - fakes.variance / (least - 1)) / spread + (wide / spread).square()
    loss = (torch.where(counts, n, 0) * of_class).sum() / (n.sum() * of_class.shape[1])
    along_variance = 2 * wide / spread.square() - 1 / ((least - 1) * spread)
    a = 2 * off / spread - 2 * fakes.mean * along_variance
    return Slope(loss, torch.where(counts, a, 0), torch.where(counts, along_variance, 0))


def pretrain_step(
    state: TrainState, latents: Tensor, labels: Tensor, total: int, reals: Moments, features: Features, engine: Engine
) -> Tensor:
    """Update G once; return the loss.

    Moments of the whole batch come first, over micro-batches and ranks; then each micro-batch has the gradient that
    they say, so that the update does not depend on how the batch was divided.
    """
    G, classes = engine.call(state.generator), len(reals.counts)
    with engine.update(state, "generator") as update:
        with torch.no_grad(), still(state.generator):
            found = [moments(features(G(z, y)), y, classes) for z, y in update.micro_batches((latents, labels), total)]
        fakes = Moments(*(torch.stack(parts).sum(dim=0) for parts in zip(*found, strict=True)))
        distributed.sum_in_place(list(fakes))
        loss, a, b = slope(fakes, reals)
        for z, y in update.micro_batches((latents, labels), total):
            rows = features(G(z, y))
            update.backward((a.to(rows.dtype)[y] * rows + b.to(rows.dtype)[y] * rows.square()).mean())
    return loss


def check_pretraining(config: TrainingConfig) -> None:
    """Check that G can be trained by features.

    Raises:
        UserError: features without gradients, weights that are not there, or statistics that are those of whole
            batches.
    """
    if not _gives_gradients(config.pretrain_features):  # without --pretrain too: a name that does not exist is a slip
        able = ", ".join(name for name in EXTRACTORS if _gives_gradients(name))
        raise UserError(f"--pretrain-features {config.pretrain_features}: gives no gradients; choose one of {able}")
    weights = config.pretrain_weights
    if weights is not None and not Path(weights).is_file():
        raise UserError(f"--pretrain-weights {weights}: there is no such file")
    if weights is not None and config.pretrain_features in ("classifier", "random"):
        raise UserError(
            f"--pretrain-weights {weights}: --pretrain-features {config.pretrain_features} are not read from a file; "
            "leave it out, or name the features that it is of"
        )
    if config.pretrain and config.pretrain_features == "classifier" and config.model.classes < 2:
        raise UserError(
            "--pretrain-features classifier: needs two classes or more; use --pretrain-features random for these data"
        )
    if config.pretrain and config.statistics == "exact":
        raise UserError(
            "--pretrain: G is called with micro-batches, and with --statistics exact it sees the whole batch at once; "
            "choose --statistics phase, or leave it out"
        )


def _gives_gradients(name: str) -> bool:
    if name not in EXTRACTORS:
        raise unknown("--pretrain-features", name, EXTRACTORS)
    return bool(getattr(EXTRACTORS[name], "gives_gradients", False))


class Goal(NamedTuple):
    """What G is to come near to."""

    features: Features
    source: ImageSource
    """The reals, as large as fakes."""


def prepared(config: TrainingConfig, newest: Checkpoint | None, device: torch.device) -> Goal | None:
    """Return what G is trained towards, None if it is not, or no more; all processes call this together.

    Raises:
        UserError: weights that cannot be had, or are others.
    """
    over = newest is not None and (newest.images_seen or newest.record.pretrained >= config.pretrain)
    if not config.pretrain or over:
        return None
    data = dataclasses.replace(config.data, random_crop=False)  # with a margin they would be larger than fakes
    source = distributed.together(lambda: open_source(data, config.model.resolution), "opening the data")
    weights = None if config.pretrain_weights is None else Path(config.pretrain_weights)
    options = ExtractorOptions(device=device, data=source, weights=weights, option="--pretrain-weights")
    try:
        extractor = make_extractor(config.pretrain_features, options)
    except NotDownloadedError as error:
        raise UserError(
            f"{error} That is --pretrain-weights FILE here; --pretrain-features classifier needs no weights"
        ) from error
    return Goal(partial(differentiable, extractor), source)


def pretrain(run: Run, agenda: Agenda, goal: Goal | None) -> None:
    """Train G until it has made as many fakes as are asked for; it then begins anew with Adam, and D begins.

    Raises:
        Stopped: a signal arrived; everything is saved.
        NonFiniteError: a loss or gradient was not finite.
    """
    state, images, log = run.state, run.config.pretrain, run.config.log
    if state.images_seen and state.pretrained < images:
        run.tell(f"--pretrain {images}: D has begun at {state.pretrained:,} fakes; what comes before D is over")
    if goal is None:
        return
    features, source, name = goal.features, goal.source, run.config.pretrain_features
    on_cpu = distributed.on_primary(lambda: _of_reals(source, features, run.config.model.classes), "measuring reals")
    reals = Moments(*(part.to(run.device) for part in on_cpu))
    state.train()
    share, adam = run.draws.generator(0), run.config.generator_adam
    scale = 1.0 if adam.reference_batch is None else batch_factor(share.total, adam.reference_batch)
    rates = {} if scale == 1.0 else {"generator": lambda _: scale}
    engine = dataclasses.replace(run.engine, terms={}, rates=rates)
    while state.pretrained < images:
        word = run.request.agree()
        if word:
            agenda.checkpoints.save_again(run)
            raise Stopped(word)
        z, y = (rows.to(run.device) for rows in run.draws.fakes.draw("pretraining", state.pretrained, share))
        loss = pretrain_step(state, z, y, share.total, reals, features, engine)
        before, state.pretrained = state.pretrained, state.pretrained + share.total
        if run.device.type == "cpu" or state.pretrained // log.every > before // log.every:
            engine.guard.check()
        if state.pretrained // log.every > before // log.every:
            run.tell(f"{state.pretrained:,} of {images:,} fakes, G alone by the features '{name}': {float(loss):.4f}")
        if state.pretrained >= images:
            state.begin_after_pretraining()
        if state.pretrained // agenda.checkpoints.step > before // agenda.checkpoints.step:
            agenda.checkpoints.save_again(run)
    engine.guard.check()
    agenda.checkpoints.save_again(run)
    run.tell(f"G has made {state.pretrained:,} fakes; D begins")


def _of_reals(source: ImageSource, features: Features, classes: int) -> Moments:
    """Return the moments of all reals that can be read, on the CPU."""
    found: Moments | None = None
    for first in range(0, len(source), _AT_ONCE):
        read = read_those_that_can_be(source, np.arange(first, min(first + _AT_ONCE, len(source))))
        if len(read.images):
            rows = features(to_float(torch.from_numpy(read.images), torch.float32)).cpu()
            part = moments(rows, torch.from_numpy(source.labels[read.indices]), classes)
            found = part if found is None else Moments(*(one + other for one, other in zip(found, part, strict=True)))
    if found is None:
        raise UserError("--pretrain: no image can be read")
    return found
