"""Programs for others do what the networks do, whatever the architecture; one that does not is never left behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

import biggan
from biggan.exporting import onnx_file, torch_program
from biggan.exporting.card import KEY, Card, read_card
from biggan.exporting.contract import FORMATS, ExportRequest, discriminator_place
from biggan.exporting.programs import Program, programs
from biggan.exporting.tracing import write_programs
from biggan.foundation.compatibility import RUNNING_INSTANCE_NORM
from biggan.foundation.errors import UserError
from biggan.models.architecture import SpectralNorm
from biggan.models.export_file import Export, write_export
from biggan.sampling.latents import latents
from tests.conftest import FAMILIES
from tests.rooms.exporting.exported import export_of, small

BOTH = ExportRequest(discriminator=True)
STORED, OFF = SpectralNorm(stored_vectors=("*",)), SpectralNorm(enabled=False)
VARIATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"classes": 0},
    {"classes": 1, "channels": 1},
    {"normalization": "group"},
    {"normalization": "layer"},
    {"normalization": "instance"},
    {"normalization": "instance", "compatibility": (RUNNING_INSTANCE_NORM,)},
    {"normalization": "none"},
    {"generator_spectral_norm": STORED, "discriminator_spectral_norm": STORED},
    {"generator_spectral_norm": OFF, "discriminator_spectral_norm": OFF},
    {"channel_order": "bgr", "output_width": 5, "inplace_activation": True, "condition_order": "latent-class"},
    {"resolution": (64, 64), "hierarchical_latent": False},
)
PROGRAMS = [name for name in FORMATS if FORMATS[name].runs and FORMATS[name].suffix]


def onnx_card(path: Path) -> Card:
    return read_card({one.key: one.value for one in onnx.load(path).metadata_props}[KEY], str(path))


def run_onnx(path: Path, **inputs: Tensor) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return np.asarray(found)


@pytest.fixture(scope="module")
def onnx_export(tmp_path_factory: pytest.TempPathFactory) -> tuple[Export, Path]:
    """Return a conditional generator, not square, and its file."""
    path = tmp_path_factory.mktemp("onnx") / "g.onnx"
    model = small("biggan", generator_attention=(), discriminator_attention=())
    export = export_of(model, discriminator=False, names=("daisy", *"bcdefghij"))
    lines = FORMATS["onnx"].write(export, path, ExportRequest())
    assert any("differs from the network by at most" in line for line in lines)
    return export, path


def test_an_onnx_file_is_the_generator(onnx_export: tuple[Export, Path]) -> None:
    export, path = onnx_export
    assert [one.name for one in path.parent.iterdir()] == ["g.onnx"], "weights lie inside"
    reference, size = programs(export, ExportRequest())[0].reference, export.info.architecture.z_size
    for count in (1, 4, 7):
        z, labels = torch.randn(count, size), torch.arange(count)
        found = run_onnx(path, z=z, labels=labels)
        assert found.dtype == np.float32
        assert np.abs(found - reference(z, labels).numpy()).max() < 1e-5
    card = onnx_card(path)
    assert (card.class_names, card.resolution, card.latent_size) == (export.info.class_names, (32, 16), size)
    assert {one.version for one in onnx.load(path).opset_import} == {onnx_file.OPSET}
    onnx.checker.check_model(str(path), full_check=True)


def test_the_documented_script_draws_what_sampling_draws(
    onnx_export: tuple[Export, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export, path = onnx_export
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text()
    (script,) = [code for code in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "InferenceSession" in code]
    (tmp_path / "640-export.onnx").write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    found: dict[str, Any] = {}
    exec(script, found)
    write_export(tmp_path / "snapshot.safetensors", export)
    expected = biggan.load(tmp_path / "snapshot.safetensors", "cpu").sample(["daisy"], seeds=range(4))
    assert found["pixels"].shape == (4, 3, 32, 16)
    assert np.abs(found["pixels"].astype(int) - expected.numpy().astype(int)).max() <= 1
    z = latents(range(4), export.info.architecture.z_size)
    assert np.array_equal(found["z"], z.numpy())


def test_a_changed_weight_in_a_file_is_found(onnx_export: tuple[Export, Path], tmp_path: Path) -> None:
    export, path = onnx_export
    (program,) = programs(export, ExportRequest())
    assert "at most" in onnx_file.check(program, path)
    file = onnx.load(path)
    weight = max(file.graph.initializer, key=lambda one: len(one.raw_data))
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * np.float32(1.5)).tobytes()
    onnx.save(file, tmp_path / "changed.onnx")
    with pytest.raises(UserError, match="differs"):
        onnx_file.check(program, tmp_path / "changed.onnx")


def test_an_exported_program_is_both_networks(tmp_path: Path) -> None:
    model, path = small("sngan", resolution=(16, 16), discriminator_attention=()), tmp_path / "g.pt2"
    export = export_of(model)
    FORMATS["torch-export"].write(export, path, BOTH)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["g-discriminator.pt2", "g.pt2"]
    for program, file in zip(programs(export, BOTH), (path, discriminator_place(path)), strict=True):
        extra = {torch_program.CARD: ""}
        loaded = torch.export.load(file, extra_files=extra).module()
        inputs = program.inputs(4)
        assert torch.allclose(loaded(*inputs), program.reference(*inputs), atol=1e-6)
        assert read_card(extra[torch_program.CARD], str(file)).network == program.name


@pytest.mark.nightly
def test_mixtures_and_bytes(tmp_path: Path) -> None:
    """Labels as one-hot rows are the classes; bytes are what sampling rounds to."""
    model, path = small("sngan"), tmp_path / "g.onnx"
    export = export_of(model, discriminator=False)
    FORMATS["onnx"].write(export, path, ExportRequest(mixtures=True, uint8=True))
    z, labels = torch.randn(3, model.z_size), torch.tensor([0, 9, 4])
    found = run_onnx(path, z=z, labels=torch.nn.functional.one_hot(labels, 10).float())
    assert found.dtype == np.uint8
    expected = programs(export, ExportRequest(uint8=True))[0].reference(z, labels)
    assert np.abs(found.astype(int) - expected.numpy().astype(int)).max() <= 1


@pytest.mark.nightly
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("values", VARIATIONS, ids=str)
def test_every_architecture_can_be_exported(name: str, family: str, values: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / f"g{FORMATS[name].suffix}"
    normalized = values.get("normalization", "none") != "none" or values.get("generator_spectral_norm") == STORED
    if family == "r3gan" and (normalized or "inplace_activation" in values):
        with pytest.raises(UserError, match="r3gan"):
            export_of(small(family, **values))
        return
    lines = FORMATS[name].write(export_of(small(family, **values)), path, BOTH)
    assert sum("differs from the network by at most" in line for line in lines) == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.nightly
@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize(
    ("family", "values"),
    [("biggan-deep", {"learned_shortcuts": True, "generator_depth": 2}), ("sngan", {"dense_class_tables": True})],
)
@pytest.mark.parametrize("mixtures", [True, False])
def test_stated_parts_can_be_exported(
    name: str, family: str, values: dict[str, Any], mixtures: bool, tmp_path: Path
) -> None:
    request = ExportRequest(discriminator=True, mixtures=mixtures)
    FORMATS[name].write(export_of(small(family, **values)), tmp_path / f"g{FORMATS[name].suffix}", request)


@pytest.mark.parametrize("fault", ["noise", "a little", "not a number", "shape", "type"])
@pytest.mark.parametrize("wrong", ["generator", "discriminator"])
def test_what_differs_is_an_error_and_leaves_nothing(fault: str, wrong: str, tmp_path: Path) -> None:
    """The first file is whole when the second is found wrong; neither stays, and what was there before does."""
    from biggan.exporting.programs import agreed

    path = tmp_path / "g.bin"
    path.write_bytes(b"before")

    def spoil(found: Tensor) -> Tensor:
        if fault == "noise":
            return torch.randn_like(found)
        if fault == "a little":
            return found + 0.002 * max(1.0, float(found.abs().max()))
        if fault == "not a number":
            return torch.where(torch.arange(found.numel()).view(found.shape) == 1, torch.nan, found)
        return found[:, :, None] if fault == "shape" else found.double()

    def write_one(program: Program, card: Card, temporary: Path) -> str:
        temporary.write_bytes(b"after")
        spoilt = (lambda x: spoil(x)) if program.name == wrong else (lambda x: x)
        return agreed(program, lambda inputs: spoilt(program.module(*inputs)))

    with pytest.raises(UserError, match=f"exported {wrong}"):
        write_programs(export_of(small("sngan", resolution=(16, 16))), path, BOTH, write_one)
    assert [one.name for one in tmp_path.iterdir()] == ["g.bin"]
    assert path.read_bytes() == b"before"
