"""G alone, before there is a D to learn from: its fakes are to have the reals' features, class by class.

After dos Santos et al. 2019, "Learning implicit generative models by matching perceptual features", arXiv 1904.02762:
mean and variance of each feature, here of each class. With m and v those of the n fakes of class c in a batch, M and V
those of its reals, s^2 the variance of the feature over all reals, the loss is a mean over fakes and features of

    ((m - M)^2 - v / (n - 1)) / s^2 + (v - (n - 1) / n V)^2 / s^4.

v / (n - 1) is what the first square is too large by because m is a mean of n: without it G would learn to paint each
class one image. A class with one fake in a batch teaches nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.data.reading import read_those_that_can_be
from biggan.foundation import distributed
from biggan.foundation.errors import UserError, unknown
from biggan.foundation.images import to_float
from biggan.layers.standing_still import still
from biggan.metrics.features import EXTRACTORS, Extractor, ExtractorOptions, make_extractor
from biggan.training.configuration import TrainingConfig
from biggan.training.engine import Engine
from biggan.training.hooks.agenda import Agenda
from biggan.training.run import Run
from biggan.training.state import TrainState
from biggan.training.stopping import Stopped

Features = Callable[[Tensor], Tensor]
"""Images float [N, C, H, W] in [-1, 1] to rows float [N, d], differentiably."""
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

    def overall(self) -> Tensor:
        """Return the variance over all classes, [d], and at least a millionth."""
        count = self.counts.sum()
        mean = self.sums.sum(dim=0) / count
        return (self.squares.sum(dim=0) / count - mean.square()).clamp(min=1e-6)


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
    n, spread = fakes.counts, reals.overall()
    counts = (n > 1) & (reals.counts > 0)
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
        UserError: features without gradients, or statistics that are those of whole batches.
    """
    if not _gives_gradients(config.pretrain_features):  # without --pretrain too: a name that does not exist is a slip
        able = ", ".join(name for name in EXTRACTORS if _gives_gradients(name))
        raise UserError(f"--pretrain-features {config.pretrain_features}: gives no gradients; choose one of {able}")
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


def pretrain(run: Run, agenda: Agenda, source: ImageSource) -> None:
    """Train G until it has made as many fakes as are asked for; it then begins anew with Adam, and D begins.

    Raises:
        Stopped: a signal arrived; everything is saved.
        NonFiniteError: a loss or gradient was not finite.
    """
    state, images, log = run.state, run.config.pretrain, run.config.log
    if state.images_seen and state.pretrained < images:
        run.tell(f"--pretrain {images}: D has begun at {state.pretrained:,} fakes; what comes before D is over")
    if state.images_seen or state.pretrained >= images:
        return
    engine = dataclasses.replace(run.engine, terms={}, rates={})
    name = run.config.pretrain_features
    extractor = make_extractor(name, ExtractorOptions(device=run.device, data=source))
    features = _as_function(extractor)
    on_cpu = distributed.on_primary(lambda: _of_reals(source, features, run.config.model.classes), "measuring reals")
    reals = Moments(*(part.to(run.device) for part in on_cpu))
    state.train()
    share = run.draws.generator(0)
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


def _as_function(extractor: Extractor) -> Features:
    if extractor.takes_floats:
        return lambda images: extractor(images).rows
    return lambda images: extractor((images.float() + 1) * 127.5).rows


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
