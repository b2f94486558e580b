"""Better latents by D's judgement: what is common to all ways of refining, and the registry of them.

The image of a seed stays a function of the seed, its class, the truncation, the weights and how it is refined, to float
noise: whatever a way draws by chance belongs to the seed.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor

from biggan.foundation.errors import UserError, unknown
from biggan.foundation.registry import Registry
from biggan.models.contract import Discriminator, Generator
from biggan.sampling.draw import default_chunk, divided_once
from biggan.sampling.latents import latents
from biggan.sampling.log_ratio import LogRatio, fit_log_ratio

FIRST_SEED = 2**41
"""Seeds of the fakes by which D is calibrated; far from those by which people sample."""
FAKE_BATCH = 64
"""Images at a time by which D is calibrated, whatever is drawn later: so the result does not depend on that."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Critic:
    """G and D in evaluation mode, on one device, and from which latents images are drawn."""

    generator: Generator
    discriminator: Discriminator
    truncation: float | None = None
    kind: str = "resample"
    ratio: LogRatio | None = None
    """What turns scores into log ratios; None for scores as they are."""

    def latents(self, seeds: Sequence[int], candidate: int = 0) -> Tensor:
        """Return z float32 [N, z_size] on the CPU; candidate 0 of a seed is what the seed means unrefined."""
        return latents(seeds, self.generator.architecture.z_size, self.truncation, self.kind, candidate)

    def __call__(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return the log ratios float [N] of the images of z float [N, z_size] and labels int64 [N], differentiable."""
        parameter = next(self.generator.parameters())
        z, labels = z.to(parameter.device, parameter.dtype), labels.to(parameter.device)
        scores = self.discriminator(self.generator(z, labels), labels).flatten()
        return scores if self.ratio is None else self.ratio(scores)

    @torch.no_grad()
    def of_fakes(self, labels: Tensor, first: int) -> Tensor:
        """Return the log ratios float64 [N] of fresh fakes with labels int64 [N], on the CPU.

        Args:
            labels: of the fakes.
            first: which of the fresh ones, counted from 0, is the first.
        """
        found = []
        with divided_once(self.generator), divided_once(self.discriminator):
            for start in range(0, len(labels), FAKE_BATCH):
                part = labels[start : start + FAKE_BATCH]
                seeds = range(FIRST_SEED + first + start, FIRST_SEED + first + start + len(part))
                found.append(self(self.latents(seeds), part).double().cpu())
        return torch.cat(found)


@dataclass(frozen=True, kw_only=True)
class Refinement(ABC):
    """A way of refining; its options are the fields of a frozen dataclass."""

    paper: ClassVar[str] = ""
    """Where it is from."""

    def check(self, name: str, truncation: float | None, kind: str) -> None:  # noqa: B027 - most have nothing to check
        """Check the options of the way that is called ``name``, and whether it can do with a truncation.

        Raises:
            UserError: a value that cannot be.
        """

    def fitted(self, critic: Critic, labels: Tensor) -> dict[str, float]:  # noqa: ARG002
        """Return what has to be known before anything is drawn; the same for every image, and on every process.

        Args:
            critic: calibrated.
            labels: int64 [N], classes of real images in the order in which fakes are to have them.
        """
        return {}

    @abstractmethod
    def refined(
        self, critic: Critic, known: dict[str, float], seeds: Sequence[int], labels: Tensor
    ) -> tuple[Tensor, dict[str, int]]:
        """Return latents float32 [N, z_size] on the CPU, and counts of what is to be told.

        Args:
            critic: calibrated.
            known: what :meth:`fitted` has returned.
            seeds: one an image.
            labels: int64 [N].
        """

    def told(self, counts: Counter[str]) -> str:  # noqa: ARG002
        """Return a sentence without its stop about the counts of all images; empty if there is nothing to say."""
        return ""


REFINEMENTS: Registry[type[Refinement]] = Registry(
    "refinement",
    {
        "ddls": "biggan.sampling.langevin:Langevin",
        "drs": "biggan.sampling.rejection:Rejection",
    },
)


class Refiner:
    """A way of refining, with all that was fitted: what samplers and evaluations ask for latents."""

    def __init__(self, name: str, refinement: Refinement, critic: Critic, known: dict[str, float]) -> None:
        self.name, self.refinement, self.critic, self.known = name, refinement, critic, known
        self.counts: Counter[str] = Counter()
        """What is to be told of the images so far, on this process."""

    @property
    def way(self) -> str:
        """The way and all its options, as :func:`parse_refinement` reads them."""
        return described(self.name, self.refinement)

    @property
    def fit(self) -> str:
        """What was fitted: ``slope=3.4 bias=0.1``, and what the way itself asked for."""
        ratio = self.critic.ratio
        found = {} if ratio is None else {"slope": ratio.slope, "bias": ratio.bias}
        return " ".join(f"{name}={value:.9g}" for name, value in {**found, **self.known}.items())

    @property
    def record(self) -> str:
        """What is written beside images: both."""
        return f"{self.way} {self.fit}"

    def at(self, truncation: float | None, kind: str) -> Refiner:
        """Return this, if it was made for a truncation.

        Raises:
            ValueError: it was made for another one, whose images are others.
        """
        own = self.critic.truncation
        if own != truncation or (own is not None and self.critic.kind != kind):
            raise ValueError(f"made to refine at truncation {own} ({self.critic.kind}), not at {truncation} ({kind})")
        return self

    def latents(self, seeds: Sequence[int], labels: Tensor, chunk: int | None = None) -> Tensor:
        """Return latents float32 [N, z_size] on the CPU for seeds and labels int64 [N].

        Args:
            seeds: one an image.
            labels: one an image.
            chunk: images at a time; halved for the rest of the call when a GPU runs out of memory.
        """
        size, done, found = chunk or default_chunk(self.critic.generator), 0, []
        with divided_once(self.critic.generator), divided_once(self.critic.discriminator):
            while done < len(seeds):
                part = seeds[done : done + size]
                try:
                    z, counts = self.refinement.refined(self.critic, self.known, part, labels[done : done + size])
                except torch.OutOfMemoryError:
                    if size == 1:
                        raise
                    size = max(1, size // 2)
                    continue
                self.counts.update(counts)
                found.append(z)
                done += size
        return torch.cat(found) if found else self.critic.latents([])


def parse_refinement(word: str) -> tuple[str, Refinement]:
    """Return the name and the way that a word like ``ddls,steps=100`` means.

    Raises:
        UserError: an unknown name or option, or a value that is no number.
    """
    name, *options = word.split(",")
    kind = REFINEMENTS[name]
    known = {each.name: each for each in fields(kind)}
    values: dict[str, int | float] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise UserError(f"--refine {word}: write {name},OPTION=VALUE; '{option}' has no value")
        if key not in known:
            raise unknown(f"option of --refine {name}", key, known)
        whole = known[key].type in ("int", int)
        try:
            values[key] = int(value) if whole else float(value)
        except ValueError:
            kinds = "a whole number" if whole else "a number"
            raise UserError(f"--refine {name},{key}={value}: must be {kinds}") from None
    return name, kind(**values)


def described(name: str, refinement: Refinement) -> str:
    """Return the word that means ``refinement``, with all of its options."""
    return ",".join([name, *(f"{each.name}={getattr(refinement, each.name):g}" for each in fields(refinement))])


def calibrated(word: str, critic: Critic, reals: Iterable[tuple[Tensor, Tensor]]) -> tuple[LogRatio, dict[str, float]]:
    """Calibrate D's score, and fit what the way of refining needs; return both.

    Args:
        word: the way, as :func:`parse_refinement` takes it.
        critic: not calibrated.
        reals: real images float [N, C, H, W] in [-1, 1] and their labels int64 [N], some at a time. As many fakes of
            the same labels are drawn.

    Raises:
        UserError: the way does not go with the truncation, there are no images, or scores are not finite.
    """
    name, refinement = parse_refinement(word)
    refinement.check(name, critic.truncation, critic.kind)
    parameter = next(critic.discriminator.parameters())
    scores, labels = [], []
    with torch.no_grad(), divided_once(critic.discriminator):
        for images, of_images in reals:
            images, there = images.to(parameter.device, parameter.dtype), of_images.to(parameter.device)
            scores.append(critic.discriminator(images, there).flatten().cpu())
            labels.append(of_images)
    if not scores:
        raise UserError("--refine: there are no real images by which D's score could be calibrated")
    every = torch.cat(labels)
    ratio = fit_log_ratio(torch.cat(scores), critic.of_fakes(every, 0))
    return ratio, refinement.fitted(dataclasses.replace(critic, ratio=ratio), every)
