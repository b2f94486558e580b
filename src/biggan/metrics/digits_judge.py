"""The judge of the digits: whether samples look like their class, and whether they vary as real ones do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from biggan.data.sources.digits import SIDE, load_digits, to_levels
from biggan.foundation.errors import UserError
from biggan.models.contract import Generator
from biggan.sampling.draw import draw
from biggan.sampling.latents import latents

SAMPLES = 500
RECOGNISED_AT_LEAST = 0.97
VARIED_AT_LEAST = 0.75
REAL_AT_LEAST = 0.98


@dataclass(frozen=True, kw_only=True)
class DigitsVerdict:
    """What was measured."""

    recognised: float
    """Share of samples that the classifier takes for their class."""
    variety: float
    """Standard deviation a class and pixel, averaged, relative to the real digits'."""
    real: float
    """Share of held-out real digits that the classifier gets right."""

    @property
    def value(self) -> float:
        """Larger is better; variety beyond that of real digits is no merit."""
        return self.recognised * min(self.variety, 1.0)

    @property
    def passed(self) -> bool:
        """Whether both numbers reach the bar."""
        return self.recognised >= RECOGNISED_AT_LEAST and self.variety >= VARIED_AT_LEAST

    def __str__(self) -> str:
        """Return a sentence."""
        return (
            f"{self.recognised:.1%} of {SAMPLES} samples are recognised as their digit (real ones: {self.real:.1%}), "
            f"with {self.variety:.2f} of the real digits' variety"
        )


class DigitsJudge:
    """A support-vector classifier fitted to 70 % of the real 8x8 digits, and the digits' own spread."""

    def __init__(self) -> None:
        from sklearn.model_selection import train_test_split
        from sklearn.svm import SVC

        images, labels = load_digits()
        flat = images.reshape(len(images), -1)
        fit_x, test_x, fit_y, test_y = train_test_split(flat, labels, test_size=0.3, random_state=0, stratify=labels)
        self._classifier: Any = SVC(gamma=0.001).fit(fit_x, fit_y)
        self.real = float(self._classifier.score(test_x, test_y))
        if self.real < REAL_AT_LEAST:
            raise AssertionError(f"the classifier gets only {self.real:.1%} of real digits right")
        self._spread = _spread(flat, labels)

    def judge(self, generator: Generator) -> DigitsVerdict:
        """Score 500 untruncated samples, as many of each class.

        Raises:
            UserError: the generator does not make ten classes at a multiple of 8x8 pixels.
        """
        architecture = generator.architecture
        if architecture.classes != 10 or any(side % SIDE for side in architecture.resolution):
            raise UserError("--log.judge digits: this judge is for the ten digits at multiples of 8x8; use none")
        labels = torch.arange(SAMPLES) % 10
        return self.judge_images(draw(generator, latents(range(SAMPLES), architecture.z_size), labels), labels)

    def judge_images(self, images: torch.Tensor, labels: torch.Tensor) -> DigitsVerdict:
        """Score images uint8 [N, 1, H, W] with ``labels`` int64 [N], however they were drawn."""
        flat = to_levels(images[:, 0].numpy()).reshape(len(images), -1)
        expected = labels.numpy()
        return DigitsVerdict(
            recognised=float((self._classifier.predict(flat) == expected).mean()),
            variety=_spread(flat, expected) / self._spread,
            real=self.real,
        )


def _spread(flat: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> float:
    """Return the standard deviation of each pixel within each class, averaged."""
    return float(np.mean([flat[labels == digit].std(axis=0).mean() for digit in range(10)]))
