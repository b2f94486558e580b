"""Images by index, real or generated: what an evaluation reads. Image i is the same whatever is read beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.data.reading import read_those_that_can_be
from biggan.evaluation.configuration import EvaluationConfig
from biggan.foundation.compiling import Compiler
from biggan.foundation.images import to_bytes, to_float
from biggan.foundation.seeding import uniforms
from biggan.models.contract import Generator
from biggan.sampling.draw import Call, default_chunk, draw, filled
from biggan.sampling.latents import latents
from biggan.sampling.refinement import Refiner

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Images:
    """Some images of a stream."""

    pixels: Tensor
    """uint8 [B, C, H, W], or float in [-1, 1] where that was asked for."""
    indices: Tensor
    """int64 [B], those that could be read."""
    problems: tuple[str, ...] = ()
    """What was wrong with the others."""


class ImageStream(Protocol):
    """Images 0 .. count."""

    count: int
    labels: Tensor
    """int64 [count]."""

    def images(self, indices: Tensor) -> Tensor:
        """Return images uint8 [B, C, H, W].

        Raises:
            UnreadableImageError: one of them cannot be read.
        """

    def read(self, indices: Tensor, *, floats: bool) -> Images:
        """Return those images that can be read, as bytes or (for pipelines that never round) as floats."""


class RealStream:
    """Images of a source."""

    def __init__(self, source: ImageSource) -> None:
        self.source, self.count = source, len(source)
        self.labels = torch.from_numpy(source.labels)

    def images(self, indices: Tensor) -> Tensor:
        """Return images uint8 [B, C, H, W].

        Raises:
            UnreadableImageError: one of them cannot be read.
        """
        return torch.from_numpy(self.source.read_many(indices.numpy()))

    def read(self, indices: Tensor, *, floats: bool) -> Images:
        """Return those images that can be read."""
        found = read_those_that_can_be(self.source, indices.numpy())
        pixels = torch.from_numpy(found.images)
        return Images(to_float(pixels) if floats else pixels, torch.from_numpy(found.indices), found.problems)


class GeneratedStream:
    """Images of a generator; labels are drawn as often as the real images have them."""

    def __init__(
        self,
        generator: Generator,
        config: EvaluationConfig,
        class_frequencies: np.ndarray | None,
        compiler: Compiler | None = None,
        refiner: Refiner | None = None,
    ) -> None:
        """Prepare.

        Args:
            generator: in the mode in which it is evaluated.
            config: count, seeds, truncation.
            class_frequencies: how often each class is drawn, [K]; None draws all alike.
            compiler: compiles the generator; None to run it as it is written.
            refiner: chooses latents by D's judgement; None to draw those of the seeds.
        """
        self.compiled = None if compiler is None else compiler(generator)
        self.generator, self.config, self.count = generator, config, config.count
        self.refiner = refiner
        classes = max(generator.architecture.classes, 1)
        weights = np.ones(classes) if class_frequencies is None else np.asarray(class_frequencies, dtype=np.float64)
        edges = np.cumsum(weights) / weights.sum()
        chance = uniforms(0, "evaluation label", 0, config.seed, config.count, 1)[:, 0]
        drawn = np.minimum(np.searchsorted(edges, chance, side="right"), classes - 1)
        self.labels = torch.from_numpy(drawn.astype(np.int64))

    def images(self, indices: Tensor) -> Tensor:
        """Return images uint8 [B, C, H, W]."""
        if self.config.mode == "batch":
            return to_bytes(self.floats(indices)).cpu()
        z, labels = self._latents(indices), self.labels[indices]
        chunk = None if self.compiled is None else min(self.config.batch, default_chunk(self.generator))
        return draw(self.generator, z, labels, chunk, self.compiled)

    def floats(self, indices: Tensor) -> Tensor:
        """Return images float [B, C, H, W] in [-1, 1], drawn as one batch."""
        parameter = next(self.generator.parameters())
        with torch.no_grad():
            z, labels = self._latents(indices), self.labels[indices]
            return self._call(z.to(parameter.device, parameter.dtype), labels.to(parameter.device))

    def read(self, indices: Tensor, *, floats: bool) -> Images:
        """Return images; every one can be made."""
        return Images(self.floats(indices) if floats else self.images(indices), indices)

    @property
    def _call(self) -> Call:
        """What draws one batch; only where images depend on their neighbours has a smaller one a graph of its own."""
        if self.compiled is None:
            return self.generator
        return self.compiled if self.config.mode == "batch" else filled(self.compiled, self.config.batch)

    def _latents(self, indices: Tensor) -> Tensor:
        config = self.config
        seeds = [config.seed + int(index) for index in indices]
        if self.refiner is not None:
            return self.refiner.at(config.truncation, config.truncation_kind).latents(seeds, self.labels[indices])
        return latents(seeds, self.generator.architecture.z_size, config.truncation, config.truncation_kind)
