"""From the bytes of an image file to an image of one size, by value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from biggan.data.preparation.fitting import fit, fit_array
from biggan.foundation.errors import UserError
from tests.data_kinds import png_16_bit
from tests.rooms.data.helpers import (
    loaded,
    through,
    to,
)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.array([[0, 1, 128, 129, 257, 32768, 65406, 65535]], dtype=np.uint16)
    expected = np.round(values / 257).astype(np.uint8)
    for name in ("x.png", "x.tif"):
        assert np.array_equal(through(tmp_path, Image.fromarray(values), name), expected)
    wide = values.astype(np.int32)
    assert np.array_equal(through(tmp_path, Image.fromarray(wide), "y.tif"), expected)


def test_sixteen_bit_colour_is_rounded_too(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    deep = loaded(png_16_bit(tmp_path / "rgb.png", pixels))
    assert deep.mode == "RGB"
    assert np.array_equal(np.asarray(deep), np.round(pixels / 257).astype(np.uint8))
    opaque = np.concatenate([pixels, np.full((5, 7, 1), 65535, np.uint16)], axis=2)
    assert np.array_equal(np.asarray(loaded(png_16_bit(tmp_path / "rgba.png", opaque))), np.asarray(deep))
    clear = opaque.copy()
    clear[..., 3] = 0
    assert (np.asarray(loaded(png_16_bit(tmp_path / "clear.png", clear))) == 255).all()


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    half = Image.new("RGBA", (4, 4), (200, 0, 0, 128))
    assert tuple(through(tmp_path, half)[0, 0]) == (227, 127, 127)
    assert (through(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 0))) == 255).all()
    gray = through(tmp_path, Image.new("LA", (4, 4), (0, 0)))
    assert gray.ndim == 2
    assert (gray == 255).all()
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert tuple(through(tmp_path, palette)[0, 0]) == (0, 0, 255)
    assert (through(tmp_path, palette, "t.png", transparency=1) == 255).all()


def test_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by a quarter to the right to see it upright
    turned = through(tmp_path, image, exif=exif)
    assert np.array_equal(turned, np.rot90(np.asarray(image), -1))


def test_colour_profiles_become_srgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (4, 4), (100, 150, 200))
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert tuple(through(tmp_path, image, icc_profile=same)[0, 0]) == (100, 150, 200)
    linear = _linear_profile()
    brighter = through(tmp_path, image, icc_profile=linear)[0, 0].astype(int)
    assert (brighter > [120, 170, 210]).all(), "numbers that meant linear light are brighter in sRGB"
    damaged = through(tmp_path, image, icc_profile=b"not a profile at all" * 10)
    assert tuple(damaged[0, 0]) == (100, 150, 200)


def _linear_profile() -> bytes:
    """Return an RGB profile with a linear tone curve, made from sRGB's by replacing its curves."""
    import struct

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for i in range(count):
        name, offset, size = struct.unpack(">4sII", data[132 + 12 * i : 144 + 12 * i])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + size] = (b"curv" + b"\0" * 4 + struct.pack(">I", 0)).ljust(size, b"\0")
        if name == b"desc":
            text = data[offset : offset + size].replace("sRGB".encode("utf-16-be"), "line".encode("utf-16-be"))
            data[offset : offset + size] = text.replace(b"sRGB", b"line")
    return bytes(data)


def test_cmyk_and_bilevel(tmp_path: Path) -> None:
    assert tuple(through(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.tif")[0, 0]) == (255, 0, 0)
    jpeg = through(tmp_path, Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "x.jpg", quality=95)
    assert np.abs(jpeg[0, 0].astype(int) - (255, 0, 0)).max() < 12
    assert set(np.unique(through(tmp_path, Image.new("1", (4, 4), 1), "b.png"))) == {255}


def test_animations_show_their_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert tuple(np.asarray(loaded(tmp_path / "a.gif"))[0, 0]) == (255, 0, 0)


def test_crop_is_central_and_keeps_the_aspect() -> None:
    pixels = np.zeros((40, 100), np.uint8)
    pixels[:, 30:70] = 200  # the central square
    assert (fit(Image.fromarray(pixels), to(16, 16, 1)) == 200).all()
    assert fit(Image.fromarray(pixels), to(16, 40, 1)).shape == (1, 16, 40)
    tall = np.zeros((100, 40), np.uint8)
    tall[30:70] = 100
    assert (fit(Image.fromarray(tall), to(32, 32, 3)) == 100).all()


def test_resizing_is_antialiased() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))
    shrunk = fit(Image.fromarray(stripes), to(8, 8, 1))
    assert np.abs(shrunk.astype(int) - 127).max() < 16


def test_the_right_size_is_left_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    assert np.array_equal(fit_array(pixels, to(16, 16, 3)), pixels)
    assert np.array_equal(fit(Image.fromarray(pixels.transpose(1, 2, 0)), to(16, 16, 3)), pixels)
    many = np.random.default_rng(0).integers(0, 256, (6, 20, 20), dtype=np.uint8)
    assert fit_array(many, to(16, 16, 6)).shape == (6, 16, 16)
    with pytest.raises(UserError, match="6, which stay as they are"):
        fit_array(many, to(16, 16, 3))
