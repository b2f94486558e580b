"""The name of the statistics of batch norm: whatever differs in them is named differently."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations
from pathlib import Path

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.foundation.config import to_json
from biggan.foundation.records import parse_record
from biggan.models.contract import build
from biggan.models.norm_records import StandingStatistics, TruncationBank, TruncationKind
from biggan.models.snapshot import SnapshotInfo, write_snapshot
from biggan.sampling.calibration import calibrate
from biggan.sampling.sampler import Sampler
from biggan.sampling.standing import write_with_standing_statistics
from biggan.sampling.statistics import NormStatistics, norm_statistics
from tests.conftest import tiny

STANDING = StandingStatistics(batches=2, batch=64, truncation=0.5, kind="resample")
WHOLE = StandingStatistics(batches=2, batch=64, truncation=None, kind="none")
BANK = TruncationBank(truncations=(0.4, 0.8), kind="resample", batches=3, batch=64)


def named(standing: StandingStatistics | None, bank: TruncationBank | None, truncation: float | None) -> NormStatistics:
    return norm_statistics(batch_norm=True, standing=standing, bank=bank, truncation=truncation)


def test_what_differs_is_named_differently() -> None:
    files = {"plain": (None, None), "standing": (STANDING, None), "whole": (WHOLE, None), "bank": (None, BANK)}
    truncations = (None, 0.3, 0.4, 0.5, 0.6, 1.0)
    found = {(name, t): named(*file, t) for name, file in files.items() for t in truncations}
    for one, other in combinations(found, 2):
        if one[1] == other[1] is None and {one[0], other[0]} == {"plain", "bank"}:  # a bank changes nothing there
            assert found[one] == found[other]
            continue
        assert found[one] != found[other]
        assert found[one].text != found[other].text, (one, other)
        assert one[1] != other[1] or str(found[one]) != str(found[other])
    assert named(STANDING, BANK, 0.5) == named(None, BANK, 0.5), "a bank decides alone where it has the truncation"
    assert named(STANDING, BANK, None) == named(STANDING, None, None)
    for record in found.values():
        again = parse_record(NormStatistics, json.dumps(to_json(record)), "here")
        assert again == record, "it survives the file that it is written to"


@pytest.mark.parametrize(
    ("standing", "bank", "truncation", "text", "words", "fit"),
    [
        (None, None, None, "running", "running statistics", True),
        (None, None, 0.5, "running-resample0.5", "which fit truncation 0.5 badly", False),
        (STANDING, None, 0.5, "standing2x64-resample0.5", "standing statistics of truncation 0.5", True),
        (STANDING, None, None, "standing2x64-of-resample0.5-untruncated", "do not fit untruncated images", False),
        (STANDING, None, 0.6, "standing2x64-of-resample0.5-resample0.6", "do not fit truncation 0.6", False),
        (WHOLE, None, None, "standing2x64", "standing statistics of untruncated images", True),
        (None, BANK, 0.4, "bank3x64-resample0.4", "truncation 0.4, from the file's bank", True),
        (None, BANK, 0.6, "bank3x64-between0.4and0.8-resample0.6", "interpolated between 0.4 and 0.8", True),
        (None, BANK, 1.0, "bank3x64-of-resample0.8-resample1", "do not fit truncation 1", False),
    ],
)
def test_text_and_sentence(
    standing: StandingStatistics | None,
    bank: TruncationBank | None,
    truncation: float | None,
    text: str,
    words: str,
    fit: bool,
) -> None:
    found = named(standing, bank, truncation)
    assert (found.text, found.fit) == (text, fit)
    assert words in str(found)
    without = norm_statistics(batch_norm=False, standing=standing, bank=bank, truncation=truncation)
    assert without.fit
    assert without.text.startswith("nobatchnorm")


def test_a_bank_of_another_kind_is_not_used() -> None:
    other = dataclasses.replace(BANK, kind="scale")
    assert named(STANDING, other, 0.5).kind == "standing"
    found = norm_statistics(batch_norm=True, standing=None, bank=BANK, truncation=0.5, kind="clamp")
    assert found.kind == "running"
    calibrate = "'biggan calibrate FILE --out NEW.safetensors --truncation-kind clamp' writes a file with fitting ones"
    assert str(found).endswith(f"badly: {calibrate}"), "no option that a command may not have"
    assert found.sentence("--standing-statistics N").endswith(f"{calibrate}, --standing-statistics N estimates them")
    assert str(named(None, None, None)) == named(None, None, None).sentence("--standing-statistics N")


def test_latents_that_are_scaled_by_one_are_those_of_the_whole_prior() -> None:
    def at(truncation: float | None, standing: StandingStatistics | None, kind: TruncationKind) -> NormStatistics:
        return norm_statistics(batch_norm=True, standing=standing, bank=None, truncation=truncation, kind=kind)

    assert at(1.0, None, "scale").fit
    assert str(at(1.0, None, "scale")) == "running statistics"
    assert at(1.0, WHOLE, "scale").fit
    assert not at(1.0, None, "resample").fit
    assert not at(0.9, None, "scale").fit


def test_files_that_draw_other_images_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain, standing and calibrated files of one generator: other pixels, other names, also untruncated."""
    model = tiny()
    generator = build(model).generator.eval()
    with torch.no_grad():
        for name, value in generator.state_dict().items():
            if name.endswith("running_var"):
                value.mul_(3.0)
    info = SnapshotInfo(architecture=model, class_names=(), weights="ema", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "plain.safetensors", generator, info)
    plain = biggan.load(tmp_path / "plain.safetensors", "cpu")
    write_with_standing_statistics(plain, tmp_path / "standing.safetensors", batches=1, truncation=0.5)
    calibrate(plain, tmp_path / "bank.safetensors", (0.5,), batches=1)
    samplers: dict[str, Sampler] = {
        name: biggan.load(tmp_path / f"{name}.safetensors", "cpu") for name in ("plain", "standing", "bank")
    }
    different = 0
    for truncation in (None, 0.5):
        for one, other in combinations(samplers.values(), 2):
            same = torch.equal(
                one.sample(seeds=range(3), truncation=truncation), other.sample(seeds=range(3), truncation=truncation)
            )
            assert same or one.statistics(truncation).text != other.statistics(truncation).text
            different += not same
    assert different >= 3
    capsys.readouterr()
    words = ["--count", "1", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main(["sample", str(tmp_path / "standing.safetensors"), *words]) == 0
    assert "standing statistics of truncation 0.5, which do not fit untruncated images" in capsys.readouterr().out
