"""From the bytes of an image file to 8 bits of gray or sRGB.

In order: orientation (EXIF), colours to sRGB (ICC profile), transparency onto a colour, 16 bits scaled to 8.
"""

from __future__ import annotations

import io
import warnings
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

from biggan.data.contract import UnreadableImageError

_SIXTEEN_BIT_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")


def load_image(file: IO[bytes], name: str, background: str = "white") -> Image.Image:
    """Return the first frame of an image file, decoded, upright, 8 bits, in sRGB, gray (L) or colour (RGB).

    Args:
        file: open for reading, at its start.
        name: how to call it in messages.
        background: colour beneath transparent pixels.

    Raises:
        UnreadableImageError: it cannot be decoded whole, or has no defined white.
    """
    try:
        with warnings.catch_warnings(), Image.open(file) as image:
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            if _is_deep_colour(image):
                return _deep_colour(file, image, background)
            image.load()
            return normalize(image, background)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name}: {error}") from error
    except Image.DecompressionBombError as error:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UnreadableImageError(f"{name}: more than {most / 1e6:.0f} million pixels; shrink it first") from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's or the network's, not the image's
        raise UnreadableImageError(f"{name}: {_reason(error, name)}") from error


def _reason(error: Exception, name: str) -> str:
    """Return what went wrong, in words that name no object in memory."""
    return "cannot identify image file" if isinstance(error, UnidentifiedImageError) else str(error).replace(name, "it")


def normalize(image: Image.Image, background: str = "white") -> Image.Image:
    """Return ``image`` upright, 8 bits, in sRGB, without transparency; mode L or RGB."""
    profile = image.info.get("icc_profile")
    ImageOps.exif_transpose(image, in_place=True)
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
        red, green, blue = ImageColor.getrgb(background)[:3]
        gray = image.mode in ("LA", "La") and red == green == blue
        colour = image.convert("RGBA")
        flat = Image.alpha_composite(Image.new("RGBA", colour.size, ImageColor.getrgb(background)), colour)
        return flat.convert("L" if gray else "RGB")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale 16-bit gray to 8 bits: 65535 becomes 255."""
    values = np.asarray(image)
    beyond = values.min(initial=0) < 0 or values.max(initial=0) > 65535
    # 32 bits that use 8: white is anybody's guess, and by 65535 all would be black.
    unclear = image.mode == "I" and values.max(initial=0) <= 255
    if image.mode == "F" or beyond or unclear:
        raise UnreadableImageError(
            f"{image.mode} images with values {values.min():g} to {values.max():g} have no defined white; "
            "convert them to 8 or 16 bits"
        )
    return np.round(values.astype(np.float64) / 257.0).astype(np.uint8)


def _is_deep_colour(image: Image.Image) -> bool:
    """Tell whether a PNG has more than 8 bits a channel and colour, of which Pillow would drop the lower ones."""
    tiles: Any = getattr(image, "tile", None)
    return image.format == "PNG" and bool(tiles) and str(tiles[0][3]) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _deep_colour(file: IO[bytes], head: Image.Image, background: str) -> Image.Image:
    """Decode a 16-bit colour PNG, which Pillow would cut to 8 bits, and scale it to 8 bits with rounding."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    info, exif = head.info, head.getexif()
    file.seek(0)
    data = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its successor needs FFmpeg on the machine
            planes = decode_image(data, ImageReadMode.UNCHANGED).numpy()
    except RuntimeError as error:
        raise UnreadableImageError(str(error)) from error
    pixels = np.round(planes.astype(np.float64) / 257.0).astype(np.uint8).transpose(1, 2, 0)
    image = Image.fromarray(pixels, {2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]])
    image.info = {key: value for key, value in info.items() if key == "icc_profile"}
    if exif:
        image.info["exif"] = exif.tobytes()
    return normalize(image, background)


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
