"""Folders of images that are made here, to train on where nothing can be fetched."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = {"circle": 0, "triangle": 3, "square": 4, "pentagon": 5, "star": -5, "flower": -7}
"""Names to corners; below zero every second corner lies further in."""
PHOTOGRAPHS = ("china.jpg", "flower.jpg")
"""That come with scikit-learn."""
_FINER = 4


def draw_shapes(folder: Path, each: int, side: int, seed: int = 0) -> None:
    """Write ``each`` images of every shape: colours, place, size and turn are drawn, the ground is a gradient."""
    for label, (name, corners) in enumerate(SHAPES.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng([seed, label])
        for number in range(each):
            _shape(draw, corners, side).save(folder / name / f"{number:05}.png")


def _shape(draw: np.random.Generator, corners: int, side: int) -> Image.Image:
    large = side * _FINER
    one, other = draw.uniform(0, 255, (2, 3))
    ramp = np.linspace(0, 1, large)[:, None, None]
    ground = np.broadcast_to((1 - ramp) * one + ramp * other, (large, large, 3))
    picture = Image.fromarray(ground.astype(np.uint8))
    colour = (np.array([*draw.uniform(0, 255, 3)]) + 255 * (draw.uniform(size=3) > 0.5)) % 256
    x, y = draw.uniform(0.4, 0.6, 2) * large
    radius, turn = draw.uniform(0.25, 0.4) * large, draw.uniform(0, 2 * math.pi)
    ImageDraw.Draw(picture).polygon(outline(corners, x, y, radius, turn), fill=tuple(int(c) for c in colour))
    return picture.resize((side, side), Image.Resampling.BOX)


def outline(corners: int, x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    """Return the points of a shape about (x, y), by its number of corners as in :data:`SHAPES`."""
    count = 48 if corners == 0 else abs(corners) * (2 if corners < 0 else 1)
    points = []
    for i in range(count):
        length = radius * (0.45 if corners < 0 and i % 2 else 1.0)
        angle = turn + 2 * math.pi * i / count
        points.append((x + length * math.cos(angle), y + length * math.sin(angle)))
    return points


def cut_photographs(folder: Path, each: int, side: int, seed: int = 0) -> None:
    """Write ``each`` windows of each of the two photographs of scikit-learn, of many sizes, resized to one."""
    from sklearn.datasets import load_sample_image

    for label, name in enumerate(PHOTOGRAPHS):
        place = folder / name.partition(".")[0]
        place.mkdir(parents=True, exist_ok=True)
        draw, photograph = np.random.default_rng([seed, label]), Image.fromarray(load_sample_image(name))
        for number in range(each):
            window = int(draw.integers(2 * side, min(photograph.size) // 2))
            left, top = (int(draw.integers(length - window)) for length in photograph.size)
            part = photograph.crop((left, top, left + window, top + window))
            part.resize((side, side), Image.Resampling.LANCZOS).save(place / f"{number:05}.png")
