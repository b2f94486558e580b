"""The demonstration."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from biggan.cli.main import main
from biggan.data.sources.digits import load_digits
from biggan.foundation.errors import UserError
from biggan.metrics.digits_judge import DigitsJudge, DigitsVerdict
from biggan.models.contract import Generator, build
from tests.conftest import tiny


class Memory(Generator):
    """Not learnt: shows real digits of the class asked for, chosen by the latent."""

    def __init__(self, variety: bool) -> None:
        super().__init__(tiny("biggan"))
        self.variety = variety
        images, labels = load_digits()
        self.images = torch.from_numpy(images).float() / 8 - 1
        self.by_class = [torch.from_numpy(labels == digit).nonzero()[:, 0] for digit in range(10)]

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        chosen = [
            self.by_class[int(y)][int(abs(float(v)) * 1e6) % len(self.by_class[int(y)]) if self.variety else 0]
            for y, v in zip(labels, z[:, 0], strict=True)
        ]
        return self.images[torch.stack(chosen)].repeat_interleave(2, 1).repeat_interleave(2, 2).unsqueeze(1)

    def synthesize(self, z: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        return self(z, embedding)


def test_the_judge_knows_real_digits_copies_and_noise() -> None:
    judge = DigitsJudge()
    real = judge.judge(Memory(variety=True).eval())
    assert real.real >= 0.98
    assert real.recognised > 0.98
    assert 0.9 < real.variety < 1.1
    assert real.passed
    copies = judge.judge(Memory(variety=False).eval())
    assert copies.variety < 1e-9
    assert not copies.passed
    noise = judge.judge(build(tiny("biggan")).generator.eval())
    assert noise.recognised < 0.4
    assert not noise.passed
    assert noise.value < real.value
    with pytest.raises(UserError, match="ten digits"):
        judge.judge(build(tiny("biggan", classes=3)).generator)


def test_the_bar() -> None:
    assert DigitsVerdict(recognised=0.97, variety=0.75, real=0.99).passed
    assert not DigitsVerdict(recognised=0.969, variety=0.9, real=0.99).passed
    assert not DigitsVerdict(recognised=1.0, variety=0.74, real=0.99).passed


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_demonstration_reaches_its_bar(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--run-dir", str(tmp_path / "demo"), "--seed", str(seed)]) == 0
    printed = capsys.readouterr().out
    assert "passed" in printed
    assert "prdc_k5_coverage_classifier" in printed
    for name in ("class_sheet.png", "grid.png", "interpolation.gif", "training.gif"):
        assert str(tmp_path / "demo" / name) in printed
        with Image.open(tmp_path / "demo" / name) as picture:
            assert min(picture.size) >= 200
            if name.endswith("gif"):
                assert picture.n_frames > 5  # type: ignore[attr-defined]
    for name in ("class_sheet.png", "grid.png"):
        words = ["--from", str(tmp_path / "demo"), "--out", str(tmp_path / name), "--device", "cpu"]
        assert main(["recreate", str(tmp_path / "demo" / name), *words]) == 0
        assert "bitwise the picture in the file" in capsys.readouterr().out
    assert main(["demo", "--run-dir", str(tmp_path / "demo"), "--seed", str(seed)]) == 0, "again uses what is there"
