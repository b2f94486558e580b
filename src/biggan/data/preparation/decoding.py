"""From the bytes of an image file to 8 bits of gray or sRGB: the only place that gives files to Pillow.

In order: orientation (EXIF), colours to sRGB (ICC profile), transparency onto a colour, 16 bits scaled to 8.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import warnings
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageColor, UnidentifiedImageError

from biggan.data.bounds import MOST_DECODED, MOST_ENCODED, reason
from biggan.data.contract import UnreadableImageError

FORMATS = {
    "JPEG": "Jpeg",
    "PNG": "Png",
    "WEBP": "WebP",
    "BMP": "Bmp",
    "GIF": "Gif",
    "TIFF": "Tiff",
    "PPM": "Ppm",
    "JPEG2000": "Jpeg2K",
    "AVIF": "Avif",
    "TGA": "Tga",
}
"""The formats that are ever opened -> Pillow's module. EPS starts a program, and of others nobody trains on any."""
TRANSIENT = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR)
"""What a file server that hiccups says: no fault of the image's."""
_SIXTEEN_BIT_GRAY = ("I;16", "I;16L", "I;16B", "I;16N")
_GRAY_MODES = ("1", "L", "LA", "La", "I", *_SIXTEEN_BIT_GRAY)
_BLOCK = 2**20  # values scaled at a time
_PIECE = 2**20  # bytes read at a time
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Once for the process: setting filters around each image is not safe in threads. What they tell of a file (a broken
# EXIF block, many pixels) is either without consequence or an error here.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Header(NamedTuple):
    """What the first bytes of an image file say."""

    size: tuple[int, int]
    mode: str
    frames: bool
    gray: bool


def examine(file: IO[bytes]) -> Header:
    """Return what the header of an image file says, without decoding its pixels.

    Raises:
        UnreadableImageError: no image, or one that cannot be used; the message does not name it.
        OSError: the file server's trouble, see :data:`TRANSIENT`.
    """
    with _ours(), _opened(file) as image:
        if image.mode == "F":
            raise UnreadableImageError("floating-point images have no defined white; convert them to 8 or 16 bits")
        gray = image.mode in _GRAY_MODES or (image.mode == "P" and _gray_palette(image))
        return Header((image.height, image.width), image.mode, bool(getattr(image, "is_animated", False)), gray)


def load_image(file: IO[bytes], name: str, background: str = "white") -> Image.Image:
    """Return the first frame of an image file, decoded, upright, 8 bits, in sRGB, gray (L) or colour (RGB).

    Args:
        file: open for reading, at its start.
        name: how to call it in messages.
        background: colour beneath transparent pixels.

    Raises:
        UnreadableImageError: it cannot be decoded whole, is too large, or has no defined white.
        OSError: the file server's trouble, see :data:`TRANSIENT`.
    """
    try:
        with _ours(), _opened(file) as image:
            if _is_deep_colour(image):
                return _deep_colour(file, image, background)
            image.load()
            return normalize(image, background)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{name}: {str(error).replace(name, 'it')}") from error


def read_whole(file: IO[bytes]) -> bytes:
    """Return all bytes of an image file.

    Raises:
        UnreadableImageError: it is larger than any image.
    """
    data = bytearray()
    # Python sets aside at once what a single read is allowed to return.
    while piece := file.read(_PIECE):
        data += piece
        if len(data) > MOST_ENCODED:
            raise UnreadableImageError(f"larger than {MOST_ENCODED // 2**20} MiB, which is no image")
    return bytes(data)


@contextlib.contextmanager
def _ours() -> Iterator[None]:
    """Turn whatever a decoder raises at damaged bytes into the one error of this module."""
    try:
        yield
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:  # says where the object lies in memory
        raise UnreadableImageError("cannot identify image file") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in TRANSIENT:
            raise
        raise UnreadableImageError(reason(error)) from error


@contextlib.contextmanager
def _opened(file: IO[bytes]) -> Iterator[Image.Image]:
    """Yield an image whose header was read, and whose pixels may be."""
    with Image.open(file, formats=_formats()) as image:
        size = image.width * image.height * _pixel_bytes(image)
        if not size:
            raise UnreadableImageError(f"{image.width} x {image.height} pixels are no image")
        if size > MOST_DECODED:
            raise UnreadableImageError(
                f"{image.width} x {image.height} pixels are {size / 2**20:,.0f} MiB once decoded, and at most "
                f"{MOST_DECODED // 2**20} MiB may be; shrink it first"
            )
        yield image


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return those of :data:`FORMATS` that this Pillow knows, after loading them and no others."""
    for module in FORMATS.values():
        with contextlib.suppress(ImportError):  # AVIF came late
            importlib.import_module(f"PIL.{module}ImagePlugin")
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _pixel_bytes(image: Image.Image) -> int:
    if image.mode in ("I", "F"):
        return 4
    return len(image.getbands()) * (2 if image.mode in _SIXTEEN_BIT_GRAY or _is_deep_colour(image) else 1)


def normalize(image: Image.Image, background: str = "white") -> Image.Image:
    """Return ``image`` upright, 8 bits, in sRGB, without transparency; mode L or RGB."""
    profile = image.info.get("icc_profile")
    image = _upright(image)
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


def scaled_to_bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Return 0..65535 scaled to 0..255 with rounding, of any shape, with little memory beside the result."""
    if values.ndim == 0 or not values.size:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    found = np.empty(values.shape, dtype=np.uint8)
    rows = max(1, _BLOCK * len(values) // values.size)
    for start in range(0, len(values), rows):
        # 257 is odd: no value lies half-way, so that this is the nearest byte.
        found[start : start + rows] = (values[start : start + rows].astype(np.uint32) + 128) // 257
    return found


def _upright(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF block says it is held; as it lies there if that block cannot be read."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # a broken block raises anything
        return image
    return image if turn is None else image.transpose(turn)


def _eight_bits(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale 16-bit gray to 8 bits: 65535 becomes 255."""
    values = np.asarray(image)
    least, most = values.min(initial=0), values.max(initial=0)
    # 32 bits that use 8: white is anybody's guess, and by 65535 all would be black.
    unclear = image.mode == "I" and most <= 255
    if image.mode == "F" or least < 0 or most > 65535 or unclear:
        raise UnreadableImageError(
            f"{image.mode} images with values {least:g} to {most:g} have no defined white; convert them to 8 or 16 bits"
        )
    return scaled_to_bytes(values)


def _is_deep_colour(image: Image.Image) -> bool:
    """Tell whether a PNG has more than 8 bits a channel and colour, of which Pillow would drop the lower ones."""
    tiles: Any = getattr(image, "tile", None)
    return image.format == "PNG" and bool(tiles) and str(tiles[0][3]) in ("RGB;16B", "RGBA;16B", "LA;16B")


def _deep_colour(file: IO[bytes], head: Image.Image, background: str) -> Image.Image:
    """Decode a 16-bit colour PNG, which Pillow would cut to 8 bits, and scale it to 8 bits with rounding."""
    import torch
    from torchvision.io import ImageReadMode, decode_image

    # Its successor needs FFmpeg on the machine.
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torchvision\.io")
    info, exif = head.info, head.getexif()
    file.seek(0)
    data = torch.frombuffer(bytearray(read_whole(file)), dtype=torch.uint8)
    planes = decode_image(data, ImageReadMode.UNCHANGED).numpy()
    pixels = scaled_to_bytes(planes.transpose(1, 2, 0))
    image = Image.fromarray(pixels, {2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]])
    image.info = {key: value for key, value in info.items() if key == "icc_profile"}
    if exif:
        image.info["exif"] = exif.tobytes()
    return normalize(image, background)


def _is_gray_palette(image: Image.Image) -> bool:
    """Tell whether the entries of a palette that pixels use are gray."""
    palette = _palette(image)
    used = np.flatnonzero(image.histogram()[:256])
    found = palette[used[used < len(palette)]]  # beyond its end, palettes are a gray wedge
    return bool((found == found[:, :1]).all())


def _gray_palette(image: Image.Image) -> bool:
    palette = _palette(image)
    return "transparency" not in image.info and bool((palette == palette[:, :1]).all())


def _palette(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(image.getpalette() or [], dtype=np.uint8).reshape(-1, 3)


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
    except Exception:  # as with the EXIF block
        return image
    return converted or image
