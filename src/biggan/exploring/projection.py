"""The latent of a given picture, by optimisation through the generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.exploring.points import Points
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_float
from biggan.foundation.seeding import normals
from biggan.metrics.features import Extractor, differentiable
from biggan.models.contract import Generator
from biggan.sampling.draw import default_chunk, divided_once, draw
from biggan.sampling.interpolation import embed_on_cpu
from biggan.sampling.sampler import Sampler


@dataclass(frozen=True, kw_only=True)
class ProjectionOptions:
    """How a picture is looked for."""

    steps: int = 300
    """Of Adam, whose rate falls to 0 by a cosine."""
    starts: int = 8
    """Latents that are optimised side by side, the best of the random ones."""
    candidates: int = 512
    """Random latents that are looked at; at least two a class."""
    learning_rate: float = 0.05
    feature_weight: float = 1.0
    """Of the features' part of the loss, where there are features."""
    prior: float = 0.01
    """Weight of the mean square of z, which the prior has at 1: keeps latents where the generator was trained."""
    seed: int = 0
    """Of the candidates. The same seed gives the same result on the same machine."""

    def __post_init__(self) -> None:
        for name, least, most in (("steps", 1, 100_000), ("starts", 1, 1024), ("candidates", 1, 1_000_000)):
            if not least <= getattr(self, name) <= most:
                raise UserError(f"--{name} {getattr(self, name)}: {least} to {most:,}")
        if not 0 < self.learning_rate <= 10:
            raise UserError(f"--learning-rate {self.learning_rate}: more than 0, at most 10; 0.05 is usual")
        for name in ("feature_weight", "prior"):
            if not 0 <= getattr(self, name) <= 1e6:
                raise UserError(f"--{name.replace('_', '-')} {getattr(self, name)}: 0 to 1,000,000")
        if not 0 <= self.seed < 2**63:
            raise UserError(f"--seed {self.seed}: 0 to 2^63 - 1")


@dataclass(frozen=True, kw_only=True, eq=False)
class Loss:
    """What is minimised, and its parts, each float [...]."""

    total: Tensor
    pixels: Tensor
    """Mean square of the difference, images in [-1, 1]."""
    features: Tensor
    """Square of the difference over that of the picture's features; 0 without features."""
    latent: Tensor
    """Mean square of z."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection:
    """A latent whose image is like the picture, and how it was found."""

    picture: Tensor
    """uint8 [C, H, W]: what was looked for."""
    image: Tensor
    """uint8 [C, H, W]: what was found."""
    point: Points
    """Its latent and class, one row."""
    label: int
    """Its class."""
    start: float
    """The smallest loss of all candidates."""
    loss: Loss
    """Of the start that got furthest, float64 [steps + 1] each, as of before each step; the last after all."""
    best: int
    """At which of these it was smallest: the one that was taken."""
    labels: tuple[int, ...]
    """Class of each start."""
    reached: tuple[float, ...]
    """The smallest loss of each start."""
    path: Tensor
    """float [steps + 1, z_size]: latents of the start that got furthest."""


def project(
    sampler: Sampler,
    picture: Tensor,
    options: ProjectionOptions | None = None,
    *,
    classes: Sequence[str | int] = (),
    features: Extractor | None = None,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> Projection:
    """Look for a latent, and a class, whose image is ``picture``.

    Random candidates are judged first; the best become starts, as many classes among them as can be, and are optimised
    side by side with their classes fixed.

    Args:
        sampler: whose generator it is; it is not changed.
        picture: uint8 [C, H, W] of the generator's size.
        options: how.
        classes: names or indices to look among; all where none are named.
        features: whose differences count besides those of pixels; must give gradients.
        progress: called with the number of steps done and of all.

    Raises:
        UserError: a picture of another shape, an unknown class, or features without gradients.
    """
    options = options or ProjectionOptions()
    architecture = sampler.info.architecture
    if picture.dtype != torch.uint8 or tuple(picture.shape) != (architecture.channels, *architecture.resolution):
        raise UserError(f"the picture is {picture.dtype} {list(picture.shape)}; it must be uint8 of the images' shape")
    if features is not None and not getattr(features, "gives_gradients", False):
        raise UserError(f"--features {features.name}: gives no gradients, and the search follows them; use random")
    among = [sampler.class_index(name) for name in classes] or list(range(max(architecture.classes, 1)))
    goal = _Goal(sampler.generator, picture, features, options)
    with divided_once(sampler.generator):
        z, labels, start = _starts(sampler.generator, goal, among, options)
        embedding = embed_on_cpu(sampler.generator, torch.tensor(labels)).to(z)
        path, losses = _descend(goal, z, embedding, options, progress)
        reached = losses.total.min(dim=0).values
        winner = int(reached.argmin())
        best = int(losses.total[:, winner].argmin())
        label, found = labels[winner], path[best, winner]
        point = Points(
            z=found[None].cpu(), embedding=embedding[winner : winner + 1].cpu(), titles=(_title(sampler, label),)
        )
        image = draw(sampler.generator, point.z, point.embedding)[0]
    return Projection(
        picture=picture,
        image=image,
        point=point,
        label=label,
        start=start,
        loss=Loss(**{name: getattr(losses, name)[:, winner] for name in ("total", "pixels", "features", "latent")}),
        best=best,
        labels=tuple(labels),
        reached=tuple(reached.tolist()),
        path=path[:, winner].cpu(),
    )


class _Goal:
    """The loss of latents."""

    def __init__(
        self, generator: Generator, picture: Tensor, features: Extractor | None, options: ProjectionOptions
    ) -> None:
        parameter = next(generator.parameters())
        self.generator, self.features, self.options = generator, features, options
        self.picture = to_float(picture[None].to(parameter.device), parameter.dtype)
        with torch.no_grad():
            self.rows = None if features is None else self._rows(self.picture)

    def _rows(self, images: Tensor) -> Tensor:
        assert self.features is not None
        return differentiable(self.features, images.clamp(-1, 1).float())

    def __call__(self, z: Tensor, embedding: Tensor) -> Loss:
        images = self.generator.synthesize(z, embedding)
        pixels = (images - self.picture).square().mean(dim=(1, 2, 3))
        features = torch.zeros_like(pixels)
        if self.rows is not None:
            scale = self.rows.square().sum().clamp_min(1e-12)
            features = ((self._rows(images) - self.rows).square().sum(dim=1) / scale).to(pixels)
        latent = z.square().mean(dim=1)
        total = pixels + self.options.feature_weight * features + self.options.prior * latent
        return Loss(total=total, pixels=pixels, features=features, latent=latent)


@torch.no_grad()
def _starts(
    generator: Generator, goal: _Goal, among: Sequence[int], options: ProjectionOptions
) -> tuple[Tensor, list[int], float]:
    """Return the latents [starts, z_size] to begin with, their classes, and the smallest loss of all candidates."""
    parameter = next(generator.parameters())
    count = max(options.candidates, 2 * len(among), options.starts)
    drawn = torch.from_numpy(normals(options.seed, "projection", 0, 0, count, generator.architecture.z_size))
    z = drawn.to(parameter.device, parameter.dtype)
    labels = [among[i % len(among)] for i in range(count)]
    size = default_chunk(generator)
    totals = []
    for first in range(0, count, size):
        part = slice(first, first + size)
        embedding = embed_on_cpu(generator, torch.tensor(labels[part])).to(z)
        totals.append(goal(z[part], embedding).total)
    total = torch.cat(totals)
    order = total.argsort(stable=True).tolist()
    most, taken = -(-options.starts // len(set(among))), dict.fromkeys(among, 0)
    chosen: list[int] = []
    for place in order:
        if taken[labels[place]] < most and len(chosen) < options.starts:
            taken[labels[place]] += 1
            chosen.append(place)
    return z[chosen].clone(), [labels[place] for place in chosen], float(total.min())


def _descend(
    goal: _Goal, z: Tensor, embedding: Tensor, options: ProjectionOptions, progress: Callable[[int, int], object]
) -> tuple[Tensor, Loss]:
    """Return the path of all starts [steps + 1, starts, z_size], and losses [steps + 1, starts] on the CPU."""
    z = z.requires_grad_(True)
    adam = torch.optim.Adam([z], lr=options.learning_rate, betas=(0.9, 0.99))
    path, found = [], []
    for step in range(options.steps + 1):
        loss = goal(z, embedding)
        path.append(z.detach().clone())
        found.append(torch.stack([loss.total, loss.pixels, loss.features, loss.latent]).detach().cpu().double())
        if step == options.steps:
            break
        (z.grad,) = torch.autograd.grad(loss.total.sum(), [z])  # rows do not see each other
        for group in adam.param_groups:
            group["lr"] = options.learning_rate * 0.5 * (1 + math.cos(math.pi * step / options.steps))
        adam.step()
        progress(step + 1, options.steps)
    total, pixels, features, latent = torch.stack(found, dim=1)
    return torch.stack(path), Loss(total=total, pixels=pixels, features=features, latent=latent)


def _title(sampler: Sampler, label: int) -> str:
    return f"projected as {sampler.class_names[label]}"[:200] if sampler.class_names else "projected"
