"""The pipeline of ADA: every part alone, by what it does, and all together, by the paper's figure in NumPy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import ndimage, stats

from biggan.augmentation.ada import COLOUR, GEOMETRY, PARTS, AdaPipeline
from biggan.augmentation.moving import by_sorted_rows, picked, sampled
from tests.rooms.augmentation.test_contract import chance, images

N = 1024
Array = npt.NDArray[np.float64]


def only(*parts: str, p: float = 1.0) -> AdaPipeline:
    return AdaPipeline(p, without=tuple(part for part in PARTS if part not in parts), resampling="bilinear")


def sources(pipeline: AdaPipeline, n: int = N, height: int = 33, width: int = 33) -> Array:
    """Return where pixels at the middle of an image come from, [N, 2, 3] as a map of (x, y, 1), from what is seen.

    Images are ramps, on which bilinear interpolation is exact.
    """
    down, across = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    ramps = torch.from_numpy(np.stack([across - (width - 1) / 2, down - (height - 1) / 2, 0.0 * down]))
    y = pipeline.view(ramps.expand(n, -1, -1, -1), chance(n))[:, :2].numpy()
    i, j = height // 2, width // 2
    middle = y[:, :, i, j]
    return np.stack([y[:, :, i, j + 1] - middle, y[:, :, i + 1, j] - middle, middle], axis=2)


def test_xflip() -> None:
    x = images(N, 3, 4, 5)
    y = only("xflip").view(x, chance(N))
    same, flipped = ((y == other).flatten(1).all(dim=1) for other in (x, x.flip(3)))
    assert (same ^ flipped).all()
    assert stats.binomtest(int(flipped.sum()), N).pvalue > 1e-4


@pytest.mark.parametrize("side", [6, 7])
def test_rotate90(side: int) -> None:
    x = images(N, 1, side, side)
    y = only("rotate90").view(x, chance(N))
    turned = torch.stack([(y == x.rot90(k, (2, 3))).flatten(1).all(dim=1) for k in range(4)])
    assert (turned.sum(dim=0) == 1).all(), "to the bit"
    assert stats.chisquare(turned.sum(dim=1).numpy()).pvalue > 1e-4
    wide = images(4, 1, side, side + 1)
    assert torch.equal(only("rotate90").view(wide, chance(4)), wide)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (13, 9)])
def test_integer_translation(height: int, width: int) -> None:
    code = torch.arange(height * width, dtype=torch.float32).view(1, height, width)
    y = only("integer_translation").view(code.expand(N, -1, -1, -1), chance(N)).numpy()
    middle = y[:, 0, height // 2, width // 2].astype(int)
    down, right = height // 2 - middle // width, width // 2 - middle % width
    for shift, side in ((down, height), (right, width)):
        most = round(side / 8)
        edges = np.clip(np.arange(-most, most + 2) - 0.5, -side / 8, side / 8) / (side / 4)
        counts = np.bincount(shift + most, minlength=2 * most + 1)
        assert stats.chisquare(counts, np.diff(edges) * N).pvalue > 1e-4
    for n in range(16):
        wider = np.pad(code[0].numpy(), 4, mode="reflect")
        top, left = 4 - down[n], 4 - right[n]
        assert np.array_equal(y[n, 0], wider[top : top + height, left : left + width])


def test_scale() -> None:
    map_ = sources(only("scale"))
    factor = 1 / map_[:, 0, 0]
    assert np.allclose(map_[:, :, :2], np.eye(2) / factor[:, None, None], atol=1e-9)
    assert np.allclose(map_[:, :, 2], 0, atol=1e-9)
    assert stats.kstest(np.log2(factor), "norm", (0, 0.2)).pvalue > 1e-4


def test_anisotropic_scale() -> None:
    map_ = sources(only("anisotropic_scale"))
    assert np.allclose(np.linalg.det(map_[:, :, :2]), 1, atol=1e-9)
    assert np.allclose(map_[:, 0, 1], 0)
    assert np.allclose(map_[:, 1, 0], 0)
    assert stats.kstest(np.log2(map_[:, 1, 1]), "norm", (0, 0.2)).pvalue > 1e-4


def test_rotate() -> None:
    map_ = sources(only("rotate"))
    turn = map_[:, :, :2]
    assert np.allclose(turn @ turn.transpose(0, 2, 1), np.eye(2), atol=1e-9)
    assert np.allclose(np.linalg.det(turn), 1)
    angle = np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    assert stats.kstest(angle, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-4
    for p in (0.2, 0.7):
        turned = np.abs(sources(only("rotate", p=p))[:, 0, 0] - 1) > 1e-9
        assert stats.binomtest(int(turned.sum()), N, p).pvalue > 1e-4, "either occasion, together p"


def test_fractional_translation() -> None:
    map_ = sources(only("fractional_translation"), height=33, width=65)
    assert np.allclose(map_[:, :, :2], np.eye(2), atol=1e-9)
    for axis, side in ((0, 65), (1, 33)):
        assert stats.kstest(-map_[:, axis, 2] / side, "norm", (0, 0.125)).pvalue > 1e-4
    assert abs(np.corrcoef(map_[:, 0, 2], map_[:, 1, 2])[0, 1]) < 5 / N**0.5


@pytest.mark.parametrize("p", [0.1, 0.6])
@pytest.mark.parametrize("part", sorted(set(PARTS) - {"rotate"}))
def test_a_part_happens_with_probability_p(part: str, p: float) -> None:
    x = images(N, 3, 9, 9)
    changed = (only(part, p=p).view(x, chance(N)) != x).flatten(1).any(dim=1).sum()
    # A flip by half, turns by one of four, shifts of 9 px by (1 / 2.25)^2 are no change.
    whole = {"xflip": 1 / 2, "luma_flip": 1 / 2, "rotate90": 3 / 4, "integer_translation": 1 - (1 / 2.25) ** 2}
    assert stats.binomtest(int(changed), N, p * whole.get(part, 1)).pvalue > 1e-4


def test_parts_happen_independently() -> None:
    x = images(N, 3, 9, 9)
    table = np.stack(
        [(only(part, p=0.5).view(x, chance(N)) != x).flatten(1).any(dim=1).double().numpy() for part in PARTS]
    )
    assert abs(np.corrcoef(table) - np.eye(len(PARTS))).max() < 5 / N**0.5


def by_the_figure(n: int, height: int, width: int, p: float) -> tuple[Array, Array]:
    """Return G [N, 3, 3] and C [N, 4, 4] of the paper: each part multiplied on the left, as it is written there."""
    draws = chance(n)

    def column(kind: str, name: str, index: int = 0, **rest: int) -> Array:
        table = getattr(draws, kind)(f"ada {name}", index + 1, **rest)
        return np.asarray(table[:, index].double().numpy())

    def happens(name: str, probability: float = p) -> Array:
        return column("uniform", f"{name} happens") < np.float32(probability)

    def turn(angle: float) -> Array:
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def shift(x: float, y: float) -> Array:
        return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]])

    def spread(name: str) -> Array:
        return 2 * column("uniform", name) - 1

    rotates = 1 - np.sqrt(1 - p)
    maps, colours = [], []
    v = np.array([1, 1, 1, 0])[:, None] / np.sqrt(3)
    for k in range(n):
        G, C = np.eye(3), np.eye(4)
        if happens("xflip")[k]:
            G = np.diag([1 - 2 * column("integers", "xflip", below=2)[k], 1, 1]) @ G
        if height == width and happens("rotate90")[k]:
            G = turn(-np.pi / 2 * column("integers", "rotate90", below=4)[k]) @ G
        if happens("integer_translation")[k]:
            x, y = (0.125 * (2 * column("uniform", "integer_translation", i)[k] - 1) for i in (0, 1))
            G = shift(np.round(x * width), np.round(y * height)) @ G
        if happens("scale")[k]:
            s = np.exp(0.2 * np.log(2) * column("normal", "scale")[k])
            G = np.diag([s, s, 1]) @ G
        if happens("rotate before", rotates)[k]:
            G = turn(-np.pi * spread("rotate before")[k]) @ G
        if happens("anisotropic_scale")[k]:
            s = np.exp(0.2 * np.log(2) * column("normal", "anisotropic_scale")[k])
            G = np.diag([s, 1 / s, 1]) @ G
        if happens("rotate after", rotates)[k]:
            G = turn(-np.pi * spread("rotate after")[k]) @ G
        if happens("fractional_translation")[k]:
            G = (
                shift(
                    *(
                        0.125 * side * column("normal", "fractional_translation", i)[k]
                        for i, side in ((0, width), (1, height))
                    )
                )
                @ G
            )
        if happens("brightness")[k]:
            T = np.eye(4)
            T[:3, 3] = 0.2 * column("normal", "brightness")[k]
            C = T @ C
        if happens("contrast")[k]:
            c = np.exp(0.5 * np.log(2) * column("normal", "contrast")[k])
            C = np.diag([c, c, c, 1]) @ C
        if happens("luma_flip")[k]:
            C = (np.eye(4) - 2 * v @ v.T * column("integers", "luma_flip", below=2)[k]) @ C
        if happens("hue")[k]:
            angle = np.pi * spread("hue")[k]
            turned = np.eye(4)
            for i in range(3):  # Rodrigues
                e, axis = np.eye(3)[i], v[:3, 0]
                turned[:3, i] = (
                    e * np.cos(angle) + np.cross(axis, e) * np.sin(angle) + axis * (axis @ e) * (1 - np.cos(angle))
                )
            C = turned @ C
        if happens("saturation")[k]:
            s = np.exp(np.log(2) * column("normal", "saturation")[k])
            kept = np.eye(4) - v @ v.T
            kept[3, 3] = 0
            C = (v @ v.T + np.diag([0, 0, 0, 1]) + kept * s) @ C
        maps.append(G)
        colours.append(C)
    return np.stack(maps), np.stack(colours)


@pytest.mark.parametrize(("height", "width", "p"), [(9, 9, 1.0), (8, 14, 0.6)])
def test_all_together_as_in_the_papers_figure(height: int, width: int, p: float) -> None:
    n = 24
    G, C = by_the_figure(n, height, width, p)
    x = images(n, 3, height, width, dtype=torch.float64)
    y = AdaPipeline(p, resampling="bilinear").view(x, chance(n)).numpy()
    down, across = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    for k in range(n):
        at = np.linalg.inv(G[k]) @ np.stack([across.ravel(), down.ravel(), np.ones(height * width)])
        where = at[[1, 0]] + np.array([[(height - 1) / 2], [(width - 1) / 2]])
        moved = np.stack([ndimage.map_coordinates(plane, where, order=1, mode="mirror") for plane in x[k].numpy()])
        expected = (C[k] @ np.concatenate([moved, np.ones((1, height * width))]))[:3]
        assert np.allclose(y[k].reshape(3, -1), expected, atol=1e-9)


def test_colours() -> None:
    x = images(N, 3, 2, 2, dtype=torch.float64)
    gray = x.mean(dim=1, keepdim=True)

    def seen(part: str) -> torch.Tensor:
        return only(part).view(x, chance(N))

    added = (seen("brightness") - x).numpy()
    assert np.allclose(added, added[:, :1, :1, :1])
    assert stats.kstest(added[:, 0, 0, 0], "norm", (0, 0.2)).pvalue > 1e-4
    factor = (seen("contrast") / x).numpy()
    assert np.allclose(factor, factor[:, :1, :1, :1])
    assert stats.kstest(np.log2(factor[:, 0, 0, 0]), "norm", (0, 0.5)).pvalue > 1e-4
    flipped = seen("luma_flip")
    one_of = torch.stack([(flipped - other).abs().amax((1, 2, 3)) < 1e-9 for other in (x, x - 2 * gray)])
    assert (one_of.sum(dim=0) == 1).all()
    assert stats.binomtest(int(one_of[0].sum()), N).pvalue > 1e-4
    hue = seen("hue")
    assert torch.allclose(hue.mean(dim=1, keepdim=True), gray)
    assert torch.allclose(hue.norm(dim=1), x.norm(dim=1)), "a turn"
    one, other = (x - gray)[:, :, 0, 0], (hue - gray)[:, :, 0, 0]
    axis = torch.ones(1, 3, dtype=torch.float64) / 3**0.5
    angle = torch.atan2((torch.linalg.cross(one, other) * axis).sum(dim=1), (one * other).sum(dim=1)).numpy()
    assert stats.kstest(angle, "uniform", (-np.pi, 2 * np.pi)).pvalue > 1e-4
    stretch = ((seen("saturation") - gray) / (x - gray)).numpy()
    assert np.allclose(stretch, stretch[:, :1, :1, :1])
    assert stats.kstest(np.log2(stretch[:, 0, 0, 0]), "norm", (0, 1)).pvalue > 1e-4


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels_get_brightness_and_contrast(channels: int) -> None:
    x = images(16, channels, 6, 6, dtype=torch.float64)
    y = AdaPipeline(1.0, without=GEOMETRY).view(x, chance(16))
    colour = AdaPipeline(1.0, without=(*GEOMETRY, "luma_flip", "hue", "saturation"))
    of_three = colour.view(x[:, :1].expand(-1, 3, -1, -1), chance(16))
    assert torch.allclose(y[:, :1], of_three[:, :1])
    assert torch.equal(y, colour.view(x, chance(16)))
    for channel in range(channels):
        alone = AdaPipeline(1.0, without=GEOMETRY).view(x[:, channel : channel + 1], chance(16))
        assert torch.equal(y[:, channel : channel + 1], alone), "all alike"


def test_what_is_left_out_changes_nothing_else() -> None:
    x = images(64, 3, 8, 8)
    assert torch.equal(AdaPipeline(1.0, without=PARTS).view(x, chance(64)), x)
    geometry, colour = (AdaPipeline(1.0, without=parts) for parts in (COLOUR, GEOMETRY))
    both = colour.view(geometry.view(x, chance(64)), chance(64))
    assert torch.equal(AdaPipeline(1.0).view(x, chance(64)), both)


@pytest.mark.parametrize(("height", "width"), [(5, 8), (1, 4), (1, 1)])
def test_sampling_far_beyond_the_edges(height: int, width: int) -> None:
    x = images(6, 2, height, width, dtype=torch.float64)
    inverse = torch.eye(3, dtype=torch.float64).repeat(6, 1, 1)
    inverse[:, :2] += 3 * images(6, 2, 3, dtype=torch.float64)
    inverse[:, :2, 2] *= 20
    y = sampled(x, inverse).numpy()
    for n in range(6):
        for i, j in np.ndindex(height, width):
            at = inverse[n].numpy() @ [j - (width - 1) / 2, i - (height - 1) / 2, 1]
            column, row = at[0] + (width - 1) / 2, at[1] + (height - 1) / 2
            expected = np.zeros(2)
            for r in (np.floor(row), np.floor(row) + 1):
                for c in (np.floor(column), np.floor(column) + 1):
                    a, b = int(r), int(c)
                    while height > 1 and not 0 <= a < height:
                        a = -a if a < 0 else 2 * (height - 1) - a
                    while width > 1 and not 0 <= b < width:
                        b = -b if b < 0 else 2 * (width - 1) - b
                    pixel = x[n, :, a if height > 1 else 0, b if width > 1 else 0].numpy()
                    expected += pixel * (1 - abs(row - r)) * (1 - abs(column - c))
            assert np.allclose(y[n, :, i, j], expected)


def test_both_ways_to_pick_are_one() -> None:
    x = images(3, 2, 4, 5, dtype=torch.float64).requires_grad_()
    index = torch.randint(20, (3, 5, 3), generator=torch.Generator().manual_seed(0))
    weights = images(3, 2, 5, 3, dtype=torch.float64)
    results = []
    for pick in (picked, by_sorted_rows):
        y = pick(x, index)
        results.append((y, *torch.autograd.grad((y * weights).sum(), x)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1])
