"""The networks of R3GAN: grouped bottleneck blocks, ``depth`` a stage, between learnt bases on the bottom grid."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biggan.layers.attention import SelfAttention
from biggan.layers.bases import BasisHead, GenerativeBasis
from biggan.layers.grouped_residual import GroupedBlock, Transition
from biggan.layers.heads import Verdict
from biggan.layers.initialization import with_gain
from biggan.layers.spectral_norm import LayerFactory
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator, Generator, layer_factory, orient, seen
from biggan.models.r3gan import EXPANSION, groups
from biggan.models.skips import Gate, GeneratorSkip


class GroupedGenerator(Generator):
    """Basis [h0, w0] and ``depth`` blocks -> a stage: twice as large, ``depth`` blocks -> 1x1 convolution, no tanh.

    Images are not bounded: they are clamped where bytes are made of them.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.generator_spectral_norm)
        stages = architecture.generator_stages()
        at_bottom, *grouped = groups(architecture)[0]
        depth, blocks = architecture.generator_depth, architecture.generator_depth * (len(stages) + 1)
        width = stages[0].in_channels
        self.basis = GenerativeBasis(
            architecture.z_size + architecture.embedding_size, width, architecture.grid, layers
        )
        self.bottom = nn.ModuleList(_blocks(width, at_bottom, layers, depth, blocks))
        self.stages = nn.ModuleList()
        for stage, count in zip(stages, grouped, strict=True):
            modules = [
                Transition(stage.in_channels, stage.out_channels, layers, doubles=stage.resample, halves=False),
                *_blocks(stage.out_channels, count, layers, depth, blocks),
            ]
            if stage.attention:
                modules.append(SelfAttention(stage.out_channels, layers))
            self.stages.append(nn.ModuleList(modules))
        self.output_conv = self._last(stages[-1].out_channels, layers)
        if architecture.grown.stages:
            old = self._last(stages[self.branch].in_channels, layers)
            self.skip, self.gate = GeneratorSkip(None, old, architecture.grown.stages), Gate()

    def _last(self, width: int, layers: LayerFactory) -> nn.Module:
        outputs = self.architecture.output_width or self.architecture.channels
        return with_gain(layers.conv(width, outputs, 1, bias=False), 1.0)

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        """Return images around [-1, 1], float [N, C, H, W]."""
        latent_first = self.architecture.condition_order == "latent-class"
        h = self.basis(torch.cat([z, embedding] if latent_first else [embedding, z], dim=1))
        for block in self.bottom:
            h = self.through(block, h)
        branch = h
        for i, modules in enumerate(self.stages):
            branch = h if i == self.branch else branch
            for layer in modules.children():
                h = self.through(layer, h)
        features: Tensor = self.output_conv(h)
        if self.skip is not None and self.gate is not None:
            features = self.through(self.skip, branch) + self.gate(features)
        return orient(features[:, : self.architecture.channels], self.architecture)


class GroupedDiscriminator(Discriminator):
    """1x1 convolution -> a stage: ``depth`` blocks, half the size but for the last -> basis head."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.discriminator_spectral_norm)
        stages = architecture.discriminator_stages()
        depth, blocks = architecture.discriminator_depth, architecture.discriminator_depth * len(stages)
        self.stem = _stem(architecture, stages[0].in_channels, layers)
        self.stages = nn.ModuleList()
        for stage, count in zip(stages, groups(architecture)[1], strict=True):
            modules = [
                *_blocks(stage.in_channels, count, layers, depth, blocks),
                Transition(stage.in_channels, stage.out_channels, layers, doubles=False, halves=stage.resample),
            ]
            if stage.attention:
                modules.append(SelfAttention(stage.out_channels, layers))
            self.stages.append(nn.ModuleList(modules))
        last = stages[-1]
        self.head = BasisHead(last.out_channels, (last.height, last.width), architecture.classes, layers)
        if self.junction is not None:
            self.skip = _stem(architecture, stages[self.junction].out_channels, layers)

    def judge(self, images: Tensor, labels: Tensor) -> Verdict:
        """Return the verdict on N images."""
        x = seen(images, self.architecture)
        h = self.stem(x)
        for i, modules in enumerate(self.stages):
            for layer in modules.children():
                h = self.through(layer, h)
            h = self.join(i, h, x)
        verdict: Verdict = self.head(h, labels)
        return verdict


def _blocks(width: int, count: int, layers: LayerFactory, depth: int, blocks: int) -> list[nn.Module]:
    """Return ``depth`` blocks with ``count`` groups, of ``blocks`` in the network."""
    return [GroupedBlock(width, EXPANSION * width, count, layers, blocks=blocks) for _ in range(depth)]


def _stem(architecture: Architecture, width: int, layers: LayerFactory) -> nn.Module:
    return with_gain(layers.conv(architecture.channels, width, 1, bias=False), 1.0)
