"""One deterministic function from an image as it lies there to training bytes.

In order: orientation (EXIF), colours to sRGB (ICC profile), transparency onto white, 16 bits scaled to 8, gray or
colour as asked, centre crop to the target's aspect, Lanczos resize with antialiasing.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

from biggan.data.contract import ImageArray, UnreadableImageError
from biggan.foundation.errors import UserError

WHITE = (255, 255, 255, 255)
_SIXTEEN_BIT_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")


def load_image(path: Path) -> Image.Image:
    """Return the first frame of an image file, decoded, upright, 8 bits, in sRGB, gray (L) or colour (RGB).

    Raises:
        UnreadableImageError: it cannot be decoded whole, or has no defined white.
    """
    try:
        with Image.open(path) as image:
            if _is_deep_colour(image):
                image.close()
                return _deep_colour(path)
            image.load()
            return normalize(image)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{path}: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"{path}: {error}") from error


def normalize(image: Image.Image) -> Image.Image:
    """Return ``image`` upright, 8 bits, in sRGB, without transparency; mode L or RGB."""
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if image.mode in (*_SIXTEEN_BIT_GRAY, "I", "F"):
        return Image.fromarray(_eight_bits(image))
    if image.mode == "1":
        return image.convert("L")
    image = _to_srgb(image, profile)
    if image.mode == "P":
        transparent = "transparency" in image.info
        image = image.convert("RGBA") if transparent else image.convert("L" if _is_gray_palette(image) else "RGB")
    elif "transparency" in image.info and image.mode in ("L", "RGB"):
        image = image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        gray = image.mode in ("LA", "La")
        colour = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", colour.size, WHITE), colour)
        return flat.convert("L" if gray else "RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def fit(image: Image.Image, resolution: tuple[int, int], channels: int) -> ImageArray:
    """Return ``image`` cropped about its centre to the target's aspect and resized, uint8 [C, H, W].

    Raises:
        UserError: ``channels`` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise UserError(f"--data.channels {channels}: image files have 1 (gray) or 3 (colour)")
    image = image.convert("L" if channels == 1 else "RGB")
    height, width = resolution
    scale = min(image.width / width, image.height / height)
    crop_width, crop_height = max(round(width * scale), 1), max(round(height * scale), 1)
    left, top = (image.width - crop_width) // 2, (image.height - crop_height) // 2
    # Cut first: a resize of a part would let the filter see what lies beyond it.
    image = image.crop((left, top, left + crop_width, top + crop_height))
    array = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))


def fit_array(array: ImageArray, resolution: tuple[int, int], channels: int) -> ImageArray:
    """Do what :func:`fit` does to an array uint8 [C, H, W] of any number of channels."""
    if array.shape[0] != channels:
        if array.shape[0] not in (1, 3) or channels not in (1, 3):
            raise UserError(f"--data.channels {channels}: these images have {array.shape[0]}, which stay as they are")
        return fit(to_picture(array), resolution, channels)
    if array.shape[1:] == resolution:
        return array
    if channels in (1, 3):
        return fit(to_picture(array), resolution, channels)
    return np.concatenate([fit(Image.fromarray(plane), resolution, 1) for plane in array])


def to_picture(array: ImageArray) -> Image.Image:
    """Return an array uint8 [1 or 3, H, W] as a picture."""
    return Image.fromarray(array[0] if array.shape[0] == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale 16-bit gray to 8 bits: 65535 becomes 255."""
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise UnreadableImageError(
            f"{image.mode} images with values {values.min():g} to {values.max():g} have no defined white; "
            "convert them to 8 or 16 bits"
        )
    return np.round(values.astype(np.float64) / 257.0).astype(np.uint8)


def _is_deep_colour(image: Image.Image) -> bool:
    """Tell whether a PNG has more than 8 bits a channel and colour, of which Pillow would drop the lower ones."""
    tiles: Any = getattr(image, "tile", None)
    return image.format == "PNG" and bool(tiles) and str(tiles[0][3]) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _deep_colour(path: Path) -> Image.Image:
    """Decode a 16-bit colour PNG, which Pillow would cut to 8 bits, and scale it to 8 bits with rounding."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    data = torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor needs FFmpeg on the machine
            planes = decode_image(data, ImageReadMode.UNCHANGED).numpy()
    except RuntimeError as error:
        raise UnreadableImageError(str(error)) from error
    pixels = np.round(planes.astype(np.float64) / 257.0).astype(np.uint8).transpose(1, 2, 0)
    with Image.open(path) as head:
        info, exif = head.info, head.getexif()
    image = Image.fromarray(pixels, {2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]])
    image.info = {key: value for key, value in info.items() if key == "icc_profile"}
    if exif:
        image.info["exif"] = exif.tobytes()
    return normalize(image)


def _is_gray_palette(image: Image.Image) -> bool:
    palette = np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)
    used = palette[np.unique(np.asarray(image))] if len(palette) else palette
    return bool((used == used[:, :1]).all())


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert colours by the embedded profile; without one, or with one that cannot be read, assume sRGB."""
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower().replace(" ", ""):
            return image
        mode = "RGB" if image.mode == "CMYK" else image.mode
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError):
        return image
    return converted or image
