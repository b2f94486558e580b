"""DiffAugment's numbers, found out from what it does to images, and what it does with them, by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from biggan.augmentation.diffaugment import DiffAugment
from tests.rooms.augmentation.test_contract import chance, images

N = 2048


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_colour(channels: int) -> None:
    colour = DiffAugment(("color",))
    x = images(N, channels, 3, 5, dtype=torch.float64)
    y = colour.view(x, chance(N)).numpy()
    brightness = colour.view(torch.zeros_like(x), chance(N)).numpy()[:, 0, 0, 0]
    # Whatever is done to colours, the gray of a pixel moves away from the image's by the contrast alone.
    gray = x.numpy().mean(axis=1)
    from_middle = gray - gray.mean(axis=(1, 2), keepdims=True)
    after = y.mean(axis=1) - y.mean(axis=(1, 2, 3))[:, None, None]
    contrast = (after[:, 0, 0] / from_middle[:, 0, 0]) if channels != 1 else after[:, 1, 1] / from_middle[:, 1, 1]
    assert np.allclose(after, contrast[:, None, None] * from_middle, atol=1e-9)
    saturation = np.ones(N)
    if channels == 3:
        saturation = (y[:, 0] - y.mean(axis=1))[:, 0, 0] / (x[:, 0].numpy() - gray)[:, 0, 0] / contrast
    for found, low, high in ((brightness, -0.5, 0.5), (contrast, 0.5, 1.5), (saturation, 0, 2)):
        if found is not saturation or channels == 3:
            assert low - 1e-6 <= found.min() < found.max() <= high + 1e-6
            assert stats.kstest(found, "uniform", (low, high - low)).pvalue > 1e-4
    for n in range(8):
        expected = x[n].numpy() + brightness[n]
        middle = expected.mean()
        for i, j in np.ndindex(3, 5):
            pixel = expected[:, i, j]
            pixel = pixel.mean() + (pixel - pixel.mean()) * saturation[n] if channels == 3 else pixel
            assert np.allclose(y[n, :, i, j], middle + (pixel - middle) * contrast[n], atol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(16, 24), (19, 8), (5, 33)])
def test_translation(height: int, width: int) -> None:
    code = 1.0 + torch.arange(2 * height * width, dtype=torch.float64).view(2, height, width)
    y = DiffAugment(("translation",)).view(code.expand(N, -1, -1, -1), chance(N)).numpy()
    far = (height // 8, width // 8)
    middle = y[:, 0, height // 2, width // 2].astype(int) - 1
    down, right = height // 2 - middle // width, width // 2 - middle % width
    for shift, most in ((down, far[0]), (right, far[1])):
        counts = np.bincount(shift + most, minlength=2 * most + 1)
        assert len(counts) == 2 * most + 1
        assert most == 0 or stats.chisquare(counts).pvalue > 1e-4
    if min(far):
        assert stats.chi2_contingency(np.histogram2d(down, right, bins=[2 * f + 1 for f in far])[0]).pvalue > 1e-4
    for n in range(16):
        expected = np.zeros((2, height, width))
        for i, j in np.ndindex(height, width):
            a, b = i - down[n], j - right[n]
            if 0 <= a < height and 0 <= b < width:
                expected[:, i, j] = code[:, a, b]
        assert np.array_equal(y[n], expected)


@pytest.mark.parametrize(("height", "width"), [(8, 12), (9, 6), (7, 5), (2, 3)])
def test_cutout(height: int, width: int) -> None:
    x = images(N, 2, height, width) + 2
    y = DiffAugment(("cutout",)).view(x, chance(N))
    hole = (y == 0).numpy()
    assert torch.equal(y[~torch.from_numpy(hole)], x[~torch.from_numpy(hole)])
    assert np.array_equal(hole[:, 0], hole[:, 1])
    rows, columns = hole[:, 0].any(axis=2), hole[:, 0].any(axis=1)
    assert np.array_equal(hole[:, 0], rows[:, :, None] & columns[:, None, :]), "a rectangle"
    for lines, side in ((rows, height), (columns, width)):
        length = -(-side // 2)
        seen = set()
        first = []
        for line in lines:
            at = np.flatnonzero(line)
            assert at[-1] - at[0] + 1 == len(at) <= length
            assert len(at) == length or at[0] == 0 or at[-1] == side - 1, "cut short at an edge alone"
            first.append(at[0] if at[-1] < side - 1 or len(at) == length else side - len(at))
            if at[0] == 0 and len(at) < length:
                first[-1] = len(at) - length
            seen.add((at[0], len(at)))
        # Its middle is as likely at any place: between two pixels or at an edge, or on a pixel.
        counts = np.bincount(np.array(first) + length // 2)
        assert len(counts) == side + 1 - length % 2
        assert stats.chisquare(counts).pvalue > 1e-4
        assert len(seen) == len(counts)


def test_the_order_is_that_of_the_policy() -> None:
    x = images(8, 3, 16, 16)
    first, then = DiffAugment(("cutout",)), DiffAugment(("translation",))
    both = DiffAugment(("cutout", "translation")).view(x, chance(8))
    assert torch.equal(both, then.view(first.view(x, chance(8)), chance(8)))
    assert not torch.equal(both, DiffAugment(("translation", "cutout")).view(x, chance(8)))
