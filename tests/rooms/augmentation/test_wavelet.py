"""Doubling and halving by sym6, and what is moved between them, beside plain convolutions in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from biggan.augmentation.moving import sampled, sampled_finely
from biggan.augmentation.wavelet import BEYOND, SYM6, doubled, halved
from tests.rooms.augmentation.test_contract import images

H = np.array(SYM6)


def test_the_filter_is_sym6() -> None:
    """Orthogonal to its even shifts, with six vanishing moments, and nearly symmetric."""
    for shift in range(1, 6):
        assert abs(H[2 * shift :] @ H[: -2 * shift]) < 1e-11
    assert float(H @ H) == pytest.approx(1, abs=1e-11)
    assert H.sum() == pytest.approx(2**0.5, abs=1e-11)
    taps = np.arange(12)
    for moment in range(6):
        assert abs(((-1.0) ** taps * (taps - 5.5) ** moment * H).sum()) < 1e-9
    assert abs(((-1.0) ** taps * (taps - 5.5) ** 6 * H).sum()) > 1, "and no seventh"
    # Of the filters with these properties the one whose energy lies in the middle, not in the first taps.
    assert (H[3:9] ** 2).sum() > 0.95


def continued(x: torch.Tensor, by: int) -> torch.Tensor:
    return torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (by, by), (by, by)), mode="reflect"))


@pytest.mark.parametrize("size", [(9, 12), (4, 7), (16, 16)], ids=str)
def test_doubled_and_halved_is_the_image(size: tuple[int, int]) -> None:
    x = images(3, 2, *size, dtype=torch.float64)
    y = doubled(x)
    assert y.shape == (3, 2, 4 * (size[0] - 1), 4 * (size[1] - 1))
    around = y.roll((BEYOND, BEYOND), (2, 3)).repeat(1, 1, 2, 2)[
        :, :, : 2 * (size[0] + BEYOND), : 2 * (size[1] + BEYOND)
    ]
    assert torch.allclose(halved(around), x, atol=1e-11)
    assert torch.allclose(doubled(torch.ones_like(x)), torch.ones_like(y), atol=1e-12)


def test_an_image_goes_on_as_its_mirror_image() -> None:
    x = images(2, 1, 9, 12, dtype=torch.float64)
    y = doubled(x)
    assert torch.equal(doubled(x.flip(2)), y.roll(-16, 2))
    assert torch.equal(doubled(x.flip(3)), y.roll(-22, 3))
    wider = doubled(continued(x, 3))
    assert torch.equal(wider[:, :, 6 : 6 + 18, 6 : 6 + 24], y[:, :, :18, :24])


def test_doubling_is_zeros_and_a_convolution() -> None:
    x = images(1, 1, 8, 5, dtype=torch.float64)
    stuffed = np.zeros((28, 22))
    stuffed[::2, ::2] = continued(x, 3)[0, 0].numpy()
    kernel = 2 * np.outer(H, H)  # both sums are 2
    full = np.zeros((28 + 11, 22 + 11))
    for i, j in np.ndindex(12, 12):
        full[i : i + 28, j : j + 22] += kernel[i, j] * stuffed
    assert np.allclose(doubled(x)[0, 0, :16, :10].numpy(), full[11 : 11 + 16, 11 : 11 + 10], atol=1e-12)


def test_gradients() -> None:
    x = images(1, 1, 4, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(doubled, x)
    assert torch.autograd.gradgradcheck(lambda x: doubled(x) ** 2, x)
    y = images(1, 1, 16, 14, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(halved, y)
    assert torch.autograd.gradgradcheck(lambda y: halved(y) ** 2, y)


def test_moved_at_twice_the_size() -> None:
    """As the paper does: mirrored, doubled, bilinear there, halved. A pixel i lies at 2i of what is doubled."""
    h, w = 24, 26
    x = images(4, 2, h, w, dtype=torch.float64)
    inverse = torch.eye(3, dtype=torch.float64).repeat(4, 1, 1)
    inverse[:, :2, :2] += 0.1 * images(4, 2, 2, dtype=torch.float64)
    inverse[:, :2, 2] = images(4, 2, dtype=torch.float64)
    y = sampled_finely(x, inverse)
    rows, columns = np.arange(-BEYOND, 2 * h + BEYOND), np.arange(-BEYOND, 2 * w + BEYOND)
    down, across = np.meshgrid((rows - (h - 1)) / 2, (columns - (w - 1)) / 2, indexing="ij")
    far = 20
    large = doubled(continued(x, far)).numpy()
    for n in range(4):
        at = inverse[n].numpy() @ np.stack([across.ravel(), down.ravel(), np.ones(across.size)])
        where = [2 * at[1] + h - 1 + 2 * far, 2 * at[0] + w - 1 + 2 * far]
        moved = np.stack([ndimage.map_coordinates(plane, where, order=1).reshape(down.shape) for plane in large[n]])
        expected = halved(torch.from_numpy(moved)[None])[0]
        assert torch.allclose(y[n], expected, atol=1e-9)


@pytest.mark.parametrize("angle", [0.5, 1.2, 2.1, 3.0, 4.0])
def test_images_turn_about_their_middle(angle: float) -> None:
    """A wave that is turned is the wave in another direction, as far as 16 pixels hold it."""
    cosine, sine = np.cos(angle), np.sin(angle)
    down, across = torch.meshgrid(*[torch.arange(16, dtype=torch.float64) - 7.5] * 2, indexing="ij")

    def wave(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.sin(0.3 * x + 0.2 * y + 0.3)

    inverse = torch.tensor([[[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]], dtype=torch.float64)
    turned = sampled_finely(wave(across, down)[None, None], inverse)[0, 0]
    expected = wave(cosine * across - sine * down, sine * across + cosine * down)
    assert (turned - expected)[4:-4, 4:-4].abs().max() < 0.05  # 0.16 where the middle is a quarter of a pixel off


def test_whole_pixels_are_moved_to_the_bit() -> None:
    x = images(3, 1, 8, 8)
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 3.0], [0.0, 0.0, 1.0]])
    mirror = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    half = torch.tensor([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    inverse = torch.stack([turn, mirror, half])
    assert torch.equal(sampled_finely(x, inverse)[:2], sampled(x, inverse)[:2])
    assert not torch.equal(sampled_finely(x, inverse)[2], sampled(x, inverse)[2])


def test_less_is_blurred() -> None:
    """A wave of five pixels that is shifted by half a one keeps its height better than between two pixels."""
    pixel = torch.arange(40, dtype=torch.float64)

    def wave(shift: float) -> torch.Tensor:
        return torch.cos(2 * torch.pi * (pixel + shift) / 5).expand(1, 1, 40, 40)

    inverse = torch.eye(3, dtype=torch.float64)[None].clone()
    inverse[:, 0, 2] = 0.5
    plain, fine = ((way(wave(0), inverse) - wave(0.5))[..., 10:-10].abs().max() for way in (sampled, sampled_finely))
    assert fine < plain / 3
