"""Whether auto may mirror images: asked of classifiers, never where they see writing or what only looks one way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from biggan.data.configuration import DataConfig
from biggan.presets.auto import handedness
from biggan.presets.auto.looking import look
from biggan.presets.auto.mirroring import Thumbnails, judge

SIDE = 32
LETTERS = "BCDEFGJKLPQRSZ"
"""Those that are others, or none, when mirrored."""


def bars(count: int, *, symmetrical: bool, seed: int) -> Thumbnails:
    """Bars of four kinds: at the left, right, top or bottom; or (symmetrical) at four heights."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 4, count)
    images = draw.uniform(0, 0.3, (count, 1, 16, 16)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        if symmetrical:
            image[0, 4 * label : 4 * label + 3] += 0.6
        else:
            np.rot90(image[0], label)[:, 2:5] += 0.6
    return Thumbnails(images, labels.astype(np.int64))


def discs(count: int, seed: int) -> Thumbnails:
    """Discs of two sizes, anywhere: they look the same mirrored."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, count)
    return Thumbnails(np.stack([small(disc(draw, int(label))) for label in labels]), labels.astype(np.int64))


def disc(draw: np.random.Generator, kind: int) -> Image.Image:
    picture = Image.new("L", (4 * SIDE, 4 * SIDE), int(draw.integers(180, 256)))
    radius = 16 + 28 * kind
    x, y = draw.integers(radius, 4 * SIDE - radius, 2)
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(draw.integers(90)))
    return picture


def writing(count: int, seed: int, *, words: bool = False, papers: tuple[int, ...] = (230,)) -> np.ndarray:
    """Another letter or word on each image, anywhere, of any size, on papers of these brightnesses."""
    draw = np.random.default_rng(seed)
    return np.stack([small(written(draw, 3 if words else 1, papers[draw.integers(len(papers))])) for _ in range(count)])


def written(draw: np.random.Generator, letters: int, paper: int) -> Image.Image:
    picture = Image.new("L", (4 * SIDE, 4 * SIDE), paper)
    font = ImageFont.load_default(int(draw.integers(40, 90) if letters == 1 else draw.integers(36, 44)))
    text = "".join(LETTERS[index] for index in draw.integers(len(LETTERS), size=letters))
    brush = ImageDraw.Draw(picture)
    left, top, right, bottom = brush.textbbox((0, 0), text, font=font)
    x, y = draw.integers(max(1, 4 * SIDE - (right - left))), draw.integers(max(1, 4 * SIDE - (bottom - top)))
    brush.text((x - left, y - top), text, font=font, fill=30 if paper > 127 else 220)
    return picture


def small(picture: Image.Image) -> np.ndarray:
    """Return the picture as float32 [1, 32, 32] in [0, 1]."""
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)[None] / 255


def beside(seen: Thumbnails, images: np.ndarray) -> Thumbnails:
    """Return the images of a further class beside others."""
    label = int(seen.labels.max()) + 1
    return Thumbnails(np.concatenate([seen.images, images]), np.append(seen.labels, [label] * len(images)))


@pytest.mark.parametrize("symmetrical", [True, False])
def test_mirroring_is_for_classes_that_survive_it(symmetrical: bool) -> None:
    assert judge(bars(360, symmetrical=symmetrical, seed=1)).allowed is symmetrical


def test_one_class_of_strokes_among_others_is_enough() -> None:
    strokes = bars(100, symmetrical=True, seed=2).images
    strokes[:, 0, 2:14, 1:3] += 0.25  # at the left of all of them
    assert not judge(beside(bars(700, symmetrical=True, seed=1), strokes)).allowed


def test_what_looks_the_same_mirrored_may_be_mirrored() -> None:
    found = judge(discs(300, seed=0))
    assert found.allowed, found.reason


@pytest.mark.parametrize(
    "classes",
    [
        lambda: beside(discs(300, seed=1), writing(150, 2)),
        lambda: beside(discs(300, seed=1), writing(60, 2, words=True)),
        lambda: beside(discs(40, seed=1), writing(100, 2, papers=(20, 235))),
        lambda: beside(Thumbnails(writing(150, 3), np.zeros(150, np.int64)), writing(150, 4, papers=(20,))),
    ],
    ids=["letters", "words", "letters on two papers", "two classes of letters by their paper"],
)
def test_writing_anywhere_is_not_mirrored(classes: Callable[[], Thumbnails]) -> None:
    """Another text on each image, in any place: nothing that lies at the same place in all of them."""
    found = judge(classes())
    assert not found.allowed
    assert "as it does of writing" in found.reason


def test_one_class_of_writing_among_many_images_is_enough() -> None:
    found = judge(beside(discs(500, seed=1), writing(60, 2, words=True)))
    assert not found.allowed
    assert "of one class" in found.reason


def test_of_a_folder_of_few_images_details_are_looked_at(tmp_path: Path) -> None:
    """Words that thumbnails of 32 px smear."""
    draw = np.random.default_rng(0)
    for label in (0, 1):
        for number in range(60):
            save(disc(draw, label), tmp_path / "discs" / f"of kind {label}" / f"{number}.png")
            save(disc(draw, label), tmp_path / "words" / f"of kind {label}" / f"{number}.png")
    for number in range(30):
        picture = Image.new("L", (4 * SIDE, 4 * SIDE), int(draw.integers(180, 256)))
        text = "".join(LETTERS[index] for index in draw.integers(len(LETTERS), size=4))
        place = tuple(map(int, draw.integers(0, (80, 100))))
        ImageDraw.Draw(picture).text(place, text, font=ImageFont.load_default(13), fill=int(draw.integers(90)))
        save(picture, tmp_path / "words" / "written" / f"{number}.png")
    found = {name: look(DataConfig(path=str(tmp_path / name)), mirror=True).mirroring for name in ("discs", "words")}
    assert found["discs"].allowed, found["discs"].reason
    assert not found["words"].allowed
    assert "as it does of writing" in found["words"].reason


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def test_a_description_by_pieces_changes_its_sign_with_the_image() -> None:
    images = writing(20, 5)
    vectors = handedness.by_pieces(images)
    assert vectors.shape == (20, 2, 2 * handedness.FILTERS * len(handedness.SIZES))
    assert np.array_equal(vectors[:, 0], -vectors[:, 1])
    evened = handedness._evened(images)
    pieces = handedness._pieces(evened, 5)
    odd, mirrored = handedness._odd(evened, pieces), handedness._odd(evened[..., ::-1], pieces)
    assert np.abs(odd + mirrored).max() < 1e-4 * np.abs(odd).max()


def test_a_classifier_that_only_guesses_says_so() -> None:
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 1, (600, 1, 16, 16)).astype(np.float32)
    labels = (np.arange(600) % 100 == 0).astype(np.int64)  # one class has nearly all images
    found = judge(Thumbnails(images, labels))
    assert found.reason == "a classifier knows 99% of held-out images, guessing 99%, so it cannot be asked"


def test_digits_and_images_without_classes_are_never_mirrored() -> None:
    digits = look(DataConfig(path="digits"), mirror=True)
    assert not digits.mirroring.allowed
    assert (digits.images, digits.channels, len(digits.class_counts)) == (1797, 1, 10)
    alone = look(DataConfig(path="digits", labels="unconditional"), mirror=True)
    assert not alone.mirroring.allowed
    assert "without classes" in alone.mirroring.reason
