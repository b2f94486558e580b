"""What a pair of networks is: the configuration that travels inside every snapshot. Imports no torch.

Letters used below: H, W image height and width; (h0, w0) the bottom grid; k the number of doublings, so that
(H, W) = (h0 * 2**k, w0 * 2**k).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from biggan.foundation.compatibility import expand
from biggan.foundation.errors import UserError, nearest
from biggan.layers.head_kinds import PLAIN, check_heads, has_embeddings
from biggan.models.bounds import BOUNDS, refuse_beyond
from biggan.models.family import FAMILIES, check_groups
from biggan.models.grown import Grown
from biggan.models.sizes import bottom_grid
from biggan.models.stages import Stage, discriminator_stages, generator_stages

Initialization = Literal["orthogonal", "normal", "xavier", "he"]
Normalization = Literal["batch", "instance", "group", "layer", "none"]
Upsampling = Literal["nearest", "zeros"]


@dataclass(frozen=True, kw_only=True)
class SpectralNorm:
    """Spectral normalisation (Miyato et al. 2018) of the convolutions and linear layers of one network."""

    enabled: bool = True
    """Divide weights by their largest singular value."""
    singular_values: int = 1
    """Singular values tracked for the log; only the first divides."""
    iterations: int = 1
    """Power iterations at each training forward."""
    eps: float = 1e-6
    """Smallest norm that a vector is divided by."""
    stored_vectors: tuple[str, ...] = ()
    """Layers (patterns of their names, * for any text) that evaluate with u and v as training left them."""

    def __post_init__(self) -> None:
        refuse_beyond(
            "model.generator-spectral-norm or discriminator-spectral-norm",
            self,
            {"singular_values": (1, 1024), "iterations": (1, 1000), "eps": (0, 1)},
        )


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """Structure of a generator and its discriminator.

    The second half are facts that leave no trace in a checkpoint's keys and shapes; they matter for imported
    weights, and their defaults are right for new ones.
    """

    family: str = "biggan"
    """biggan, biggan-deep, sagan, sngan or r3gan: chooses the stage tables and the blocks."""
    resolution: tuple[int, int] = (128, 128)
    """Height and width in pixels."""
    channels: int = 3
    """Image channels."""
    classes: int = 1000
    """Number of classes; 0 is unconditional."""
    latent_size: int = 120
    """Length of z; a hierarchical BigGAN uses the largest multiple of its slots up to this."""
    generator_width: int = 96
    """Channel multiplier of G ("ch")."""
    discriminator_width: int = 96
    """Channel multiplier of D."""
    generator_depth: int = 1
    """Blocks a stage in G (biggan-deep, r3gan)."""
    discriminator_depth: int = 1
    """Blocks a stage in D (biggan-deep, r3gan)."""
    shared_embedding: int = 128
    """Length of the class embedding that all normalisations of G share; 0 gives each its own table."""
    hierarchical_latent: bool = True
    """Feed z to every stage (BigGAN: a chunk each; BigGAN-deep: all of it)."""
    generator_attention: tuple[str, ...] = ("64",)
    """Self-attention after these stages of G: a resolution ("64", "64x16") or "stage:N", counted from 0."""
    discriminator_attention: tuple[str, ...] = ("64",)
    """Self-attention after these stages of D."""
    discriminator_heads: tuple[str, ...] = PLAIN
    """What D says of an image: its score by projection, none (no class) or multi-hinge, and ac, adc, 2c, d2d-ce,
    rotation."""
    discriminator_embedding: int = 512
    """Length of the embeddings of the heads 2c and d2d-ce."""
    generator_init: Initialization = "orthogonal"
    """Initial weights of G: orthogonal, normal (0, 0.02), xavier uniform or he (normal, by fan-in)."""
    discriminator_init: Initialization = "orthogonal"
    """Initial weights of D."""
    normalization: Normalization = "batch"
    """Normalisation of G."""
    wide_discriminator: bool = True
    """D's blocks widen in their first convolution (BigGAN, SAGAN), not in their second (thin, SNGAN)."""
    generator_spectral_norm: SpectralNorm = field(default_factory=SpectralNorm)
    """Spectral norm of G's convolutions and linear layers."""
    discriminator_spectral_norm: SpectralNorm = field(default_factory=SpectralNorm)
    """Spectral norm of D, its class table included."""
    spectral_norm_class_tables: bool = False
    """Also normalise the per-layer class tables of G (SAGAN); the shared embedding never is: it cripples G."""

    norm_eps: float = 1e-5
    """Added to the variance by every normalisation of G."""
    norm_momentum: float = 0.1
    """Weight of the newest batch in the running statistics."""
    bottom: tuple[int, int] | None = None
    """Bottom grid (h0, w0); by default the smallest with sides of 4 or more."""
    generator_channels: tuple[int, ...] | None = None
    """Channels of G: into the first stage, then out of each; by default the family's table times the width."""
    discriminator_channels: tuple[int, ...] | None = None
    """Channels of D: out of the stem (biggan-deep, r3gan), then out of each stage; by default as for G."""
    generator_groups: tuple[int, ...] | None = None
    """Groups of the 3x3 convolutions of G (r3gan), at the bottom, then in each stage; by default of 16 channels."""
    discriminator_groups: tuple[int, ...] | None = None
    """Groups of those of D, in each stage from the image on."""
    discriminator_downsampling: tuple[bool, ...] | None = None
    """Which stages of D halve the image; by default the family's table."""
    condition_order: Literal["class-latent", "latent-class"] = "class-latent"
    """Order in which class embedding and latent are concatenated."""
    inplace_activation: bool = False
    """D's activations work in place, so that the shortcut of a pre-activated block sees relu(x), not x."""
    learned_shortcuts: bool = False
    """Shortcuts of BigGAN-deep's blocks are 1x1 convolutions, where it otherwise drops and adds channels, and D pools
    before its last relu."""
    dense_class_tables: bool = False
    """Without a shared embedding: each normalisation multiplies one-hot labels by a matrix [channels, classes]."""
    gain_centre: float = 1.0
    """Added to the gain that a normalisation learns for a class."""
    upsampling: Upsampling = "nearest"
    """How G's blocks double: each pixel four times (nearest), or once with zeros right and below (zeros)."""
    identity_shortcuts: bool = True
    """D's blocks of unchanged width have a shortcut, as all others do; without, nothing goes round their convolutions
    (but for biggan-deep)."""
    discriminator_range: Literal["signed", "unit"] = "signed"
    """Range of images inside D: -1 to 1 (signed) or 0 to 1 (unit); outside it always is -1 to 1."""
    output_width: int | None = None
    """Outputs of G's last convolution, of which the first are the image's channels; by default as many."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of colours inside the networks; images outside are always RGB."""
    grown: Grown = field(default_factory=Grown)
    """What growing to a larger size added, see ``biggan grow``."""
    compatibility: tuple[str, ...] = ()
    """Named differences from ours, see ``biggan.foundation.compatibility``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "compatibility", expand(self.compatibility, "network"))
        refuse_beyond("model", self, BOUNDS)

    def validate(self) -> None:
        """Check that the parts fit together. Not done at construction, so that options can be set one after another.

        Raises:
            UserError: names the option and what would fit.
        """
        family = FAMILIES[self.family]
        h, w = self.resolution
        h0, w0 = self.grid
        if (h0 << self.doublings, w0 << self.doublings) != (h, w):
            raise UserError(
                f"--model.bottom {h0} {w0}: doubling it never gives {h}x{w}; leave it out for {bottom_grid(h, w)}"
            )
        if self.classes and self.hierarchical_latent and not self.shared_embedding:
            raise UserError(
                "--model.hierarchical-latent needs a shared class embedding: add --model.shared-embedding 128, "
                "or --model.no-hierarchical-latent"
            )
        if self.output_width is not None and self.output_width < self.channels:
            raise UserError(
                f"--model.output-width {self.output_width}: images have {self.channels} channels; leave it out"
            )
        if self.learned_shortcuts and not family.fixed_shortcuts:
            raise UserError(
                f"--model.learned-shortcuts: those of {self.family} are learned anyway; leave it out, or choose "
                "--model.family biggan-deep"
            )
        if not self.identity_shortcuts and family.fixed_shortcuts:
            raise UserError(
                f"--model.no-identity-shortcuts: {self.family} adds channels to its shortcuts and always has them; "
                "leave it out"
            )
        if self.dense_class_tables and self.embedding_size:
            raise UserError(
                "--model.dense-class-tables: a shared embedding has no class tables; leave one of the two out "
                "(--model.shared-embedding 0)"
            )
        check_heads(self.discriminator_heads, self.classes)
        if self.discriminator_embedding != 512 and not has_embeddings(self.discriminator_heads):
            raise UserError(
                f"--model.discriminator-embedding {self.discriminator_embedding}: only the heads 2c and d2d-ce have "
                "embeddings; leave it out"
            )
        check_groups(self)
        family.check(self)
        if self.latent_size < self.latent_slots:
            raise UserError(
                f"--model.latent-size {self.latent_size}: {self.latent_slots} stages share it, so at least "
                f"{self.latent_slots}"
            )
        self.generator_stages()
        self.discriminator_stages()
        self.grown.check(self)

    def resolved(self) -> Architecture:
        """Return the same architecture with everything that was derived written out, as snapshots store it."""
        family = FAMILIES[self.family]
        d_stages = self.discriminator_stages()
        stem_width = (d_stages[0].in_channels,) if family.discriminator_stem else ()
        g_stages = self.generator_stages()
        g_groups, d_groups = (None, None) if family.groups is None else family.groups(self)
        return dataclasses.replace(
            self,
            bottom=self.grid,
            latent_size=self.z_size,
            shared_embedding=self.embedding_size,
            generator_channels=(g_stages[0].in_channels, *(stage.out_channels for stage in g_stages)),
            discriminator_channels=(*stem_width, *(stage.out_channels for stage in d_stages)),
            generator_groups=g_groups,
            discriminator_groups=d_groups,
            discriminator_downsampling=tuple(stage.resample for stage in d_stages),
            generator_attention=tuple(f"stage:{i}" for i, s in enumerate(g_stages) if s.attention),
            discriminator_attention=tuple(f"stage:{i}" for i, s in enumerate(d_stages) if s.attention),
        )

    @property
    def grid(self) -> tuple[int, int]:
        """The bottom grid (h0, w0)."""
        return self.bottom or bottom_grid(*self.resolution)

    @property
    def z_size(self) -> int:
        """Length of z: the latent size, rounded down to a multiple of the slots that share it."""
        return self.latent_size // self.latent_slots * self.latent_slots

    @property
    def embedding_size(self) -> int:
        """Length of the shared class embedding, 0 without one."""
        return self.shared_embedding if self.classes else 0

    @property
    def doublings(self) -> int:
        """How often the bottom grid doubles: k."""
        return max((self.resolution[0] // self.grid[0]).bit_length() - 1, 0)

    @property
    def latent_slots(self) -> int:
        """Into how many chunks z is cut: one for the bottom and one for each stage, or 1."""
        return self.doublings + 1 if FAMILIES[self.family].chunked and self.hierarchical_latent else 1

    def generator_stages(self) -> tuple[Stage, ...]:
        """Return the stages of G, bottom first; see :func:`biggan.models.stages.generator_stages`."""
        return generator_stages(self)

    def discriminator_stages(self) -> tuple[Stage, ...]:
        """Return the stages of D, image first; see :func:`biggan.models.stages.discriminator_stages`."""
        return discriminator_stages(self)


def architecture(family: str, **values: Any) -> Architecture:
    """Return an :class:`Architecture` with the customs of ``family``, changed by ``values``.

    Example:
        >>> architecture("sngan", resolution=(32, 32), classes=10).shared_embedding
        0

    Raises:
        UserError: an unknown family or name, or a value that does not fit.
    """
    known = [f.name for f in dataclasses.fields(Architecture)]
    for name in values:
        if name not in known:
            raise UserError(f"unknown architecture option '{name}'; nearest: {', '.join(nearest(name, known))}")
    return Architecture(family=family, **{**FAMILIES[family].customs, **values})
