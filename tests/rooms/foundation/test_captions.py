"""Names on pictures: every letter is drawn, or one that stands for it, never a box."""

import unicodedata

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from biggan.foundation import captions
from biggan.foundation.captions import draw_caption, has, spelled


def drawn(text: str, longest: int = 24) -> Image.Image:
    picture = Image.new("RGB", (200, 16), "white")
    draw_caption(ImageDraw.Draw(picture), (2, 2), text, longest)
    return picture


def same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one, other).getbbox() is None


@pytest.fixture
def default() -> ImageFont.FreeTypeFont:
    font = ImageDraw.Draw(Image.new("RGB", (1, 1))).getfont()
    if not isinstance(font, ImageFont.FreeTypeFont):
        pytest.skip("this Pillow has no FreeType")
    return font


def test_letters_that_no_font_has_become_those_beneath_their_accents(
    monkeypatch: pytest.MonkeyPatch, default: ImageFont.FreeTypeFont
) -> None:
    monkeypatch.setattr(captions, "_fonts", tuple)
    assert not has(default, "Ö")
    assert spelled("Öl, Straße, Łódź, 中", default) == "Ol, Strasse, Lodz, ?"
    assert same(drawn("Öl"), drawn("Ol"))


def test_no_letter_of_a_name_is_a_box(default: ImageFont.FreeTypeFont) -> None:
    boxes = Image.new("RGB", (200, 16), "white")
    ImageDraw.Draw(boxes).text((2, 2), "Öl", fill="black", font=default)
    assert not same(drawn("Öl"), boxes)
    assert not same(drawn("Öl"), drawn("Äl")) or not captions._fonts()


def test_accents_that_stand_apart_are_drawn_as_one_letter(default: ImageFont.FreeTypeFont) -> None:
    assert same(drawn(unicodedata.normalize("NFD", "Öl é")), drawn("Öl é"))


def test_ascii_is_drawn_as_pillow_draws_it(default: ImageFont.FreeTypeFont) -> None:
    plain = Image.new("RGB", (200, 16), "white")
    ImageDraw.Draw(plain).text((2, 2), "daisy", fill="black")
    assert same(drawn("daisy"), plain)


def test_wide_letters_stay_within_the_room_of_narrow_ones(default: ImageFont.FreeTypeFont) -> None:
    box = ImageChops.difference(drawn("Ö" + "W" * 30, longest=10), Image.new("RGB", (200, 16), "white")).getbbox()
    assert box is not None
    assert box[2] <= 2 + 10 * 6 + 1
