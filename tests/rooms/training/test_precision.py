"""Names of precisions, and what a card cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from biggan.foundation.errors import UserError
from biggan.training.assembly import make_backends, take_device
from biggan.training.configuration import TrainingConfig
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state


def test_strict_is_another_name_for_what_is_exact_by_default(tmp_path: Path) -> None:
    for name in ("float32", "float32-strict"):
        train(tiny_config(tmp_path / name, precision=name, duration=16), "digits")
        used = json.loads((tmp_path / name / "config.json").read_text())["used"]
        assert (used["precision"], used["tf32"]) == (name, False)
    assert_same_tensors(final_state(tmp_path / "float32"), final_state(tmp_path / "float32-strict"))


@pytest.mark.parametrize("precision", ["float32", "float32-strict", "tf32", "bfloat16", "float16"])
def test_convolutions_round_to_tf32_only_where_that_is_asked_for(precision: str) -> None:
    config = TrainingConfig(model=tiny("biggan"), precision=precision)  # type: ignore[arg-type]
    assert make_backends(config).tf32 == (precision == "tf32")


def test_a_card_without_bfloat16_is_told_of_float16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No GPU is needed to see what is said of one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100-SXM2-16GB")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    config = tiny_config(tmp_path / "run", device="cuda", precision="bfloat16")
    with pytest.raises(UserError, match=r"--precision bfloat16: Tesla V100-SXM2-16GB .*; use --precision float16"):
        take_device(config)
    take_device(tiny_config(tmp_path / "run", device="cuda", precision="float16"))
