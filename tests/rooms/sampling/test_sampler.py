"""The Python interface: what loads, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import biggan
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_bytes
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.layers.spectral_norm import Division, SpectrallyNormalized, spectrally_normalized
from biggan.models.contract import build
from biggan.sampling.draw import divided_once, draw
from biggan.sampling.sheets import class_sheets
from biggan.training.setup import train
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config
from tests.snapshots import NAMES, write


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_depends_on_its_seed_and_class_only(family: str, tmp_path: Path) -> None:
    model = biggan.load(write(tmp_path / "x.safetensors", tiny(family, channels=3)), device="cpu")
    together = model.sample(classes=[1, 2, 3, 4, 5], seeds=[10, 11, 12, 13, 14], truncation=0.7)
    assert together.dtype == torch.uint8
    assert together.shape == (5, 3, 16, 16)
    for i in range(5):
        alone = model.sample(classes=[i + 1], seeds=[10 + i], truncation=0.7)[0]
        assert int((alone.int() - together[i].int()).abs().max()) <= 1
    chunked = model.sample(classes=[1, 2, 3, 4, 5], seeds=[10, 11, 12, 13, 14], truncation=0.7, chunk=2)
    assert int((chunked.int() - together.int()).abs().max()) <= 1


def test_lists_are_paired_and_one_entry_is_repeated(snapshot: Path) -> None:
    model = biggan.load(snapshot, device="cpu")
    assert len(model.sample(classes=["cat"], seeds=[1, 2, 3])) == 3
    assert len(model.sample(classes=["cat", 3], seeds=[1])) == 2
    assert torch.equal(model.sample(classes=["cat"], seeds=[4]), model.sample(classes=[6], seeds=[4]))
    cycled = model.sample(seeds=range(12))
    alone = model.sample(classes=[1], seeds=[11])  # in another batch, so rounded differently
    assert int((cycled[11:].int() - alone.int()).abs().max()) <= 1
    with pytest.raises(UserError, match="2 classes and 3 seeds cannot be paired"):
        model.sample(classes=[1, 2], seeds=[1, 2, 3])


def test_classes_by_name_and_by_index(snapshot: Path) -> None:
    model = biggan.load(snapshot, device="cpu")
    assert model.class_names == NAMES
    assert model.class_index("7") == 2, "a word that is a class name is that name"
    assert model.class_index("id:7") == 7
    assert model.class_index("id:2") == 4, "even if it looks like an index"
    assert model.class_index(7) == 7
    assert model.class_index(" Golden_RETRIEVER") == 1, "capitals and spaces do not matter where one name is left"
    with pytest.raises(UserError, match=r"no class 'retriever'; nearest: golden retriever, .*index is written id:7"):
        model.class_index("retriever")
    with pytest.raises(UserError, match="no class '3'"):
        model.class_index("3")
    for beyond in ("id:10", 10, -1):
        with pytest.raises(UserError, match="there are 10"):
            model.class_index(beyond)
    with pytest.raises(UserError, match=r"nearest: ca[bpt]") as error:
        model.class_index("caz")
    assert str(error.value).count(",") == 4, "five are named"


def test_unconditional_models(tmp_path: Path) -> None:
    model = biggan.load(write(tmp_path / "u.safetensors", tiny("biggan", classes=0)), device="cpu")
    assert model.sample(seeds=[0, 1, 2]).shape == (3, 1, 16, 16)
    with pytest.raises(UserError, match="unconditional"):
        model.sample(classes=[1], seeds=[0])


def test_sampling_changes_nothing(snapshot: Path) -> None:
    model = biggan.load(snapshot, device="cpu")
    before = {k: v.clone() for k, v in model.generator.state_dict().items()}
    model.sample(seeds=range(5))
    list(class_sheets(model.generator, model.class_names, 2))
    assert_same_tensors(before, model.generator.state_dict())
    assert not model.generator.training


def test_runs_checkpoints_and_snapshots_all_load(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "run", duration=16), "digits")
    run = tmp_path / "run"
    images = [
        biggan.load(p, device="cpu").sample(seeds=[1])
        for p in (run, run / "checkpoints" / "16", run / "snapshots" / "16.safetensors")
    ]
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])
    (run / "snapshots" / "16.safetensors").unlink()
    assert torch.equal(biggan.load(run, device="cpu").sample(seeds=[1]), images[0])


def test_what_does_not_load(tmp_path: Path, snapshot: Path) -> None:

    for path, message in (
        (tmp_path / "absent", "there is no such run, checkpoint or file"),
        (tmp_path, "neither a run"),
        (Path(__file__), "not a readable safetensors file"),
    ):
        with pytest.raises(UserError, match=message):
            biggan.load(path)
    (tmp_path / "runs" / "flowers" / "snapshots").mkdir(parents=True)
    with pytest.raises(UserError, match=r"there are runs in it: .*flowers$"):
        biggan.load(tmp_path / "runs")
    stored = read_verified(snapshot)
    for change, message in (
        (lambda t: t.pop("linear.weight"), "1 missing, first linear.weight"),
        (lambda t: t.update({"stages.9.x": torch.zeros(1)}), "1 unknown, first stages.9.x"),
        (lambda t: t.update({"linear.bias": torch.zeros(3)}), "1 of another shape, first linear.bias"),
    ):
        changed = dict(stored.tensors)
        change(changed)
        write_tensors(tmp_path / "changed.safetensors", changed, stored.header)
        with pytest.raises(UserError, match=message):
            biggan.load(tmp_path / "changed.safetensors")
    write_tensors(tmp_path / "new.safetensors", stored.tensors, {**stored.header, "format": 99})
    with pytest.raises(UserError, match="format 99"):
        biggan.load(tmp_path / "new.safetensors")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(snapshot: Path) -> None:
    with pytest.raises(UserError, match="--device cuda: PyTorch sees no CUDA device"):
        biggan.load(snapshot, device="cuda")


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_divided_once_for_all_chunks_and_for_all_calls_that_say_so(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = build(tiny(family), seed=1).generator.eval()
    z, labels = torch.randn(5, generator.architecture.z_size), torch.arange(5)
    with torch.no_grad():
        expected = torch.cat([to_bytes(generator(*part)) for part in zip(z.split(2), labels.split(2), strict=True)])
    divided: list[str] = []
    divide = SpectrallyNormalized.divided

    def counted(layer: SpectrallyNormalized) -> Division:
        divided.append(str(id(layer)))
        return divide(layer)

    monkeypatch.setattr(SpectrallyNormalized, "divided", counted)
    assert torch.equal(draw(generator, z, labels, chunk=2), expected)
    layers = spectrally_normalized(generator)
    assert len(divided) == len(set(divided)) == len(layers)
    assert all(layer.held is None for layer in layers.values())
    with divided_once(generator):
        assert torch.equal(draw(generator, z[:2], labels[:2]), expected[:2])
        assert torch.equal(draw(generator, z[2:], labels[2:], chunk=2), expected[2:])
    assert len(divided) == 2 * len(layers), "once more for both calls together"
    assert all(layer.held is None for layer in layers.values())
