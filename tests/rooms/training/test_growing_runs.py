"""Runs that were grown: they go on, may be killed, and lose their skip."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_tensors
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo, read_info, write_snapshot
from biggan.training.assembly import make_engine, make_state
from biggan.training.exportable import read_exportable
from biggan.training.own_step import OwnStep
from biggan.training.run_directory import RunDirectory
from biggan.training.setup import train
from biggan.training.starting.configuration import InitConfig
from biggan.training.step import DiscriminatorBatch, GeneratorBatch, Objective, StepInputs, train_step
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_run import final_state


def _continued(run: Path, duration: int, **values: object) -> None:
    stored = RunDirectory(run).stored_run()
    assert stored is not None
    train(dataclasses.replace(stored.config, duration=duration, **values), stored.preset)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Return a run of 16 px at 16 images."""
    train(tiny_config(tmp_path / "small", duration=16), "digits")
    return tmp_path / "small"


def _moved_moments(small: dict[str, torch.Tensor], grown: dict[str, torch.Tensor]) -> None:
    """Check that what was learnt about old parameters is there, and nothing of new ones."""
    for old, new in (
        ("stages.0.0.conv1.weight", "stages.0.0.conv1.weight"),
        ("output_conv.weight", "skip.conv.weight"),
    ):
        for kind in ("exp_avg", "exp_avg_sq", "step"):
            assert torch.equal(small[f"optimizer/generator/{old}/{kind}"], grown[f"optimizer/generator/{new}/{kind}"])
    for kind in ("exp_avg", "exp_avg_sq", "step"):
        one = small[f"optimizer/discriminator/stages.1.0.conv1.weight/{kind}"]
        assert torch.equal(one, grown[f"optimizer/discriminator/stages.2.0.conv1.weight/{kind}"])
    assert "optimizer/generator/output_conv.weight/step" not in grown
    assert "optimizer/generator/gate.g/step" not in grown


def test_a_grown_run_goes_on_exactly_and_old_parts_wait(trained: Path, tmp_path: Path) -> None:
    """Stopped while the old parts are frozen, and after; bitwise."""
    runs = [tmp_path / "whole", tmp_path / "parts"]
    for run in runs:
        assert main(["grow", str(trained), str(run), "--resolution", "32", "--freeze-old", "24"]) == 0
    _moved_moments(final_state(trained), final_state(runs[0]))
    grown = final_state(runs[0])
    _continued(runs[1], 24)
    frozen = final_state(runs[1])
    for network in ("generator", "discriminator"):
        changed = {
            name
            for name in frozen
            if name.startswith(f"{network}/") and not name.endswith((".u", ".sigma", "running_mean", "running_var"))
            if not torch.equal(frozen[name], grown[name])
        }
        gate = "generator/gate.g" if network == "generator" else "discriminator/gates.1.g"
        assert gate in changed
        old = ("skip.", "linear.", "class_embedding.", "head.")
        old += ("stages.0.", "stages.1.") if network == "generator" else ("stages.2.", "stages.3.")
        assert not [name for name in changed if name.removeprefix(f"{network}/").startswith(old)]
    _continued(runs[1], 56)
    _continued(runs[0], 56)
    assert_same_tensors(final_state(runs[0]), final_state(runs[1]))
    after = final_state(runs[0])
    assert not torch.equal(after["generator/skip.conv.weight"], grown["generator/skip.conv.weight"])
    assert float(after["optimizer/generator/gate.g/step"]) == 5  # of 8 images each, from 16 to 56
    assert float(after["optimizer/generator/skip.conv.weight/step"]) == 4
    assert main(["sheet", str(runs[0]), "--out", str(tmp_path / "sheet.png")]) == 0


def test_the_skip_is_dropped_and_the_run_goes_on(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grown, dropped = tmp_path / "grown", tmp_path / "dropped"
    assert main(["grow", str(trained), str(grown), "--resolution", "32"]) == 0
    _continued(grown, 32)
    capsys.readouterr()
    assert main(["grow", str(grown), str(dropped), "--drop-skip"]) == 0
    printed = capsys.readouterr().out
    assert "gate of G: " in printed
    assert "differ from those before by" in printed
    assert not [name for name in final_state(dropped) if "skip." in name or "gate.g" in name]
    _continued(dropped, 48)
    architecture = read_info(dropped / "snapshots" / "48.safetensors").architecture
    assert (architecture.grown.stages, architecture.grown.scaled) == (0, (1,))


@pytest.mark.nightly
@pytest.mark.parametrize("family", ["biggan", "biggan-deep"])
def test_a_generator_of_512_px_alone_trains_on_with_a_new_discriminator(family: str, tmp_path: Path) -> None:
    """D is that of the table for 512 px, and one step of both changes both."""
    model = tiny(family, resolution=(512, 512), channels=3, generator_width=4, discriminator_width=4, latent_size=16)
    info = SnapshotInfo(architecture=model, class_names=(), weights="ema", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "only.safetensors", build(model, 3).generator, info)
    export, _ = read_exportable(tmp_path / "only.safetensors")
    assert export.discriminator is None
    assert [stage.height for stage in export.info.architecture.discriminator_stages()][:2] == [256, 128]
    config = tiny_config(tmp_path / "run", model=export.info.architecture, batch=2)
    state = make_state(config, torch.device("cpu"), OwnStep(train_step, None))
    state.generator.load_state_dict(dict(export.sampled))
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    y, z = torch.zeros(2, dtype=torch.int64), torch.randn(2, model.z_size)
    images = torch.randint(0, 256, (2, 3, 512, 512), dtype=torch.uint8)
    inputs = StepInputs(
        discriminator=(DiscriminatorBatch(images, y, z, y),),
        generator=GeneratorBatch(z, y),
        batch=2,
        generator_batch=2,
        images_seen=2,
    )
    engine = make_engine(config, 1, state, torch.device("cpu"))
    train_step(state, inputs, Objective(loss=ADVERSARIAL_LOSSES["hinge"]()), engine)
    engine.guard.check()
    after = state.tensors()
    for network in ("generator", "discriminator"):  # single layers this narrow may get no gradient through their ReLUs
        weights = [name for name in before if name.startswith(f"{network}/") and name.endswith(".weight")]
        assert sum(not torch.equal(before[name], after[name]) for name in weights) > len(weights) // 2


def test_a_run_that_began_from_weights_grows_like_any_other(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own beginning is the old run's affair; one whose D is not ready would wake G too early."""
    begun = dataclasses.replace(tiny_config(tmp_path / "begun", duration=32), init=InitConfig(path=str(trained)))
    train(dataclasses.replace(begun, freeze_d=1), "digits")
    assert main(["grow", str(tmp_path / "begun"), str(tmp_path / "large"), "--resolution", "32"]) == 0
    assert "--freeze-d is off" in capsys.readouterr().out
    _continued(tmp_path / "large", 48)
    waiting = dataclasses.replace(begun, run_dir=str(tmp_path / "waiting"), duration=64, d_warmup=48)
    with pytest.raises(UserError, match="D is not ready"):
        train(dataclasses.replace(waiting, d_warmup_accuracy=0.999), "digits")
    assert main(["grow", str(tmp_path / "waiting"), str(tmp_path / "none"), "--resolution", "32"]) == 2
    assert "not ready for G yet" in capsys.readouterr().err


def test_frozen_parts_need_a_skip(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", "--run-dir", str(trained), "--duration", "99", "--freeze-old", "50"]) == 2
    assert "only networks that biggan grow made" in capsys.readouterr().err
    assert "generator/gate.g" not in read_tensors(trained / "checkpoints" / "16" / "state.safetensors")


def test_a_grown_file_goes_on_with_images_of_its_channels_alone(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its old output would have to become another one beside the new."""
    large = tmp_path / "large.safetensors"
    assert main(["grow", str(trained), str(large), "--resolution", "32"]) == 0
    words = ["train", "digits", "--init", str(large), "--run-dir", str(tmp_path / "run"), "--dry-run"]
    assert main(words) == 0
    capsys.readouterr()
    assert main([*words, "--data.channels", "3"]) == 2
    said = capsys.readouterr().err
    assert "of 1 channels, the data of 3; and a grown network" in said
    assert "--drop-skip" in said
