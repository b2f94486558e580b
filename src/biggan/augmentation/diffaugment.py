"""DiffAugment: colour, translation and cut-out.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", arXiv 2006.10738.

Every image is changed, each by numbers of its own. Both losses see changed images, reals and fakes alike, and G learns
through the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from biggan.augmentation.moving import lying_like, mean_of_images, working_precision
from biggan.foundation.chance import Chance
from biggan.foundation.errors import UserError, unknown

POLICIES = ("color", "translation", "cutout")
_SHIFT = 8
"""A shift is at most a side divided by this."""


@dataclass(frozen=True)
class DiffAugment:
    """The augmentations of a policy, in its order."""

    policy: tuple[str, ...] = POLICIES

    def __post_init__(self) -> None:
        for index, word in enumerate(self.policy):
            if word not in POLICIES:
                raise unknown("augmentation of DiffAugment", word, POLICIES)
            if word in self.policy[:index]:
                raise UserError(f"DiffAugment's policy {','.join(self.policy)} names {word} twice; leave one out")

    def view(self, x: Tensor, chance: Chance) -> Tensor:
        """Return ``x`` float [N, C, H, W] as D sees it, in its own precision."""
        y = x
        for word in self.policy:
            if word == "color":
                y = _coloured(y, chance)
            elif word == "translation":
                y = _translated(y, chance)
            else:
                y = _cut_out(y, chance)
        return lying_like(y, x)

    def off(self, channels: int, size: tuple[int, int]) -> dict[str, str]:
        """Return what cannot be done to images of ``size`` (height, width), and why."""
        found = {}
        if "color" in self.policy and channels != 3:
            found["saturation"] = f"needs three channels, images have {channels}"
        if "translation" in self.policy:
            for name, side in zip(("vertical", "horizontal"), size, strict=True):
                if side < _SHIFT:
                    found[f"{name} translation"] = f"an eighth of {side} px is less than a pixel"
        if "cutout" in self.policy and min(size) < 2:
            found["cutout"] = "half of 1 px is less than a pixel"
        return found


def _coloured(x: Tensor, chance: Chance) -> Tensor:
    """Change brightness by up to 0.5, multiply saturation by 0 ... 2 and contrast by 0.5 ... 1.5, in this order."""
    u = chance.uniform("diffaugment color", 3).to(working_precision(x))[:, :, None, None, None]
    y = x.to(u.dtype) + (u[:, 0] - 0.5)
    if x.shape[1] == 3:
        gray = y.mean(dim=1, keepdim=True)
        y = gray + (y - gray) * (2 * u[:, 1])
    middle = mean_of_images(y)
    y = middle + (y - middle) * (u[:, 2] + 0.5)
    return y.to(x.dtype)


def _translated(x: Tensor, chance: Chance) -> Tensor:
    """Shift by whole pixels, up to an eighth of a side; what comes in is 0, which is gray."""
    farthest = [side // _SHIFT for side in x.shape[2:]]
    if not any(farthest):
        return x
    down, right = (
        chance.integers(f"diffaugment translation {axis}", 1, 2 * far + 1)[:, 0] - far
        for axis, far in zip("yx", farthest, strict=True)
    )
    shifted: Tensor = _Shifting.apply(x, down, right)
    return shifted


class _Shifting(torch.autograd.Function):
    """A shift by [N] pixels down and to the right. The gradient is the shift back: no sum, so it is exact."""

    @staticmethod
    def forward(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
        n, c, h, w = x.shape
        row = torch.arange(h, device=x.device) - down[:, None]
        column = torch.arange(w, device=x.device) - right[:, None]
        seen = (((row >= 0) & (row < h))[:, :, None] & ((column >= 0) & (column < w))[:, None, :])[:, None]
        source = row.clamp(0, h - 1)[:, :, None] * w + column.clamp(0, w - 1)[:, None, :]
        moved = x.flatten(2).gather(2, source.view(n, 1, h * w).expand(n, c, h * w)).view(n, c, h, w)
        return torch.where(seen, moved, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Remember how far."""
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        down, right = ctx.saved_tensors
        return _Shifting.apply(gradient, -down, -right), None, None


def _cut_out(x: Tensor, chance: Chance) -> Tensor:
    """Set a rectangle of half the sides to 0. Its middle lies anywhere in the image, so that it may stick out."""
    if min(x.shape[2:]) < 2:
        return x
    covered = []
    for axis, side in zip("yx", x.shape[2:], strict=True):
        length = (side + 1) // 2
        # The middle of an even length is a border between pixels, of which there is one more than pixels.
        middle = chance.integers(f"diffaugment cutout {axis}", 1, side + 1 - length % 2)
        pixel = torch.arange(side, device=x.device) - (middle - length // 2)
        covered.append((pixel >= 0) & (pixel < length))
    hole = (covered[0][:, :, None] & covered[1][:, None, :])[:, None]
    return torch.where(hole, 0, x)
