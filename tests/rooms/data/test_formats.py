"""Which image formats are opened, and by whom."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import biggan
from biggan.data.bounds import is_number
from biggan.data.contract import UnreadableImageError
from biggan.data.preparation.decoding import FORMATS, examine, load_image, scaled_to_bytes
from tests.data_kinds import as_pictures, some_images
from tests.rooms.data.helpers import loaded


def test_pillow_never_chooses_the_format_itself() -> None:
    """Every call of ``Image.open`` in the package says which formats it means."""
    calls = []
    for path in Path(biggan.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "open":
                owner = ast.unparse(node.func.value)
                if owner in ("Image", "PIL.Image"):
                    calls.append((path.name, [keyword.arg for keyword in node.keywords]))
    assert calls
    assert all("formats" in keywords for _, keywords in calls), calls


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n",
        b"8BPS\0\1" + bytes(100),
        b"<svg xmlns='http://www.w3.org/2000/svg' width='8' height='8'/>",
        b"\xd7\xcd\xc6\x9a" + bytes(100),
        b"\0\0\1\0\1\0" + bytes(100),
    ],
    ids=["EPS", "PSD", "SVG", "WMF", "ICO"],
)
def test_other_formats_under_a_name_that_is_known(content: bytes) -> None:
    for read in (examine, lambda file: load_image(file, "x.png")):
        with pytest.raises(UnreadableImageError):
            read(io.BytesIO(content))


def test_every_format_is_read(tmp_path: Path) -> None:
    folder = Path(as_pictures(some_images(1), tmp_path))
    seen = set()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            header = examine(file)
        image = loaded(path)
        assert image.mode in ("L", "RGB")
        assert sorted(image.size) == sorted(header.size)
        with Image.open(path) as plain:
            seen.add("JPEG" if plain.format == "MPO" else plain.format)
    assert seen == set(FORMATS)


def test_sixteen_bits_by_every_value() -> None:
    values = np.arange(65_536, dtype=np.uint16)
    exact = np.round(values / 257.0).astype(np.uint8)
    assert np.array_equal(scaled_to_bytes(values), exact)
    assert np.array_equal(scaled_to_bytes(values.astype(">u2").reshape(2, -1, 8)), exact.reshape(2, -1, 8))
    assert scaled_to_bytes(np.zeros((0, 3), np.uint16)).shape == (0, 3)
    many = np.resize(values, (3, 700, 1001))  # more than one block, and not a whole number of them
    assert np.array_equal(scaled_to_bytes(many), np.resize(exact, many.shape))


@pytest.mark.parametrize("text", ["²", "٣", "-1", "+1", "1.0", "", " 1", "1_0", "9" * 19, "x"])
def test_what_is_no_number(text: str) -> None:
    assert not is_number(text)
    assert is_number("007")
    assert is_number("9" * 18)
