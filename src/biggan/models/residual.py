"""The networks of BigGAN, SAGAN and SNGAN: residual blocks, one a stage.

Letters: N images, C channels, (H, W) image size, (h0, w0) bottom grid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.attention import SelfAttention
from biggan.layers.heads import Verdict
from biggan.layers.residual import DiscriminatorBlock, FirstDiscriminatorBlock, GeneratorBlock
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator, Generator, NormMaker, finish, last_layer, layer_factory, seen
from biggan.models.skips import Gate


class ResidualGenerator(Generator):
    """z -> linear -> [h0, w0] -> a block a stage, each twice as large -> norm, relu, conv, tanh.

    With a hierarchical latent z is cut into equal chunks: the first enters the linear layer, each other joins the
    class embedding as the condition of one stage.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.generator_spectral_norm)
        stages = architecture.generator_stages()
        self.chunk = architecture.z_size // architecture.latent_slots
        extra = self.chunk if architecture.hierarchical_latent else 0
        norm = NormMaker(architecture, layers, architecture.embedding_size + extra)
        h0, w0 = architecture.grid
        self.linear = layers.linear(self.chunk, stages[0].in_channels * h0 * w0)
        self.stages = nn.ModuleList()
        for stage in stages:
            modules: list[nn.Module] = [
                GeneratorBlock(stage.in_channels, stage.out_channels, layers, norm, upsampling=architecture.upsampling)
            ]
            if stage.attention:
                modules.append(SelfAttention(stage.out_channels, layers))
            self.stages.append(nn.ModuleList(modules))
        self.output_norm = norm.last(stages[-1].out_channels)
        self.output_conv = layers.conv(stages[-1].out_channels, architecture.output_width or architecture.channels)
        if architecture.grown.stages:
            self.skip, self.gate = norm.skip(stages[self.branch].in_channels), Gate()

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Return images in [-1, 1], float [N, C, H, W]."""
        first, conditions = self.conditions(z, embedding)
        h = self.linear(first)
        branch = h = h.unflatten(1, (-1, *self.architecture.grid))
        for i, (modules, condition) in enumerate(zip(self.stages, conditions, strict=True)):
            branch = h if i == self.branch else branch
            block, *attention = modules.children()
            h = self.through(block, h, condition)
            for layer in attention:
                h = self.through(layer, h)
        features = self.through_parts(self.features, (self.output_norm, self.output_conv), h)
        if self.skip is not None and self.gate is not None:
            features = self.through(self.skip, branch) + self.gate(features)
        return finish(features, self.architecture)

    def features(self, h: Tensor) -> Tensor:
        """Return what the last convolution gives of the last stage's output."""
        features: Tensor = self.output_conv(F.relu(self.output_norm(h)))
        return features

    def conditions(self, z: Tensor, embedding: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the input of the linear layer and the condition of every stage."""
        if not self.architecture.hierarchical_latent:
            return z, [embedding] * len(self.stages)
        first, *chunks = torch.split(z, self.chunk, dim=1)
        if self.architecture.condition_order == "latent-class":
            return first, [torch.cat([chunk, embedding], dim=1) for chunk in chunks]
        return first, [torch.cat([embedding, chunk], dim=1) for chunk in chunks]


class ResidualDiscriminator(Discriminator):
    """A block a stage -> relu -> sum over positions -> projection head."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.discriminator_spectral_norm)
        stages = architecture.discriminator_stages()
        self.stages = nn.ModuleList()
        for i, stage in enumerate(stages):
            hidden = stage.out_channels if architecture.wide_discriminator else stage.in_channels
            block: nn.Module
            if i == 0:
                block = FirstDiscriminatorBlock(
                    stage.in_channels, stage.out_channels, layers, hidden=hidden, halve=stage.resample
                )
            else:
                block = DiscriminatorBlock(
                    stage.in_channels,
                    stage.out_channels,
                    layers,
                    hidden=hidden,
                    halve=stage.resample,
                    inplace=architecture.inplace_activation,
                    identity=architecture.identity_shortcuts,
                )
            attention = [SelfAttention(stage.out_channels, layers)] if stage.attention else []
            self.stages.append(nn.ModuleList([block, *attention]))
        self.head = last_layer(architecture, stages[-1].out_channels, layers)
        if self.junction is not None:
            old = stages[self.junction]
            hidden = old.out_channels if architecture.wide_discriminator else architecture.channels
            self.skip = FirstDiscriminatorBlock(
                architecture.channels, old.out_channels, layers, hidden=hidden, halve=old.resample
            )

    def judge(self, images: Tensor, labels: Tensor) -> Verdict:
        """Return the verdict on N images."""
        h = x = seen(images, self.architecture)
        for i, modules in enumerate(self.stages):
            block, *attention = modules.children()
            h = self.join(i, self.through(block, h), x)
            for layer in attention:
                h = self.through(layer, h)
        verdict: Verdict = self.head(h, labels)
        return verdict
