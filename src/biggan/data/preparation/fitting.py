"""One deterministic function from a decoded image to training bytes: crop, antialiased resize, gray or colour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageOps

from biggan.data.configuration import Crop, Filter, ReadingConfig
from biggan.foundation.errors import UserError

if TYPE_CHECKING:
    from biggan.data.contract import ImageArray

_FILTERS: dict[str, Image.Resampling] = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How images of any size become images of one size."""

    resolution: tuple[int, int]
    """(height, width)."""
    channels: int
    crop: Crop = "center"
    filter: Filter = "lanczos"
    background: str = "white"

    def __post_init__(self) -> None:
        try:
            ImageColor.getrgb(self.background)
        except ValueError as error:
            raise UserError(f"--data.background {self.background}: {error}; use a name or #rrggbb") from error


def preparation(config: ReadingConfig, resolution: tuple[int, int], channels: int) -> Preparation:
    """Return what ``config`` says about fitting images."""
    return Preparation(
        resolution=resolution,
        channels=channels,
        crop=config.crop,
        filter=config.filter,
        background=config.background,
    )


def fit(image: Image.Image, how: Preparation) -> ImageArray:
    """Return ``image`` at the size, aspect and channels asked for, uint8 [C, H, W].

    Args:
        image: 8 bits, gray or colour.
        how: what to do. The place of a random crop is decided by the image's own pixels.

    Raises:
        UserError: channels that are neither 1 nor 3.
    """
    if how.channels not in (1, 3):
        raise UserError(f"--data.channels {how.channels}: image files have 1 (gray) or 3 (colour)")
    mode = "L" if how.channels == 1 else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    height, width = how.resolution
    if how.crop == "pad":
        color = ImageColor.getcolor(how.background, mode)
        fitted = ImageOps.pad(image, (width, height), _FILTERS[how.filter], color=color)
    else:
        # Cut first: a resize of a part would let the filter see what lies beyond it.
        window = image if how.crop == "none" else image.crop(_window(image, how))
        fitted = window.resize((width, height), _FILTERS[how.filter])
    array = np.asarray(fitted)
    return np.ascontiguousarray(array[None] if how.channels == 1 else array.transpose(2, 0, 1))


def fit_array(array: ImageArray, how: Preparation) -> ImageArray:
    """Do what :func:`fit` does to an array uint8 [C, H, W] of any number of channels.

    Raises:
        UserError: channels that cannot become those asked for.
    """
    stored, channels = array.shape[0], how.channels
    if stored != channels:
        if stored not in (1, 3) or channels not in (1, 3):
            raise UserError(f"--data.channels {channels}: these images have {stored}, which stay as they are")
        return fit(to_picture(array), how)
    if array.shape[1:] == how.resolution:
        return array
    if channels in (1, 3):
        return fit(to_picture(array), how)
    plane = Preparation(
        resolution=how.resolution, channels=1, crop=how.crop, filter=how.filter, background=how.background
    )
    return np.concatenate([fit(Image.fromarray(values), plane) for values in array])


def to_picture(array: ImageArray) -> Image.Image:
    """Return an array uint8 [1 or 3, H, W] as a picture."""
    return Image.fromarray(array[0] if array.shape[0] == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def enlargement(size: tuple[int, int], how: Preparation) -> float:
    """Return the factor by which an image of (height, width) ``size`` is enlarged; below 1 it shrinks."""
    factors = [target / side for target, side in zip(how.resolution, size, strict=True)]
    return min(factors) if how.crop == "pad" else max(factors)


def _window(image: Image.Image, how: Preparation) -> tuple[int, int, int, int]:
    """Return the largest window of the target's aspect (left, top, right, bottom) at its place in an image."""
    (image_width, image_height), (height, width) = image.size, how.resolution
    scale = min(image_width / width, image_height / height)
    crop_width, crop_height = max(round(width * scale), 1), max(round(height * scale), 1)
    room = (image_width - crop_width, image_height - crop_height)
    if how.crop == "random":
        own = hashlib.sha256(image.tobytes()).digest()
        across, down = (int.from_bytes(part, "little") / 2**64 for part in (own[:8], own[8:16]))
        left, top = int(across * (room[0] + 1)), int(down * (room[1] + 1))
    else:
        left, top = room[0] // 2, 0 if how.crop == "top" else room[1] // 2
    return left, top, left + crop_width, top + crop_height
