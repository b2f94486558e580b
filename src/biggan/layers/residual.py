"""Residual blocks of BigGAN, SAGAN and SNGAN, and the bottleneck blocks of BigGAN-deep."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from biggan.layers.resizing import UPSAMPLING, downsample
from biggan.layers.spectral_norm import LayerFactory

NormFactory = Callable[[int], nn.Module]


class GeneratorBlock(nn.Module):
    """norm, relu, up, conv, norm, relu, conv; the shortcut goes up and through a 1x1 convolution.

    [N, C, H, W] -> [N, C', 2H, 2W] (BigGAN, figure 15 b).
    """

    def __init__(
        self, inputs: int, outputs: int, layers: LayerFactory, norm: NormFactory, *, upsampling: str = "nearest"
    ) -> None:
        super().__init__()
        self.upsample = UPSAMPLING[upsampling]
        self.repeats = upsampling == "nearest"
        self.conv1 = layers.conv(inputs, outputs)
        self.conv2 = layers.conv(outputs, outputs)
        self.shortcut = layers.conv(inputs, outputs, 1)
        self.norm1 = norm(inputs)
        self.norm2 = norm(outputs)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Double the size."""
        h = self.conv1(self.upsample(F.relu(self.norm1(x, condition))))
        h = self.conv2(F.relu(self.norm2(h, condition)))
        if self.repeats:  # what each pixel is convolved with does not see the others: a quarter of them will do
            return h + self.upsample(self.shortcut(x))
        return h + self.shortcut(self.upsample(x))


class DiscriminatorBlock(nn.Module):
    """relu, conv, relu, conv, pool; the shortcut is pooled and convolved (BigGAN, figure 15 c).

    ``hidden`` is the width between the convolutions. With ``inplace`` the shortcut sees relu(x). Without an
    ``identity`` a block of unchanged width has no shortcut.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layers: LayerFactory,
        *,
        hidden: int,
        halve: bool,
        inplace: bool,
        identity: bool = True,
    ) -> None:
        super().__init__()
        self.halve, self.inplace = halve, inplace
        self.conv1 = layers.conv(inputs, hidden)
        self.conv2 = layers.conv(hidden, outputs)
        self.shortcut: nn.Module | None = nn.Identity()
        if inputs == outputs and not identity:
            self.shortcut = None
        elif inputs != outputs or halve:
            self.shortcut = layers.conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C', H, W], or half the size."""
        activated = F.relu(x)
        h = self.conv2(F.relu(self.conv1(activated)))
        shortcut = activated if self.inplace else x
        if self.halve:  # the mean of what single pixels are convolved to is what their mean is convolved to
            h, shortcut = downsample(h), downsample(shortcut)
        return h if self.shortcut is None else h + self.shortcut(shortcut)


class FirstDiscriminatorBlock(nn.Module):
    """conv, relu, conv, pool; the shortcut is pooled, then convolved. It sees the image, so no relu comes first."""

    def __init__(self, inputs: int, outputs: int, layers: LayerFactory, *, hidden: int, halve: bool) -> None:
        super().__init__()
        self.halve = halve
        self.conv1 = layers.conv(inputs, hidden)
        self.conv2 = layers.conv(hidden, outputs)
        self.shortcut = layers.conv(inputs, outputs, 1) if inputs != outputs or halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C', H, W], or half the size."""
        h = self.conv2(F.relu(self.conv1(x)))
        if self.halve:
            h, x = downsample(h), downsample(x)
        return h + self.shortcut(x)


class BottleneckGeneratorBlock(nn.Module):
    """1x1, up, 3x3, 3x3, 1x1, each after norm and relu; the shortcut drops channels (BigGAN, figure 16 b).

    [N, C, H, W] -> [N, C', H, W] or, with ``doubles``, [N, C', 2H, 2W]; C' <= C, or any with a ``learned_shortcut``,
    which is a 1x1 convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layers: LayerFactory,
        norm: NormFactory,
        *,
        doubles: bool,
        learned_shortcut: bool = False,
        upsampling: str = "nearest",
    ) -> None:
        super().__init__()
        self.upsample = UPSAMPLING[upsampling]
        hidden = max(inputs // 4, 1)
        self.outputs, self.doubles = outputs, doubles
        self.conv1 = layers.conv(inputs, hidden, 1)
        self.conv2 = layers.conv(hidden, hidden)
        self.conv3 = layers.conv(hidden, hidden)
        self.conv4 = layers.conv(hidden, outputs, 1)
        self.shortcut = layers.conv(inputs, outputs, 1) if learned_shortcut else None
        self.norm1 = norm(inputs)
        self.norm2 = norm(hidden)
        self.norm3 = norm(hidden)
        self.norm4 = norm(hidden)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Refine, and double the size if asked."""
        h = self.conv1(F.relu(self.norm1(x, condition)))
        h = F.relu(self.norm2(h, condition))
        if self.shortcut is None:
            x = x[:, : self.outputs]
        if self.doubles:
            h, x = self.upsample(h), self.upsample(x)
        h = self.conv3(F.relu(self.norm3(self.conv2(h), condition)))
        return self.conv4(F.relu(self.norm4(h, condition))) + (x if self.shortcut is None else self.shortcut(x))


class BottleneckDiscriminatorBlock(nn.Module):
    """relu and 1x1, 3x3, 3x3, relu, pool, 1x1; the shortcut is pooled and gains channels (BigGAN, figure 16 c).

    With a ``learned_shortcut`` a 1x1 convolution takes the place of the latter wherever size or width changes, and the
    pooling comes before the last relu (the variant of PyTorch-StudioGAN).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        layers: LayerFactory,
        *,
        halve: bool,
        inplace: bool,
        learned_shortcut: bool = False,
    ) -> None:
        super().__init__()
        hidden = max(outputs // 4, 1)
        self.halve, self.inplace, self.learned = halve, inplace, learned_shortcut
        self.conv1 = layers.conv(inputs, hidden, 1)
        self.conv2 = layers.conv(hidden, hidden)
        self.conv3 = layers.conv(hidden, hidden)
        self.conv4 = layers.conv(hidden, outputs, 1)
        learned = learned_shortcut and (halve or inputs != outputs)
        self.shortcut = layers.conv(inputs, outputs, 1) if learned else None
        self.added = layers.conv(inputs, outputs - inputs, 1) if outputs > inputs and not learned_shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C', H, W], or half the size."""
        activated = F.relu(x)
        h = self.conv3(F.relu(self.conv2(F.relu(self.conv1(activated)))))
        shortcut = activated if self.inplace else x
        if not self.learned:
            h = F.relu(h)
        if self.halve:
            h, shortcut = downsample(h), downsample(shortcut)
        if self.learned:
            h = F.relu(h)
        if self.shortcut is not None:
            shortcut = self.shortcut(shortcut)
        elif self.added is not None:
            shortcut = torch.cat([shortcut, self.added(shortcut)], dim=1)
        return self.conv4(h) + shortcut
