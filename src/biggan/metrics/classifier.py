"""A small classifier of the data set's own classes: features and accuracies that need no downloaded weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biggan.data.contract import UnreadableImageError
from biggan.data.reading import read_those_that_can_be
from biggan.foundation.caching import keep_in_cache
from biggan.foundation.downloads import cache_folder
from biggan.foundation.errors import UserError
from biggan.foundation.limits import Ge, Le
from biggan.foundation.records import parse_record
from biggan.foundation.seeding import derive_seed, permutation
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.metrics.features import ExtractorOptions, Features

VERSION = 1
"""Changes when a classifier of the same data would come out otherwise."""
LARGEST_SIDE = 32
_WIDTHS = (32, 64, 128)
_BATCH = 64
_EPOCHS, _FEWEST_STEPS, _MOST_STEPS = 30, 300, 3000
_MOST_IMAGES = 50_000
_HELD_OUT = 10
"""One image in this many measures the accuracy."""


class SmallClassifier(nn.Module):
    """Three pairs of convolutions: 128 features, K logits."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in _WIDTHS:
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.body = nn.Sequential(*layers[:-1], nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [B, 128] and logits [B, K] of images float [B, C, H, W] in [-1, 1]."""
        rows = self.body(x)
        return rows, self.head(rows)


def shrink(images: Tensor) -> Tensor:
    """Return images uint8 [B, C, H, W] as float in [-1, 1], sides at most :data:`LARGEST_SIDE`."""
    x = images.float() / 127.5 - 1.0
    height, width = x.shape[2:]
    scale = max(height, width) / LARGEST_SIDE
    if scale <= 1:
        return x
    size = (max(round(height / scale), 8), max(round(width / scale), 8))
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)


def train_classifier(images: Tensor, labels: Tensor, classes: int, seed: int = 0) -> SmallClassifier:
    """Return a classifier fitted on the CPU; the same data give the same one on the same machine.

    Args:
        images: float [N, C, H, W] in [-1, 1].
        labels: int64 [N].
        classes: K.
        seed: of weights and order.
    """
    count = len(images)
    steps = min(max(_EPOCHS * count // _BATCH, _FEWEST_STEPS), _MOST_STEPS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "classifier"))
        network = SmallClassifier(images.shape[1], classes).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
    for step in range(steps):
        while len(order) < _BATCH:
            order = np.concatenate([order, permutation(seed, "classifier order", step, count)])
        chosen, order = torch.from_numpy(order[:_BATCH]), order[_BATCH:]
        _, logits = network(images[chosen])
        loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(network: SmallClassifier, images: Tensor, labels: Tensor) -> float:
    """Return the share of images float [N, C, H, W] that are recognised as their label."""
    right = 0
    for start in range(0, len(images), 512):
        part = slice(start, start + 512)
        right += int((network(images[part])[1].argmax(1) == labels[part]).sum())
    return right / max(len(images), 1)


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What its file in the cache says."""

    accuracy: Annotated[float, Ge(0), Le(1)]
    version: Literal[1]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A classifier that was fitted to a data set."""

    weights: dict[str, Tensor]
    accuracy: float
    """Share of images kept apart that it recognises."""
    key: str
    """Of the data that it was fitted to."""


class ClassifierFeatures:
    """Features of the small classifier of the real images' own labels, cached under the key of the data."""

    name = "classifier"
    takes_floats = False
    classifies = True
    gives_gradients = True

    def __init__(self, options: ExtractorOptions) -> None:
        data: Any = options.data
        fitted: Fitted = options.fitted or self.fit(options)
        network = SmallClassifier(data.channels, len(data.class_names))
        network.load_state_dict(fitted.weights)
        self.network = network.eval().requires_grad_(False).to(options.device)
        self.device, self.channels = options.device, data.channels
        self.accuracy = fitted.accuracy
        self.weights_hash = fitted.key
        self.protocol = f"classifier{fitted.key[:8]}-max{LARGEST_SIDE}-uint8"
        self.key = f"{self.protocol}-{self.weights_hash}"

    @staticmethod
    def fit(options: ExtractorOptions) -> Fitted:
        """Return the classifier of these data, from the cache or fitted now.

        Raises:
            UserError: there are no data, or no classes to tell apart.
        """
        data: Any = options.data
        if data is None:
            raise UserError("--features classifier is fitted to the real images: give --data")
        if len(data.class_names) < 2:
            raise UserError("--features classifier needs two classes or more; use --features random for these data")
        if options.weights is not None:
            raise UserError("--features.weights: the classifier is fitted, it takes no file")
        return _fitted(data)

    def __call__(self, images: Tensor) -> Features:
        """Return features of images uint8 [B, C, H, W]."""
        if images.shape[1] != self.channels:
            raise UserError(
                f"the classifier was fitted to {self.channels} channels, these images have {images.shape[1]}"
            )
        return Features(*self.network(shrink(images.to(self.device))))


def labelled_thumbnails(data: Any, most: int = _MOST_IMAGES) -> tuple[Tensor, Tensor]:
    """Return up to ``most`` images of a source, evenly spread, shrunk, and their labels; unreadable ones are left out.

    Raises:
        UnreadableImageError: none can be read.
    """
    chosen = np.arange(len(data)) if len(data) <= most else np.linspace(0, len(data) - 1, most).astype(np.int64)
    parts = [read_those_that_can_be(data, chosen[i : i + 256]) for i in range(0, len(chosen), 256)]
    read = np.concatenate([part.indices for part in parts])
    if not len(read):
        raise UnreadableImageError(f"none of {len(chosen)} images can be read: {parts[0].problems[0]}")
    shrunk = [shrink(torch.from_numpy(part.images)) for part in parts if len(part.images)]
    return torch.cat(shrunk), torch.from_numpy(data.labels[read])


def _fitted(data: Any) -> Fitted:
    """Return the classifier of a data set from the cache, or fit it and keep it if that is possible."""
    what = f"{data.key()} {data.resolution} {data.channels} {len(data.class_names)} {VERSION}"
    key = hashlib.sha256(what.encode()).hexdigest()
    path: Path = cache_folder() / "classifiers" / f"{key[:32]}.safetensors"
    if (cached := _cached(path, SmallClassifier(data.channels, len(data.class_names)), key)) is not None:
        return cached
    images, labels = labelled_thumbnails(data)
    held_out = torch.arange(len(labels)) % _HELD_OUT == 0 if len(labels) >= 5 * _HELD_OUT else None
    if held_out is None:
        network = train_classifier(images, labels, len(data.class_names))
        score = accuracy(network, images, labels)
    else:
        network = train_classifier(images[~held_out], labels[~held_out], len(data.class_names))
        score = accuracy(network, images[held_out], labels[held_out])
    keep_in_cache(path, lambda: write_tensors(path, network.state_dict(), {"accuracy": score, "version": VERSION}))
    # As the cache will give it next time: laid out otherwise in memory, it would round otherwise.
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    return Fitted(weights=weights, accuracy=score, key=key)


def _cached(path: Path, network: SmallClassifier, key: str) -> Fitted | None:
    """Return what the cache holds; None if it is not there, damaged or of another shape, and must be fitted."""
    try:
        stored = read_verified(path)
        network.load_state_dict(stored.tensors)
        header = parse_record(_Header, stored.header_json, f"{path}: header")
    except (UserError, RuntimeError):  # the second is how weights of another network are refused
        return None
    return Fitted(weights=stored.tensors, accuracy=header.accuracy, key=key)
