"""The networks of BigGAN-deep: bottleneck blocks, ``depth`` a stage."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.attention import SelfAttention
from biggan.layers.heads import Verdict
from biggan.layers.residual import BottleneckDiscriminatorBlock, BottleneckGeneratorBlock
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator, Generator, NormMaker, finish, last_layer, layer_factory, seen
from biggan.models.skips import Gate


class BottleneckGenerator(Generator):
    """Linear -> [h0, w0] -> ``depth`` blocks a stage, the last of which doubles -> norm, relu, conv, tanh.

    With a hierarchical latent, class embedding and the whole of z condition the linear layer and every block;
    without, z enters the linear layer and the class embedding the blocks.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.generator_spectral_norm)
        stages = architecture.generator_stages()
        both = architecture.embedding_size + architecture.z_size
        hierarchical = architecture.hierarchical_latent
        norm = NormMaker(architecture, layers, both if hierarchical else architecture.embedding_size)
        h0, w0 = architecture.grid
        self.linear = layers.linear(both if hierarchical else architecture.z_size, stages[0].in_channels * h0 * w0)
        self.stages = nn.ModuleList()
        for stage in stages:
            last = architecture.generator_depth - 1
            modules: list[nn.Module] = [
                BottleneckGeneratorBlock(
                    stage.in_channels,
                    stage.out_channels if i == last else stage.in_channels,
                    layers,
                    norm,
                    doubles=i == last,
                    learned_shortcut=architecture.learned_shortcuts,
                    upsampling=architecture.upsampling,
                )
                for i in range(architecture.generator_depth)
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
        first, condition = self.conditions(z, embedding)
        h = self.linear(first)
        branch = h = h.unflatten(1, (-1, *self.architecture.grid))
        for i, modules in enumerate(self.stages):
            branch = h if i == self.branch else branch
            for layer in modules.children():
                conditions = (condition,) if isinstance(layer, BottleneckGeneratorBlock) else ()
                h = self.through(layer, h, *conditions)
        features = self.through_parts(self.features, (self.output_norm, self.output_conv), h)
        if self.skip is not None and self.gate is not None:
            features = self.through(self.skip, branch) + self.gate(features)
        return finish(features, self.architecture)

    def features(self, h: Tensor) -> Tensor:
        """Return what the last convolution gives of the last stage's output."""
        features: Tensor = self.output_conv(F.relu(self.output_norm(h)))
        return features

    def conditions(self, z: Tensor, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input of the linear layer and the condition of every block."""
        if not self.architecture.hierarchical_latent:
            return z, embedding
        if not embedding.is_floating_point() or not self.architecture.embedding_size:
            return z, z
        order = [embedding, z] if self.architecture.condition_order == "class-latent" else [z, embedding]
        both = torch.cat(order, dim=1)
        return both, both


class BottleneckDiscriminator(Discriminator):
    """Convolution -> ``depth`` blocks a stage, the first of which halves -> projection head."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        layers = layer_factory(architecture.discriminator_spectral_norm)
        stages = architecture.discriminator_stages()
        self.stem = layers.conv(architecture.channels, stages[0].in_channels)
        self.stages = nn.ModuleList()
        for stage in stages:
            modules: list[nn.Module] = [
                BottleneckDiscriminatorBlock(
                    stage.in_channels if i == 0 else stage.out_channels,
                    stage.out_channels,
                    layers,
                    halve=stage.resample and i == 0,
                    inplace=architecture.inplace_activation,
                    learned_shortcut=architecture.learned_shortcuts,
                )
                for i in range(architecture.discriminator_depth)
            ]
            if stage.attention:
                modules.append(SelfAttention(stage.out_channels, layers))
            self.stages.append(nn.ModuleList(modules))
        self.head = last_layer(architecture, stages[-1].out_channels, layers)
        if self.junction is not None:
            self.skip = layers.conv(architecture.channels, stages[self.junction].out_channels)

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
