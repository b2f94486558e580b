"""What turns images into feature rows, and how one is chosen by name: the contract of all extractors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from biggan.foundation.distributed import on_primary, together
from biggan.foundation.registry import Registry


class Features(NamedTuple):
    """What an extractor makes of a batch."""

    rows: Tensor
    """float32 [B, d]."""
    logits: Tensor | None
    """float32 [B, K], where the extractor classifies."""


class LabelledImages(Protocol):
    """A set of images that an extractor may be fitted to, as every source of data is one."""

    class_names: tuple[str, ...]

    def __len__(self) -> int: ...

    def key(self) -> str:
        """Return a hash of the content."""


@dataclass(frozen=True, kw_only=True)
class ExtractorOptions:
    """What an extractor may ask for."""

    weights: Path | None = None
    """A weights file, for machines without a network."""
    option: str = "--features.weights"
    """That names it, for messages."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: LabelledImages | None = None
    """The real images, for extractors that are fitted to them."""
    fitted: Any = None
    """What the first process has fitted to them, for all; see :func:`make_extractor`."""


class Extractor(Protocol):
    """Images to features; deterministic, never trained further.

    Attributes:
        name: as in the registry.
        key: hash of everything that decides its output: weights, resize, precision.
        protocol: the part of a number's protocol that it decides.
        weights_hash: of the weights, or how they came about.
        takes_floats: whether it wants images as they leave the generator, float in [-1, 1], not rounded to bytes.
        classifies: whether it gives logits.
        gives_gradients: whether gradients flow from its rows into images that are given as floats, unrounded, in
            [0, 255] where it otherwise takes bytes (:func:`differentiable`); absent where they do not.
    """

    name: str
    key: str
    protocol: str
    weights_hash: str
    takes_floats: bool
    classifies: bool

    def __call__(self, images: Tensor) -> Features:
        """Return features of images uint8 [B, C, H, W]; gray ones are taken as three equal channels.

        Raises:
            UserError: a number of channels that has no meaning to it.
        """


EXTRACTORS: Registry[type[Extractor]] = Registry(
    "--features",
    {
        "inception": "biggan.metrics.fidelity_extractors:Inception",
        "dinov2": "biggan.metrics.fidelity_extractors:DinoV2",
        "clip": "biggan.metrics.fidelity_extractors:Clip",
        "vgg16": "biggan.metrics.fidelity_extractors:Vgg16",
        "classifier": "biggan.metrics.classifier:ClassifierFeatures",
        "random": "biggan.metrics.random_features:RandomFeatures",
        "inception-torchvision": "biggan.metrics.torchvision_inception:TorchvisionInception",
        "inception-pillow-bicubic": "biggan.metrics.fidelity_extractors:InceptionPillowBicubic",
    },
)
"""Each is built as ``EXTRACTORS[name](options)``."""


def differentiable(extractor: Extractor, images: Tensor) -> Tensor:
    """Return the rows of images float [B, C, H, W] in [-1, 1], as they leave a generator, with their gradients.

    Of an extractor that gives some; bytes would be these values rounded, and have none.
    """
    return extractor(images if extractor.takes_floats else (images.float() + 1) * 127.5).rows


def make_extractor(name: str, options: ExtractorOptions) -> Extractor:
    """Return an extractor by its name, on every process the same.

    What is fitted to the data (``fit``, where an extractor has such a function) is fitted by the first process, or
    taken from its cache, and sent to the others: two caches, or two fits, need not be equal.

    Raises:
        UserError: unknown, or its weights cannot be had, on whichever process.
    """
    kind: Any = EXTRACTORS[name]
    if hasattr(kind, "fit"):
        fitted = on_primary(lambda: kind.fit(options), f"fitting the features '{name}'")
        options = dataclasses.replace(options, fitted=fitted)
    extractor: Extractor = together(lambda: kind(options), f"making the features '{name}'")
    return extractor
