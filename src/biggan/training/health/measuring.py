"""What is measured of a run: networks and images in, numbers out. Nothing is changed, and no random number is drawn.

Letters: N images, K classes. Where a number is a ratio it is one to the real images, so that it means the same for all
data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biggan.augmentation.moving import finest_precision
from biggan.foundation.devices import read_together
from biggan.layers.heads import Verdict
from biggan.layers.held_weights import held_weights
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.losses.adversarial import AdversarialLoss
from biggan.models.contract import Discriminator, Generator
from biggan.training.health.features import random_features

SATURATED = 0.98
"""Beyond this a pixel is at the end of the range, which is -1 ... 1."""
_POWER_ITERATIONS = 8


class Labelled(NamedTuple):
    """Images of known classes."""

    images: Tensor
    """float [N, C, H, W] in [-1, 1]."""
    labels: Tensor
    """int64 [N]."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is looked at."""

    generator: Generator
    average: Generator | None
    discriminator: Discriminator
    loss: AdversarialLoss
    reals: Labelled
    """Of the images that are trained on."""
    held: Labelled | None
    """Of those that are not."""
    latents: Tensor
    """float [N, z_size]: one for each real."""
    wrong: Tensor
    """int64 [N]: for each real another label than its own; its own where there is one class."""
    grid: tuple[Tensor, Tensor]
    """Latents [M, z_size] and labels int64 [K'] of which all pairs are made."""
    chunk: int = 64
    """Images at a time."""


@contextlib.contextmanager
def at_rest(*networks: nn.Module | None) -> Iterator[None]:
    """Put networks into evaluation mode for a while; each part gets the mode back that it had."""
    modes = [(part, part.training) for network in networks if network is not None for part in network.modules()]
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@torch.no_grad()
def measure(subject: Subject) -> dict[str, float]:
    """Return what can be measured by name; what is unknown (no held-out images, no classes) is absent.

    The keys are described in :data:`NUMBERS`. Networks and random numbers are as they were.
    """
    reals, held = subject.reals, subject.held
    networks = [subject.generator, subject.discriminator, *([] if subject.average is None else [subject.average])]
    with at_rest(*networks), held_weights(networks):  # each weight is divided once, not in each of many passes
        fakes = _generated(subject, subject.generator, subject.latents, reals.labels)
        shown = (
            fakes if subject.average is None else _generated(subject, subject.average, subject.latents, reals.labels)
        )
        of_reals, of_fakes = _judged(subject, reals), _judged(subject, Labelled(fakes, reals.labels))
        found = _of_scores(of_reals, of_fakes, None if held is None else _judged(subject, held))
        if len(subject.grid[1]) > 1:
            found |= _of_labels(subject, of_reals, of_fakes)
        found |= _of_diversity(subject, fakes, shown)
        found["feature_diversity"] = _ratio(
            _within(of_fakes.features, reals.labels), _within(of_reals.features, reals.labels)
        )
        found |= _of_grid(subject)
        found |= {"saturation": _saturated(fakes), "saturation_real": _saturated(reals.images)}
        found |= _of_average(subject.generator, subject.average)
        found |= {"G_sigma": largest_sigma(subject.generator), "D_sigma": largest_sigma(subject.discriminator)}
    return _read(found)


def _generated(subject: Subject, network: Generator, z: Tensor, labels: Tensor) -> Tensor:
    rows = zip(torch.split(z, subject.chunk), torch.split(labels, subject.chunk), strict=True)
    return torch.cat([network(*those).float() for those in rows])


def _judged(subject: Subject, images: Labelled) -> Verdict:
    rows = zip(*(torch.split(part, subject.chunk) for part in images), strict=True)
    parts = [subject.discriminator.judge(*those) for those in rows]
    further = {name: torch.cat([part.outputs[name] for part in parts]) for name in parts[0].outputs}
    score, features, labels = (torch.cat(part) for part in zip(*(part[:3] for part in parts), strict=True))
    return Verdict(score, features, labels, further)


def _of_scores(reals: Verdict, fakes: Verdict, held: Verdict | None) -> dict[str, Tensor]:
    real, fake = _fine(reals.score.flatten()), _fine(fakes.score.flatten())
    right_of_reals, right_of_fakes = _fine(real > 0).mean(), _fine(fake < 0).mean()
    found = {
        "score_real": real.mean(),
        "score_fake": fake.mean(),
        "gap": real.mean() - fake.mean(),
        "accuracy": (right_of_reals + right_of_fakes) / 2,
        "accuracy_real": right_of_reals,
        "accuracy_fake": right_of_fakes,
        "separation": above(real, fake),
    }
    if held is not None:
        other = _fine(held.score.flatten())
        found |= {"score_held": other.mean(), "separation_held": above(other, fake), "memory": above(real, other)}
    return found


def above(one: Tensor, other: Tensor) -> Tensor:
    """Return how often a number of ``one`` [n] is above one of ``other`` [m], ties half: the area under the ROC curve.

    1/2 where they cannot be told apart. It depends on the order of scores alone, and so on no loss and no scale.
    """
    pairs = one[:, None] - other[None]
    return _fine(pairs > 0).mean() + _fine(pairs == 0).mean() / 2


def _of_labels(subject: Subject, reals: Verdict, fakes: Verdict) -> dict[str, Tensor]:
    """Whether D uses labels: what it says of the same images under others. Of held-out ones, where there are any."""
    images = subject.reals if subject.held is None else subject.held
    wrong = subject.wrong if subject.held is None else _other_labels(images.labels, subject.grid[1])
    true = reals if subject.held is None else _judged(subject, images)
    lied = _judged(subject, Labelled(images.images, wrong))
    below = true.score.flatten() - lied.score.flatten()
    use = _fine(below > 0).mean() + _fine(below == 0).mean() / 2
    # A head whose score knows no labels says nothing of whether D uses them.
    found = {"label_use": torch.where((below == 0).all(), torch.full_like(use, torch.nan), use)}
    pairs = torch.arange(min(len(true.score), len(fakes.score)), device=fakes.score.device)  # which a loss may compare
    losses = [torch.stack(subject.loss.discriminator(fakes.of(pairs), those.of(pairs))).sum() for those in (lied, true)]
    return found | {"shuffled_label_loss": losses[0] - losses[1]}


def _other_labels(labels: Tensor, classes: Tensor) -> Tensor:
    """Return for each label the next of the ``classes`` that is another."""
    places = _fine(classes[None] == labels[:, None]).argmax(dim=1)
    return classes[(places + 1) % len(classes)]


def _of_diversity(subject: Subject, fakes: Tensor, shown: Tensor) -> dict[str, Tensor]:
    """How much images of a class differ from each other, and how far fakes are from reals, in random features."""
    labels = subject.reals.labels
    real = _fine(random_features(subject.reals.images))
    spread = real.var(dim=0).sum()
    found = {"within_real": _ratio(_within(real, labels), spread)}
    for ending, images in (("", shown), ("_raw", fakes)):
        rows = _fine(random_features(images))
        found[f"diversity{ending}"] = _ratio(_within(rows, labels), _within(real, labels))
        apart = (rows.mean(dim=0) - real.mean(dim=0)).square().sum()
        apart = apart + (rows.std(dim=0) - real.std(dim=0)).square().sum()
        found[f"distance{ending}"] = _ratio(apart, spread)
    return found


def _within(rows: Tensor, labels: Tensor) -> Tensor:
    """Return the variance of ``rows`` [N, d] within classes, summed over columns; NaN where no class has two images."""
    rows = _fine(rows)
    classes, places = torch.unique(labels, return_inverse=True)
    counts = _fine(torch.bincount(places, minlength=len(classes)))
    sums = torch.zeros(len(classes), rows.shape[1], dtype=rows.dtype, device=rows.device).index_add_(0, places, rows)
    rest = rows - (sums / counts[:, None])[places]
    return rest.square().sum() / (len(rows) - len(classes))  # 0 / 0 where there are no pairs


def _of_grid(subject: Subject) -> dict[str, Tensor]:
    """How much images of one class differ over z, and images of one z over classes, relative to the reals' spread."""
    z, labels = subject.grid
    network = subject.average or subject.generator
    images = _generated(subject, network, z.repeat_interleave(len(labels), dim=0), labels.repeat(len(z)))
    rows = _fine(random_features(images)).view(len(z), len(labels), -1)
    spread = _fine(random_features(subject.reals.images)).var(dim=0).sum()
    found = {"z_use": _ratio(rows.var(dim=0).sum(dim=1).mean(), spread)}
    if len(labels) > 1:
        found["class_use"] = _ratio(rows.var(dim=1).sum(dim=1).mean(), spread)
    return found


def _saturated(images: Tensor) -> Tensor:
    return _fine(images.abs() > SATURATED).mean()


def _of_average(generator: Generator, average: Generator | None) -> dict[str, Tensor]:
    """How far the average is from G, and a number that changes with either, by which one sees whether it moves."""
    if average is None:
        return {}
    pairs = [(_fine(a), _fine(g)) for a, g in zip(average.parameters(), generator.parameters(), strict=True)]
    apart = torch.stack([(a - g).square().sum() for a, g in pairs]).sum()
    length = torch.stack([g.square().sum() for _, g in pairs]).sum()
    trace_of_average, trace = (torch.stack([_trace(pair[i]) for pair in pairs]).sum() for i in (0, 1))
    return {"average_distance": _ratio(apart, length).sqrt(), "average_trace": trace_of_average, "G_trace": trace}


def _trace(values: Tensor) -> Tensor:
    """Return the sum of ``values`` with weights that differ, so that two changes do not cancel out."""
    flat = values.flatten()
    return (flat * torch.linspace(1.0, 2.0, len(flat), dtype=flat.dtype, device=flat.device)).sum()


def largest_sigma(network: nn.Module) -> Tensor:
    """Return the largest singular value of all weights that spectral norm divides; of others, where it divides none."""
    layers = spectrally_normalized(network)
    if layers:
        return torch.stack([_fine(layer.sigma[0]) for layer in layers.values()]).max()
    weights = [_fine(p.flatten(1)) for p in network.parameters() if p.ndim > 1]
    return torch.stack([_sigma(W) for W in weights]).max()


def _sigma(W: Tensor) -> Tensor:
    """Return the largest singular value of ``W`` [n, m], by power iterations from rows of ones."""
    u = torch.ones(1, W.shape[0], dtype=W.dtype, device=W.device)
    for _ in range(_POWER_ITERATIONS):
        v = nn.functional.normalize(u @ W)
        u = nn.functional.normalize(v @ W.T)
    return torch.squeeze(u @ W @ v.T)


def _ratio(one: Tensor, other: Tensor) -> Tensor:
    """Return ``one`` / ``other``, NaN (which is left out) where there is nothing to compare with."""
    return torch.where(other > 1e-12, one / other, torch.full_like(one, torch.nan))


def _read(found: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the numbers, read in one copy; without those that are not finite."""
    values = read_together([_fine(value.detach()).reshape(1) for value in found.values()])
    inf = float("inf")
    return {name: value[0] for name, value in zip(found, values, strict=True) if -inf < value[0] < inf}


def _fine(values: Tensor) -> Tensor:
    """Return ``values`` in the finest precision of their device, so that sums of them do not round."""
    return values.to(finest_precision(values.device))
