"""The pipeline of ADA: blits, general geometry and colour.

Karras et al. 2020, "Training generative adversarial networks with limited data", arXiv 2006.06676, appendix B.

Each part happens to an image with probability p, by chance of its own; those of colour with a share of p, if that is
asked for. Values are those of the paper's figure. Of its filtering and corruptions, which the paper leaves out of its
default too, cutout is here if asked for.

Where it differs: the paper pads an image by its reflection and has zeros beyond; here it is reflected without end. What
moves by whole pixels alone is not filtered, and comes out to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from biggan.augmentation.moving import (
    finest_precision,
    lying_like,
    product,
    sampled,
    sampled_finely,
    working_precision,
)
from biggan.foundation.chance import Chance
from biggan.foundation.errors import UserError, unknown

GEOMETRY = (
    "xflip",
    "rotate90",
    "integer_translation",
    "scale",
    "rotate",
    "anisotropic_scale",
    "fractional_translation",
)
COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
PARTS = GEOMETRY + COLOUR
RESAMPLING = ("wavelet", "bilinear")
_OF_THREE_CHANNELS = ("luma_flip", "hue", "saturation")


@dataclass(frozen=True, eq=False)
class AdaPipeline:
    """The parts, in the paper's order, each with probability ``p``."""

    p: float | Tensor
    """0 ... 1. A tensor without dimensions on the images' device may be changed in place by its owner; it is never
    read by the CPU."""
    without: tuple[str, ...] = ()
    """Names of :data:`PARTS` that never happen."""
    resampling: Literal["wavelet", "bilinear"] = "wavelet"
    """Between pixels: bilinear at twice the size between low-pass filters (sym6), as the paper does; or at the size
    that images have, which is quicker, and blurs and aliases a little."""
    colour: float = 1.0
    """Parts of colour happen with this share of p, 0 ... 1."""
    cutout: bool = False
    """In the end a rectangle of half the sides, about any point, becomes gray, with p."""

    def __post_init__(self) -> None:
        for word in self.without:
            if word not in PARTS:
                raise unknown("part of ADA", word, PARTS)
        if self.resampling not in RESAMPLING:
            raise unknown("resampling of ADA", self.resampling, RESAMPLING)
        if not 0 <= self.colour <= 1:
            raise UserError(f"ADA's colour is {self.colour}; give a share of p, 0 to 1")
        if isinstance(self.p, Tensor):
            if self.p.dim():
                raise UserError(f"ADA's p is a tensor of shape {list(self.p.shape)}; give one without dimensions")
        elif not 0 <= self.p <= 1:
            raise UserError(f"ADA's p is {self.p}; give a probability, 0 to 1")

    def view(self, x: Tensor, chance: Chance) -> Tensor:
        """Return ``x`` float [N, C, H, W] as D sees it, in its own precision; bitwise itself where nothing happens."""
        off = self.off(x.shape[1], (x.shape[2], x.shape[3])).keys() | set(self.without)
        happening = _Happening(chance, self.p, frozenset(PARTS) - off, self.colour)
        y = x
        if happening.parts & set(GEOMETRY):
            y = _moved(y, _inverse_map(happening, x.shape[2], x.shape[3]), finely=self.resampling == "wavelet")
        if happening.parts & set(COLOUR):
            y = _coloured(y, happening)
        if self.cutout:
            y = torch.where(_cut(happening, x.shape[2], x.shape[3]), 0, y)
        return lying_like(y, x)

    def off(self, channels: int, size: tuple[int, int]) -> dict[str, str]:
        """Return what cannot be done to images of ``size`` (height, width), and why."""
        found = {}
        if size[0] != size[1]:
            found["rotate90"] = f"needs square images, these are {size[0]}x{size[1]}"
        if channels != 3:
            found |= dict.fromkeys(_OF_THREE_CHANNELS, f"needs three channels, images have {channels}")
        return {name: why for name, why in found.items() if name not in self.without}


@dataclass(frozen=True)
class _Happening:
    """What happens to which image."""

    chance: Chance
    p: float | Tensor
    parts: frozenset[str]
    colour: float = 1.0

    @property
    def precision(self) -> torch.dtype:
        """That of maps, which are small: float64 where the device has it."""
        return finest_precision(self.chance.places.device)

    def identity(self) -> Tensor:
        """Return [N, 3, 3] that changes nothing."""
        places = self.chance.places
        return torch.eye(3, dtype=self.precision, device=places.device).expand(len(places), 3, 3)

    def to(self, part: str, name: str = "", p: float | Tensor | None = None) -> Tensor | None:
        """Return whether a part happens, bool [N], or None if it never does.

        Args:
            part: of :data:`PARTS`.
            name: of the occasion, for a part that has two.
            p: if it is not that of the pipeline.
        """
        if part not in self.parts:
            return None
        p = self.p if p is None else p
        if self.colour != 1 and part in COLOUR:
            p = self.colour * p
        return self.chance.uniform(f"ada {name or part} happens", 1)[:, 0] < p

    def uniform(self, name: str, columns: int = 1) -> Tensor:
        """Return [columns, N], uniform in [-1, 1)."""
        return self.chance.uniform(f"ada {name}", columns).to(self.precision).T * 2 - 1

    def normal(self, name: str, columns: int = 1) -> Tensor:
        """Return standard normal [columns, N]."""
        return self.chance.normal(f"ada {name}", columns).to(self.precision).T

    def below(self, name: str, below: int) -> Tensor:
        """Return [N], whole numbers from 0 to ``below`` - 1."""
        return self.chance.integers(f"ada {name}", 1, below)[:, 0].to(self.precision)


def _inverse_map(happening: _Happening, height: int, width: int) -> Tensor:
    """Return what takes a pixel of the outcome to where it comes from, [N, 3, 3] (see :func:`sampled`).

    An image goes through the parts one after another, so the way back goes through their inverses from the last to
    the first: each is multiplied on the right.
    """
    back = happening.identity()
    if (yes := happening.to("xflip")) is not None:
        sign = 1 - 2 * torch.where(yes, happening.below("xflip", 2), 0)
        back = product(back, _scaling(sign, torch.ones_like(sign)))
    if (yes := happening.to("rotate90")) is not None:
        # Cosine and sine of quarter turns, exactly: 1, 0, -1, 0 and 0, 1, 0, -1.
        turns = torch.where(yes, happening.below("rotate90", 4), 0)
        back = product(back, _rotation((turns - 2).abs() - 1, 1 - (turns - 1).abs()))
    if (yes := happening.to("integer_translation")) is not None:
        x, y = torch.where(yes, 0.125 * happening.uniform("integer_translation", 2), 0)
        back = product(back, _translation((x * width).round(), (y * height).round()))
    if (yes := happening.to("scale")) is not None:
        (power,) = torch.where(yes, 0.2 * happening.normal("scale"), 0)
        back = product(back, _scaling(torch.exp2(-power), torch.exp2(-power)))
    back = _turned(back, happening, "rotate before")
    if (yes := happening.to("anisotropic_scale")) is not None:
        (power,) = torch.where(yes, 0.2 * happening.normal("anisotropic_scale"), 0)
        back = product(back, _scaling(torch.exp2(-power), torch.exp2(power)))
    back = _turned(back, happening, "rotate after")
    if (yes := happening.to("fractional_translation")) is not None:
        x, y = torch.where(yes, 0.125 * happening.normal("fractional_translation", 2), 0)
        back = product(back, _translation(x * width, y * height))
    return back


def _turned(back: Tensor, happening: _Happening, name: str) -> Tensor:
    """Turn by any angle. It may happen before and after the anisotropic scaling, and with p on either occasion."""
    yes = happening.to("rotate", name, p=1 - (1 - happening.p) ** 0.5)
    if yes is None:
        return back
    (angle,) = torch.where(yes, math.pi * happening.uniform(name), 0)
    return product(back, _rotation(torch.cos(angle), torch.sin(angle)))


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    """Return [N, 3, 3] that multiplies coordinates."""
    zero = torch.zeros_like(x)
    return _affine(x, zero, zero, zero, y, zero)


def _rotation(cosine: Tensor, sine: Tensor) -> Tensor:
    """Return [N, 3, 3] that turns coordinates from x to y."""
    return _affine(cosine, -sine, torch.zeros_like(sine), sine, cosine, torch.zeros_like(sine))


def _translation(x: Tensor, y: Tensor) -> Tensor:
    """Return [N, 3, 3] that undoes a shift by ``x`` and ``y``."""
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return _affine(one, zero, -x, zero, one, -y)


def _affine(*entries: Tensor) -> Tensor:
    """Return [N, 3, 3] of the six numbers [N] of its first two rows."""
    zero, one = torch.zeros_like(entries[0]), torch.ones_like(entries[0])
    return torch.stack([*entries, zero, zero, one], dim=1).view(-1, 3, 3)


def _moved(x: Tensor, inverse: Tensor, *, finely: bool) -> Tensor:
    precision = working_precision(x)
    moved = (sampled_finely if finely else sampled)(x.to(precision), inverse.to(precision)).to(x.dtype)
    return torch.where(_changes(inverse), moved, x)


def _coloured(x: Tensor, happening: _Happening) -> Tensor:
    """Add to brightness, then multiply colours by a matrix (a number, where they are not three)."""
    added, matrix = _colours(happening)
    changed = (added != 0)[:, None, None, None] | _changes(matrix)
    precision = working_precision(x)
    y = x.to(precision) + added.to(precision)[:, None, None, None]
    if x.shape[1] == 3:
        y = product(matrix.to(precision), y.flatten(2)).view(x.shape)
    else:
        y = y * matrix[:, 0, 0].to(precision)[:, None, None, None]
    return torch.where(changed, y.to(x.dtype), x)


def _colours(happening: _Happening) -> tuple[Tensor, Tensor]:
    """Return what is added to all channels, [N], and the matrix that follows, [N, 3, 3].

    The last three mirror, turn and stretch colours about v = (1, 1, 1) / sqrt(3), the axis of grays.
    """
    matrix = one = happening.identity()
    added = torch.zeros_like(one[:, 0, 0])
    along = torch.ones_like(one) / 3  # v v^T
    around = (one.roll(1, 1) - one.roll(-1, 1)) / math.sqrt(3)  # takes c to v x c

    def spread(numbers: Tensor) -> Tensor:
        return numbers[:, None, None]

    if (yes := happening.to("brightness")) is not None:
        (added,) = torch.where(yes, 0.2 * happening.normal("brightness"), 0)
    if (yes := happening.to("contrast")) is not None:
        (power,) = torch.where(yes, 0.5 * happening.normal("contrast"), 0)
        matrix = matrix * spread(torch.exp2(power))
    if (yes := happening.to("luma_flip")) is not None:
        flips = torch.where(yes, happening.below("luma_flip", 2), 0)
        matrix = product(one - 2 * spread(flips) * along, matrix)
    if (yes := happening.to("hue")) is not None:
        (angle,) = torch.where(yes, math.pi * happening.uniform("hue"), 0)
        cosine, sine = spread(torch.cos(angle)), spread(torch.sin(angle))
        matrix = product(cosine * one + sine * around + (1 - cosine) * along, matrix)
    if (yes := happening.to("saturation")) is not None:
        (power,) = torch.where(yes, happening.normal("saturation"), 0)
        factor = spread(torch.exp2(power))
        matrix = product(factor * one + (1 - factor) * along, matrix)
    return added, matrix


def _cut(happening: _Happening, height: int, width: int) -> Tensor:
    """Return which pixels cutout takes, bool [N, 1, H, W]: those less than a quarter of the side from its centre."""
    yes = happening.chance.uniform("ada cutout happens", 1)[:, 0] < happening.p
    centre = happening.chance.uniform("ada cutout", 2)
    within = []
    for side, at in ((height, centre[:, 1]), (width, centre[:, 0])):
        pixels = (torch.arange(side, device=at.device) + 0.5) / side
        within.append((pixels - at[:, None]).abs() < 0.25)
    rows, columns = within
    return (yes[:, None, None] & rows[:, :, None] & columns[:, None, :])[:, None]


def _changes(transform: Tensor) -> Tensor:
    """Return where a transform is not the identity, bool [N, 1, 1, 1]."""
    identity = torch.eye(transform.shape[1], dtype=transform.dtype, device=transform.device)
    return (transform != identity).flatten(1).any(dim=1)[:, None, None, None]
