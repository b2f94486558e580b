"""Names that come from files, drawn on pictures.

The font that comes with Pillow has ASCII and little else. Names of other letters take the first font of the machine
that has them all, and where there is none, the letters beneath their accents.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

from biggan.foundation.terminal import one_line

FONTS = (
    *("LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial.ttf", "segoeui.ttf"),
    *("Arial Unicode.ttf", "NotoSansCJK-Regular.ttc", "msgothic.ttc", "msyh.ttc", "malgun.ttf", "Hiragino Sans GB.ttc"),
)
"""Files of fonts as Linux, macOS and Windows call them, as they are asked in turn; Pillow knows the folders."""

_SIZE = 10
_WIDTH = 6
_NO_LETTER = "\U0010ffff"
_SPELLED = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L"}
)


def draw_caption(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, longest: int, fill: str = "black"
) -> None:
    """Draw the first ``longest`` characters of ``text`` as one line, whatever characters it has.

    Args:
        draw: of the picture.
        place: (left, top) in pixels.
        text: from anywhere.
        longest: characters; more are cut off, and what is wider than as many times 6 px.
        fill: colour.
    """
    shown = one_line(text, longest)[:longest]
    font = draw.getfont()
    if isinstance(font, ImageFont.ImageFont):  # Pillow without FreeType has a font of 256 letters
        shown = shown.encode("latin-1", "backslashreplace").decode("latin-1")[:longest]
    elif isinstance(font, ImageFont.FreeTypeFont) and not shown.isascii():
        shown, font = _lettered(shown, font)
        while font.getlength(shown) > _WIDTH * longest:
            shown = shown[:-1]
    draw.text(place, shown, fill=fill, font=font)


def spelled(text: str, font: ImageFont.FreeTypeFont) -> str:
    """Return ``text`` in letters that ``font`` has: those beneath accents, and ``?`` for what has no such letter."""
    return "".join(letter if has(font, letter) else _plain(letter, font) for letter in text)


def has(font: ImageFont.FreeTypeFont, letters: str) -> bool:
    """Whether ``font`` has all ``letters``, and would not draw a box in place of one."""
    box = bytes(font.getmask(_NO_LETTER))
    return all(letter.isspace() or bytes(font.getmask(letter)) != box for letter in letters)


def _lettered(text: str, default: ImageFont.FreeTypeFont) -> tuple[str, ImageFont.FreeTypeFont]:
    # Names from macOS have their accents apart, which no font draws well by itself.
    text = unicodedata.normalize("NFC", text)
    for font in (default, *_fonts()):
        if has(font, text):
            return text, font
    return spelled(text, default), default


def _plain(letter: str, font: ImageFont.FreeTypeFont) -> str:
    bare = unicodedata.normalize("NFKD", letter.translate(_SPELLED))
    kept = "".join(part for part in bare if not unicodedata.combining(part))
    return kept if kept and has(font, kept) else "?"


@lru_cache(maxsize=1)
def _fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    """Return those of FONTS that are there, and that which matplotlib brings, if it is installed."""
    files: list[str] = list(FONTS)
    plots = importlib.util.find_spec("matplotlib")
    if plots is not None and plots.origin is not None:
        files.append(str(Path(plots.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"))
    found = []
    for file in files:
        try:
            found.append(ImageFont.truetype(file, _SIZE))
        except OSError:
            continue
    return tuple(found)
