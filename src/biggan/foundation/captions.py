"""Names that come from files, drawn on pictures."""

from __future__ import annotations

from PIL import ImageDraw, ImageFont

from biggan.foundation.terminal import one_line


def draw_caption(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, longest: int, fill: str = "black"
) -> None:
    """Draw the first ``longest`` characters of ``text`` as one line, whatever characters it has.

    Args:
        draw: of the picture.
        place: (left, top) in pixels.
        text: from anywhere.
        longest: characters; more are cut off.
        fill: colour.
    """
    shown = one_line(text, longest)[:longest]
    font = draw.getfont()
    if isinstance(font, ImageFont.ImageFont):  # Pillow without FreeType has a font of 256 letters
        shown = shown.encode("latin-1", "backslashreplace").decode("latin-1")[:longest]
    draw.text(place, shown, fill=fill, font=font)
