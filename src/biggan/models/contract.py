"""What every generator and discriminator offers, and how a pair is built from an architecture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.foundation.compatibility import (
    BIASED_NORM,
    OUTPUT_NORM_BATCH,
    OUTPUT_NORM_EPS,
    RUNNING_INSTANCE_NORM,
)
from biggan.foundation.registry import Registry
from biggan.foundation.seeding import derive_seed
from biggan.layers.heads import ScoreHead, Verdict, make_head
from biggan.layers.initialization import initialize
from biggan.layers.normalization import AffineNorm, ConditionalNorm, NormOptions
from biggan.layers.recomputing import Recomputing
from biggan.layers.spectral_norm import (
    ClassTable,
    LayerFactory,
    PowerIteration,
    keep_right_vectors,
)
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.family import FAMILIES
from biggan.models.grown import gates, junction
from biggan.models.skips import Gate, GeneratorSkip, pooled


class Generator(Recomputing, ABC):
    """Latents and labels to images.

    Labels become an embedding first, and images are synthesised from that, so that paths between classes can be
    drawn in embedding space.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        size = architecture.embedding_size
        # Never spectrally normalised: doing so cripples G (the reference authors' observation).
        self.class_embedding = ClassTable(architecture.classes, size) if size else None
        self.branch = architecture.doublings - architecture.grown.stages
        """The stage before which a grown G branches off to its old output."""
        self.skip: GeneratorSkip | None = None
        self.gate: Gate | None = None

    def embed(self, labels: Tensor) -> Tensor:
        """Return what conditions the synthesis: int64 [N] -> float [N, n].

        The shared class embedding; one-hot rows where every normalisation has a table of its own; nothing
        ([N, 0]) without classes.
        """
        parameter = next(self.parameters())
        if self.class_embedding is not None:
            embedding: Tensor = self.class_embedding(labels)
            return embedding
        if self.architecture.classes:
            return F.one_hot(labels, self.architecture.classes).to(parameter.dtype)
        return torch.zeros(labels.shape[0], 0, dtype=parameter.dtype, device=parameter.device)

    @abstractmethod
    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Return images float [N, C, H, W], for z float [N, z_size] and ``embedding`` [N, n].

        They lie in [-1, 1], those of r3gan around it: it has no tanh, and bytes are made of what is clamped.
        """

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images float [N, C, H, W], as :meth:`synthesize`, for z float [N, z_size] and labels int64 [N]."""
        # Per-layer class tables look labels up much faster than they mix one-hot rows; the result is the same.
        look_up = (
            self.architecture.classes and self.class_embedding is None and not self.architecture.dense_class_tables
        )
        return self.synthesize(z, labels if look_up else self.embed(labels))


class Discriminator(Recomputing, ABC):
    """Images and labels to scores."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.junction = junction(architecture)
        self.skip: nn.Module | None = None
        """The old first layer of a grown D, which sees the image in its old size."""
        self.gates = nn.ModuleDict({str(stage): Gate() for stage in gates(architecture)})

    def join(self, stage: int, features: Tensor, images: Tensor) -> Tensor:
        """Return the output of ``stage`` with what growing adds to it; other stages' is unchanged.

        Args:
            stage: its number.
            features: what it gives, float [N, C, H, W].
            images: what D sees, float [N, C', H', W'].
        """
        if str(stage) in self.gates:
            features = self.gates[str(stage)](features)
        if self.skip is not None and stage == self.junction:
            features = self.through(self.skip, pooled(images, self.architecture.grown.stages)) + features
        return features

    @abstractmethod
    def judge(self, images: Tensor, labels: Tensor) -> Verdict:
        """Return the verdict on images float [N, C, H, W] in [-1, 1] with labels int64 [N]."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return its scores alone, float [N, 1]."""
        return self.judge(images, labels).score


class Networks(NamedTuple):
    """A generator and its discriminator."""

    generator: Generator
    discriminator: Discriminator


class NormMaker:
    """Makes the normalisations of one generator; ``condition_size`` 0 makes learnt gains and biases instead."""

    def __init__(self, architecture: Architecture, layers: LayerFactory, condition_size: int) -> None:
        switches = architecture.compatibility
        self.architecture = architecture
        self.classes = architecture.classes if not architecture.embedding_size else 0
        self.layers, self.condition_size = layers, condition_size
        self.tables = layers if architecture.spectral_norm_class_tables else LayerFactory(None)
        self.dense, self.centre = architecture.dense_class_tables, architecture.gain_centre
        self.inner = NormOptions(
            kind=architecture.normalization,
            eps=architecture.norm_eps,
            momentum=architecture.norm_momentum,
            biased=BIASED_NORM in switches,
            running_instance=RUNNING_INSTANCE_NORM in switches,
        )
        self.output = NormOptions(
            kind="batch" if OUTPUT_NORM_BATCH in switches else architecture.normalization,
            eps=1e-5 if OUTPUT_NORM_EPS in switches else architecture.norm_eps,
            momentum=architecture.norm_momentum,
            biased=BIASED_NORM in switches,
        )

    def __call__(self, channels: int) -> nn.Module:
        """Return a normalisation inside a block."""
        norm = self.inner.make(channels)
        if self.condition_size:
            gain, bias = (self.layers.linear(self.condition_size, channels, bias=False) for _ in range(2))
        elif self.classes and self.dense:
            gain, bias = (self.tables.linear(self.classes, channels, bias=False) for _ in range(2))
        elif self.classes:
            gain, bias = (self.tables.class_table(self.classes, channels) for _ in range(2))
        else:
            return AffineNorm(norm, channels)
        return ConditionalNorm(norm, gain, bias, self.centre)

    def skip(self, channels: int) -> GeneratorSkip:
        """Return the old output of a grown G, of the ``channels`` before its new stages."""
        width = self.architecture.output_width or self.architecture.channels
        return GeneratorSkip(self.last(channels), self.layers.conv(channels, width), self.architecture.grown.stages)

    def last(self, channels: int) -> AffineNorm:
        """Return the normalisation before the last convolution."""
        return AffineNorm(self.output.make(channels), channels)


def layer_factory(options: SpectralNorm) -> LayerFactory:
    """Return the factory for layers that are spectrally normalised as ``options`` say."""
    if not options.enabled:
        return LayerFactory(None)
    return LayerFactory(
        PowerIteration(singular_values=options.singular_values, iterations=options.iterations, eps=options.eps)
    )


def last_layer(architecture: Architecture, channels: int, layers: LayerFactory) -> ScoreHead:
    """Return the last layer of D, with all of its heads, on ``channels``."""
    names, size = architecture.discriminator_heads, architecture.discriminator_embedding
    return make_head(names, channels, architecture.classes, layers, size)


def finish(features: Tensor, architecture: Architecture) -> Tensor:
    """Return images in [-1, 1], float [N, C, H, W], of what the last convolution gives."""
    return orient(torch.tanh(features[:, : architecture.channels]), architecture)


def seen(images: Tensor, architecture: Architecture) -> Tensor:
    """Return images in [-1, 1], float [N, C, H, W], as D computes with them."""
    images = orient(images, architecture)
    return images if architecture.discriminator_range == "signed" else (images + 1) / 2


def orient(images: Tensor, architecture: Architecture) -> Tensor:
    """Swap between RGB outside and the colour order inside the networks."""
    return images.flip(1) if architecture.channel_order == "bgr" and architecture.channels == 3 else images


_CLASSES: Registry[type[nn.Module]] = Registry("network class")


def _network_class(location: str) -> type[nn.Module]:
    if location not in _CLASSES:
        _CLASSES.add(location, location)
    return _CLASSES[location]


def build_generator(architecture: Architecture) -> Generator:
    """Return the generator of ``architecture``, weights drawn from torch's global generator."""
    architecture.validate()
    generator = _network_class(FAMILIES[architecture.family].generator)(architecture)
    if not isinstance(generator, Generator):
        raise TypeError(f"the generator of family '{architecture.family}' is no biggan Generator")
    keep_right_vectors(generator, architecture.generator_spectral_norm.stored_vectors)
    initialize(generator, architecture.generator_init)
    return generator


def build_discriminator(architecture: Architecture) -> Discriminator:
    """Return the discriminator of ``architecture``, weights drawn from torch's global generator."""
    architecture.validate()
    discriminator = _network_class(FAMILIES[architecture.family].discriminator)(architecture)
    if not isinstance(discriminator, Discriminator):
        raise TypeError(f"the discriminator of family '{architecture.family}' is no biggan Discriminator")
    keep_right_vectors(discriminator, architecture.discriminator_spectral_norm.stored_vectors)
    initialize(discriminator, architecture.discriminator_init)
    return discriminator


def build(architecture: Architecture, seed: int = 0) -> Networks:
    """Return both networks on the CPU, float32, with weights that depend on ``seed`` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights of the generator"))
        generator = build_generator(architecture)
        torch.manual_seed(derive_seed(seed, "weights of the discriminator"))
        discriminator = build_discriminator(architecture)
    return Networks(generator, discriminator)


def build_on_meta(architecture: Architecture) -> Networks:
    """Return both networks without memory, to count and to measure."""
    with torch.device("meta"):
        return Networks(build_generator(architecture), build_discriminator(architecture))


def count_parameters(network: nn.Module) -> int:
    """Return the number of learnt numbers in ``network``."""
    return sum(parameter.numel() for parameter in network.parameters())
