"""Images by index, real or generated: what an evaluation reads. Image i is the same whatever is read beside it."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import EvaluationConfig
from biggan.foundation import distributed
from biggan.foundation.images import to_bytes, to_float
from biggan.foundation.seeding import uniforms
from biggan.layers.normalization import batch_norms
from biggan.metrics.classifier import shrink
from biggan.metrics.collected import LOGITS, MOMENTS, ROWS, THUMBNAILS, Collected, Collector
from biggan.metrics.features import Extractor
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents
from biggan.sampling.sampler import Sampler, load
from biggan.sampling.standing import write_with_standing_statistics

Progress = Callable[[int, int], object]


class ImageStream(Protocol):
    """Images 0 .. count."""

    count: int
    labels: Tensor
    """int64 [count]."""

    def images(self, indices: Tensor) -> Tensor:
        """Return images uint8 [B, C, H, W]."""

    def floats(self, indices: Tensor) -> Tensor:
        """Return images float [B, C, H, W] in [-1, 1], for pipelines that never round."""


class RealStream:
    """Images of a source."""

    def __init__(self, source: ImageSource) -> None:
        self.source, self.count = source, len(source)
        self.labels = torch.from_numpy(source.labels)

    def images(self, indices: Tensor) -> Tensor:
        """Return images uint8 [B, C, H, W]."""
        return torch.from_numpy(self.source.read_many(indices.numpy()))

    def floats(self, indices: Tensor) -> Tensor:
        """Return images float [B, C, H, W] in [-1, 1]."""
        return to_float(self.images(indices))


class GeneratedStream:
    """Images of a generator; labels are drawn as often as the real images have them."""

    def __init__(self, generator: Generator, config: EvaluationConfig, class_frequencies: np.ndarray | None) -> None:
        """Prepare.

        Args:
            generator: in the mode in which it is evaluated.
            config: count, seeds, truncation.
            class_frequencies: how often each class is drawn, [K]; None draws all alike.
        """
        self.generator, self.config, self.count = generator, config, config.count
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
        return draw(self.generator, self._latents(indices), self.labels[indices])

    def floats(self, indices: Tensor) -> Tensor:
        """Return images float [B, C, H, W] in [-1, 1], drawn as one batch."""
        parameter = next(self.generator.parameters())
        with torch.no_grad():
            z, labels = self._latents(indices), self.labels[indices]
            made: Tensor = self.generator(z.to(parameter.device, parameter.dtype), labels.to(parameter.device))
        return made

    def _latents(self, indices: Tensor) -> Tensor:
        config = self.config
        seeds = [config.seed + int(index) for index in indices]
        return latents(seeds, self.generator.architecture.z_size, config.truncation, config.truncation_kind)


def evaluated_generator(sampler: Sampler, config: EvaluationConfig) -> Generator:
    """Return the generator in the mode asked for; the sampler's own is never changed.

    Raises:
        UserError: standing statistics of a generator without batch norm.
    """
    if config.mode == "running":
        return sampler.at_truncation(config.truncation, config.truncation_kind)
    if config.mode == "batch":
        generator = copy.deepcopy(sampler.generator)
        for norm in batch_norms(generator).values():
            norm.train()
        return generator
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standing.safetensors"
        write_with_standing_statistics(
            sampler,
            path,
            batches=config.standing_batches,
            truncation=config.truncation,
            kind=config.truncation_kind,
        )
        device = next(sampler.generator.parameters()).device
        return load(path, device.type).generator


def collect(
    stream: ImageStream,
    extractor: Extractor | None,
    needs: frozenset[str],
    *,
    batch: int,
    keep: Tensor | None = None,
    progress: Progress = lambda *_: None,
) -> Collected:
    """Run a stream through an extractor; ranks share the batches, and all get the same result.

    Args:
        stream: the images.
        extractor: of features; None if only thumbnails are needed.
        needs: what to keep, see ``metrics/collected.py``.
        batch: images at a time.
        keep: bool [count]: of which images rows are kept; all by default.
        progress: called with the number of images done and of all.
    """
    collector = Collector(needs)
    rank, ranks = distributed.rank(), distributed.world_size()
    features_needed = bool(needs & {MOMENTS, ROWS, LOGITS})
    for number, start in enumerate(range(0, stream.count, batch)):
        if number % ranks != rank:
            continue
        indices = torch.arange(start, min(start + batch, stream.count))
        features = None
        if extractor is not None and features_needed:
            features = extractor((stream.floats if extractor.takes_floats else stream.images)(indices))
        collector.add(
            indices,
            stream.labels[indices],
            features,
            to_bytes(shrink(stream.images(indices))) if THUMBNAILS in needs else None,
            torch.ones(len(indices), dtype=torch.bool) if keep is None else keep[indices],
        )
        progress(min(int(indices[-1]) + 1, stream.count), stream.count)
    return collector.finish()
