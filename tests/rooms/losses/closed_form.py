"""Networks, images and latents that are written down as formulas, so that others can compute with the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from biggan.foundation.chance import Chance
from biggan.layers.heads import Verdict
from biggan.losses.scene import Scene, Stage
from biggan.training.step import judge_together

N, CHANNELS, HEIGHT, WIDTH, LATENT = 4, 3, 8, 16, 5
PLACES = torch.arange(N)
LABELS, FAKE_LABELS = torch.tensor([0, 1, 2, 0]), torch.tensor([2, 1, 0, 0])


def waves(*shape: int, pace: float = 1.0, size: float = 1.0) -> Tensor:
    """Return size * sin(pace * i), i = 1, 2, ..., float64 of a shape."""
    count = torch.Size(shape).numel()
    return size * torch.sin(pace * torch.arange(1, count + 1, dtype=torch.float64)).view(shape)


class D(nn.Module):
    """score = sum of w tanh(x) + v x^2 over the image, + a number for the class."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return [N, 1]."""
        w, v = (waves(*x.shape[1:], pace=pace, size=0.1).to(x.dtype) for pace in (0.7, 0.3))
        score = (w * torch.tanh(x) + v * x.square()).flatten(1).sum(dim=1, keepdim=True)
        return score + waves(3, pace=2.0).to(x.dtype)[y][:, None]

    def judge(self, x: Tensor, y: Tensor) -> Verdict:
        """Return the verdict."""
        return Verdict(self(x, y), x.flatten(1), y)


class G(nn.Module):
    """tanh of A z, moved a little by the class."""

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Return [N, C, H, W]."""
        A = waves(LATENT, CHANNELS * HEIGHT * WIDTH, pace=0.9).to(z.dtype)
        return torch.tanh(z @ A + 0.1 * y[:, None]).view(-1, CHANNELS, HEIGHT, WIDTH)


class Scaled(nn.Module):
    """A network of formulas times a number that can learn, and for a D further heads, matrices of the pixels.

    So the gradient of an update is one number, which others can be asked for too.
    """

    def __init__(self, inner: nn.Module, heads: Mapping[str, int] | None = None) -> None:
        super().__init__()
        self.inner, self.heads = inner, heads or {}
        self.by = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the network does, scaled."""
        outcome: Tensor = self.inner(*inputs) * self.by
        return outcome

    def judge(self, x: Tensor, y: Tensor) -> Verdict:
        """Return the verdict, heads scaled too."""
        pixels = x.flatten(1)
        outputs = {
            name: pixels @ waves(pixels.shape[1], size, pace=0.43, size=0.1) * self.by
            for name, size in self.heads.items()
        }
        return Verdict(self(x, y), pixels, y, outputs)


def reals() -> Tensor:
    """Return [N, C, H, W]."""
    return waves(N, CHANNELS, HEIGHT, WIDTH, pace=0.11, size=0.9)


def latents() -> Tensor:
    """Return [N, z]."""
    return waves(N, LATENT, pace=1.3, size=0.2)


def scene(phase: Any = "discriminator") -> Scene:
    """Return the scene of them all."""
    discriminator, generator = D(), G()
    stage = Stage(
        phase=phase,
        G=generator,
        D=discriminator.judge,
        both=judge_together,
        acting=(),
        sums={},
        seed=7,
        clock=0,
        generator=generator,
        discriminator=discriminator,
        plainly=discriminator.judge,
    )
    found = Scene(
        stage=stage,
        drawn=latents(),
        latents=latents(),
        fakes=generator(latents(), FAKE_LABELS),
        fake_labels=FAKE_LABELS,
        reals=reals(),
        labels=LABELS,
        chance=Chance(7, 0, PLACES),
    )
    found.judge()
    return found
