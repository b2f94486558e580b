"""Instance noise: normal, independent, as much as asked for."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from biggan.augmentation.noise import InstanceNoise
from tests.rooms.augmentation.test_contract import chance, images


def test_it_is_normal_and_independent() -> None:
    x = images(256, 3, 5, 7, dtype=torch.float64)
    noise = (InstanceNoise(0.3).view(x, chance(256)) - x).numpy() / 0.3
    assert stats.kstest(noise.flatten(), "norm").pvalue > 1e-4
    assert stats.kstest(noise.mean(axis=(1, 2, 3)) * np.sqrt(105), "norm").pvalue > 1e-4, "nor alike in an image"
    assert stats.kstest(noise.mean(axis=0).flatten() * 16, "norm").pvalue > 1e-4, "nor at a place"


def test_sigma_multiplies() -> None:
    x = images(4, 1, 6, 6, dtype=torch.float64)
    one, two = (InstanceNoise(sigma).view(x, chance(4)) - x for sigma in (0.25, 0.5))
    assert torch.allclose(2 * one, two, atol=1e-12)
