"""Whether `auto` would mirror images that are drawn here: writing of many kinds beside shapes, and what looks the same.

Usage:
    python benchmarks/mirroring.py --out benchmarks/results/mirroring_cpu.json

Each set is drawn --draws times. Writing is another text on each image, in any place, in one of Matplotlib's fonts (the
extra `plots`). The first number is how many of the drawings may be mirrored: none should be of sets with writing, all
of the others. Single letters are of the whole alphabet, of which eleven look the same mirrored.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont

from biggan.presets.auto.mirroring import FINE, FINE_UP_TO, SIDE, Thumbnails, judge
from drawn import SHAPES, outline
from machine import describe
from report import Report

LETTERS, DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
WORDS = "cat Dog house tree River stone Bread light green Paris young seven paper train".split()
COLOURS = ((220, 40, 40), (40, 180, 60), (50, 70, 220), (230, 200, 40), (150, 40, 170), (40, 190, 200))
FINER = 4
"""Pixels that are drawn for each one of a thumbnail."""
LARGE = FINER * FINE

Images = npt.NDArray[np.float32]
Draw = np.random.Generator
Drawn = Callable[[Draw], Thumbnails]


def written(
    draw: Draw, texts: str | list[str], *, height: tuple[int, int], turn: float = 0, dark: bool = False
) -> Image.Image:
    """Return a picture with one of the texts on it, in letters of a size between the two, in pixels of a thumbnail."""
    import matplotlib

    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]  # which has few letters
    paper, ink = int(draw.integers(215, 256)), int(draw.integers(0, 60))
    picture = Image.new("RGB", (LARGE, LARGE), (paper,) * 3)
    font = ImageFont.truetype(str(fonts[draw.integers(len(fonts))]), FINER * int(draw.integers(*height)))
    text = texts[int(draw.integers(len(texts)))]
    brush = ImageDraw.Draw(picture)
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    x, y = (int(draw.integers(max(1, LARGE - length))) for length in (int(right - left), int(bottom - top)))
    brush.text((x - left, y - top), text, font=font, fill=(ink,) * 3)
    picture = picture.rotate(float(draw.uniform(-turn, turn)), fillcolor=(paper,) * 3)
    return Image.eval(picture, lambda value: 255 - value) if dark else picture


def shape(draw: Draw, kind: int, *, coloured: bool) -> Image.Image:
    """Return a picture of a shape in its kind's colour, or in a gray."""
    ground = tuple(map(int, draw.integers(180, 256, 3)))
    picture = Image.new("RGB", (LARGE, LARGE), ground)
    x, y, radius = (*(draw.uniform(0.3, 0.7, 2) * LARGE), draw.uniform(0.15, 0.35) * LARGE)
    points = outline(list(SHAPES.values())[kind], x, y, radius, draw.uniform(0, 2 * math.pi))
    fill = COLOURS[kind] if coloured else (int(draw.integers(0, 150)),) * 3
    ImageDraw.Draw(picture).polygon(points, fill=fill)
    return picture


def noise(draw: Draw, kind: int) -> Image.Image:
    """Return noise whose spectrum and colour are those of its kind."""
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(FINE), np.fft.fftfreq(FINE))) + 1 / FINE
    waves = np.fft.ifft2(np.fft.fft2(draw.normal(size=(3, FINE, FINE))) * frequencies ** -(0.6 + kind * 0.25)).real
    colour = np.array([kind % 3, kind // 3 % 3, kind // 9])[:, None, None] * 0.15 - 0.15
    values = 0.5 + 0.2 * (waves - waves.mean()) / waves.std() + colour
    return Image.fromarray((255 * values.clip(0, 1)).astype(np.uint8).transpose(1, 2, 0))


def thumbnails(classes: list[list[Image.Image]]) -> Thumbnails:
    """Return what `auto` looks at."""
    side = FINE if sum(map(len, classes)) <= FINE_UP_TO else SIDE
    small = [picture.resize((side, side), Image.Resampling.BOX) for pictures in classes for picture in pictures]
    images = np.stack([np.asarray(picture, np.float32) for picture in small]).transpose(0, 3, 1, 2) / 255
    return Thumbnails(images, np.repeat(np.arange(len(classes)), [len(pictures) for pictures in classes]))


def shapes(draw: Draw, count: int, *, coloured: bool = True) -> list[list[Image.Image]]:
    """Return a class of each colour, or all kinds in one class."""
    kinds = [[shape(draw, kind, coloured=coloured) for _ in range(count // 6)] for kind in range(6)]
    return kinds if coloured else [list(itertools.chain(*kinds))]


def writing(count: int, texts: str | list[str] = LETTERS, **how: Any) -> Callable[[Draw], list[Image.Image]]:
    """Return what draws a class of writing."""
    how = {"height": (16, 22) if texts is WORDS else (16, 44), **how}
    return lambda draw: [written(draw, texts, **how) for _ in range(count)]


def beside(count: int, *classes: Callable[[Draw], list[Image.Image]], coloured: bool = True) -> Drawn:
    """Return what draws classes of writing beside ``count`` shapes."""
    return lambda draw: thumbnails(
        [*(shapes(draw, count, coloured=coloured) if count else []), *(c(draw) for c in classes)]
    )


def noises(count: int, kinds: int) -> Drawn:
    """Return what draws classes of noise."""
    return lambda draw: thumbnails([[noise(draw, kind) for _ in range(count // kinds)] for kind in range(kinds)])


WITH_WRITING: dict[str, Drawn] = {
    "300 letters, 300 shapes": beside(300, writing(300), coloured=False),
    "300 letters turned by up to 25 degrees, 300 shapes": beside(300, writing(300, turn=25), coloured=False),
    "300 small letters, 300 shapes": beside(300, writing(300, height=(14, 22)), coloured=False),
    "200 letters on light paper, 200 on dark": beside(0, writing(200), writing(200, dark=True)),
    "100 words, 100 shapes": beside(100, writing(100, WORDS), coloured=False),
    "40 words, 160 shapes of six colours": beside(160, writing(40, WORDS)),
    "25 words, 160 shapes of six colours": beside(160, writing(25, WORDS)),
    "40 digits, 160 shapes of six colours": beside(160, writing(40, DIGITS)),
    "40 letters, 160 shapes of six colours": beside(160, writing(40)),
    "100 letters, 1,200 shapes of six colours": beside(1200, writing(100)),
    "50 digits, 1,200 shapes of six colours": beside(1200, writing(50, DIGITS)),
    "60 words, 1,200 shapes of six colours": beside(1200, writing(60, WORDS)),
    "40 words, 1,200 shapes of six colours": beside(1200, writing(40, WORDS)),
    "25 words, 1,200 shapes of six colours": beside(1200, writing(25, WORDS)),
}
WITHOUT: dict[str, Drawn] = {
    "200 shapes of six colours": beside(200),
    "400 shapes of six colours": beside(400),
    "1,500 shapes of six colours": beside(1500),
    "200 noises of 10 kinds": noises(200, 10),
    "400 noises of 10 kinds": noises(400, 10),
    "1,500 noises of 27 kinds": noises(1500, 27),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=[*WITH_WRITING, *WITHOUT], default=[*WITH_WRITING, *WITHOUT])
    parser.add_argument("--draws", type=int, default=6)
    parser.add_argument("--out", type=Path, help="the results, as JSON")
    options = parser.parse_args()
    report = Report(options.out, float("inf"))
    report.put("", describe(torch.device("cpu")))
    for name in options.sets:
        allowed, longest = 0, 0.0
        for number in range(options.draws):
            seen = (WITH_WRITING | WITHOUT)[name](np.random.default_rng([number, len(name)]))
            began = time.perf_counter()
            allowed += judge(seen).allowed
            longest = max(longest, time.perf_counter() - began)
        found = {"writing": name in WITH_WRITING, "draws": options.draws, "mirrored": allowed, "seconds": longest}
        report.put(f"| {name} | {allowed} of {options.draws} | {longest:.1f} s |", found, "sets", name)


if __name__ == "__main__":
    main()
