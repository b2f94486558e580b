"""What a run knows of its networks is the same whichever way it is pointed at, and survives an export."""

from __future__ import annotations

from pathlib import Path

import pytest

from biggan.foundation.tensor_files import read_tensors
from biggan.models.export_file import Export, read_export, write_export
from biggan.training.configuration import MovingAverageConfig
from biggan.training.exportable import read_exportable
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny_config


def tensors(export: Export) -> dict[str, object]:
    parts = {"sampled": export.sampled, "raw": export.raw, "discriminator": export.discriminator, **export.moments}
    return {f"{part}/{name}": value for part, found in parts.items() for name, value in (found or {}).items()}


@pytest.mark.parametrize("averaged", [True, False])
def test_a_run_its_checkpoint_and_its_export_say_the_same(averaged: bool, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(tiny_config(run, duration=16, ema=MovingAverageConfig(enabled=averaged, decay=0.9)), "digits")
    whole, where = read_exportable(run)
    assert where == run / "checkpoints" / "16"
    state = read_tensors(where / "state.safetensors")
    assert whole.generator is not None
    assert whole.discriminator is not None
    assert (whole.average is not None) == averaged
    assert_same_tensors(dict(whole.generator), {k[10:]: v for k, v in state.items() if k.startswith("generator/")})
    for network in ("generator", "discriminator"):
        prefix = f"optimizer/{network}/"
        expected = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        assert_same_tensors(dict(whole.moments[network]), expected)
    assert whole.info.continuation is not None
    assert whole.info.continuation.discriminator_adam is not None
    assert whole.info.continuation.discriminator_adam.learning_rate == 4e-3
    write_export(tmp_path / "whole.safetensors", whole)
    for path in (where, tmp_path / "whole.safetensors"):
        again, _ = read_exportable(path)
        assert again.info == whole.info
        assert_same_tensors(tensors(again), tensors(whole))  # type: ignore[arg-type]
    plain = read_export(where / "snapshot.safetensors")
    assert plain.discriminator is None
    assert_same_tensors(dict(plain.sampled), dict(whole.sampled))
