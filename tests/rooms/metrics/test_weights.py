"""Weights of foreign networks: read once, as tensors, whatever else the file would like to do."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from biggan.convert.biggan_pytorch import facts_from_options
from biggan.convert.stored_options import read_options
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.metrics.features import ExtractorOptions
from biggan.metrics.fidelity_extractors import Clip
from biggan.metrics.weights import load_into, read_weights


class Marks:
    """Makes a folder when Python unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def program(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out; its files stay
        torch.jit.script(network).save(str(path))
    return path


class Endless(nn.Module):
    """A program that never ends when its weights are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, bool]:
        return self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
        self.weight = state[0]
        self.training = state[1]
        while True:
            self.weight = self.weight + 1


@pytest.mark.parametrize("archive", [True, False])
def test_what_torch_saves_is_read(tmp_path: Path, archive: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2).half())
    shared = torch.arange(12.0).reshape(3, 4)
    tensors = {**network.state_dict(), "view": shared.t()[1:], "other": shared[2], "none": torch.zeros(0, 3)}
    path = tmp_path / "w.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=archive)
    found = read_weights(path)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(found.tensors) == list(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(found.tensors[name], tensor)
        assert found.tensors[name].dtype == tensor.dtype


@pytest.mark.parametrize("archive", [True, False])
def test_pickled_code_is_not_run(tmp_path: Path, archive: bool) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "mark"
    for content in (Marks(mark), {"a": torch.zeros(2), "b": Marks(mark)}, nn.Linear(2, 2)):
        torch.save(content, path, _use_new_zipfile_serialization=archive)
        with pytest.raises(CorruptFileError, match="not a PyTorch file of tensors and nothing else"):
            read_weights(path)
    path.write_bytes(pickle.dumps(Marks(mark)))
    with pytest.raises(CorruptFileError, match="not a PyTorch file"):
        read_weights(path)
    assert not mark.exists()


def test_programs_are_refused_and_never_run(tmp_path: Path) -> None:
    path = program(Endless(), tmp_path / "endless.pt")
    with pytest.raises(UserError, match="a TorchScript archive, which is a program"):
        read_weights(path)
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError):  # were it the published one: its state is no table of weights
        read_weights(path, published=own)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.BatchNorm2d(4)))
    path = program(network, tmp_path / "plain.pt")
    with pytest.raises(UserError, match="not the one that was published"):
        read_weights(path, published=own)
    found = read_weights(path, published=hashlib.sha256(path.read_bytes()).hexdigest())
    expected = network.state_dict()
    assert found.tensors.keys() == expected.keys()
    assert all(torch.equal(found.tensors[name], expected[name]) for name in expected)


def test_a_file_is_opened_once(tmp_path: Path) -> None:
    """So that nobody can exchange it between what is checked and what is used."""
    path = tmp_path / "w.pth"
    torch.save({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, path)
    opened: list[str] = []
    watching = True
    sys.addaudithook(lambda event, what: opened.append(str(what[0])) if watching and event == "open" else None)
    try:
        load_into(nn.Linear(3, 2), read_weights(path), "a layer")
    finally:
        watching = False
    assert opened.count(str(path)) == 1


def _storages(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def test_tensors_lie_within_their_numbers(tmp_path: Path) -> None:
    """Sizes, strides and offsets that reach out of the file are refused before a tensor is made."""
    path = tmp_path / "w.pth"
    with io.BytesIO() as file:
        torch.save({"a": torch.arange(200.0).reshape(10, 20)}, file, _use_new_zipfile_serialization=False)
        good = file.getvalue()
    path.write_bytes(good)
    assert read_weights(path).tensors["a"].shape == (10, 20)
    shape, stride = b"K\nK\x14\x86", b"K\x14K\x01\x86"
    assert good.count(shape) == good.count(stride) == 1
    for old, new in (
        (shape, b"K\x0bK\x14\x86"),  # one row more than there is
        (shape, b"M\xff\xffK\x14\x86"),
        (shape, b"\x8a\x06\xff\xff\xff\xff\xff\x7fK\x14\x86"),
        (stride, b"K\x15K\x01\x86"),
        (stride, b"J\xff\xff\xff\xffK\x01\x86"),
        (stride, b"K\x14\x85"),
        (b"K\xc8N", b"M\xff\xffN"),  # a storage of more numbers than the file has
        (b"FloatStorage", b"Floatstorage"),
    ):
        path.write_bytes(_storages(good, old, new))
        with pytest.raises(CorruptFileError):
            read_weights(path)


def test_repeated_numbers_do_not_multiply(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(1).expand(10**9)}, path)  # a billion entries by a stride of nothing
    with pytest.raises(CorruptFileError, match="reaches beyond its numbers"):
        read_weights(path)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for tensors in (
        {"weight": torch.zeros(2, 3)},
        {"weight": torch.zeros(3, 3), "bias": torch.zeros(2)},
        {"weight": torch.zeros(2, 3, dtype=torch.int64), "bias": torch.zeros(2)},
    ):
        torch.save(tensors, path)
        with pytest.raises(CorruptFileError, match="not the weights of a layer"):
            load_into(nn.Linear(3, 2), read_weights(path), "a layer")
    for content, says in ((b"", "not a PyTorch file"), (b"PK\5\6" + bytes(18), "none that PyTorch wrote")):
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match=says):
            read_weights(path)
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(UserError, match="this is not a file"):
        read_weights(tmp_path / "pipe.pth")


class Small(Clip):
    """CLIP of one layer and few channels, so that a test can build it."""

    shapes: ClassVar = {"visual.conv1.weight": (64, 3, 16, 16)}


def test_clip_is_built_around_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_clip")
    torch.manual_seed(0)
    whole = module.CLIPVisual(32, 32, 1, 64, 16)
    whole.register_buffer("text_projection", torch.zeros(8, 32))
    path = program(whole, tmp_path / "ViT-B-32.pt")
    with pytest.raises(UserError, match="not the one that was published"):
        Small(ExtractorOptions(weights=path))
    monkeypatch.setattr(Small, "published", hashlib.sha256(path.read_bytes()).hexdigest())
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    ours = Small(ExtractorOptions(weights=path))(images).rows
    # torch-fidelity itself, which runs the archive: this one is ours.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = module.FeatureExtractorCLIP(Clip.theirs, ["clip"], feature_extractor_weights_path=str(path))(images)
    torch.testing.assert_close(ours, theirs[0], rtol=0, atol=0)
    torch.save(whole.state_dict(), tmp_path / "plain.pth")
    again = Small(ExtractorOptions(weights=tmp_path / "plain.pth"))(images).rows
    torch.testing.assert_close(again, ours, rtol=0, atol=0)
    with pytest.raises(CorruptFileError, match=r"does not fit.*visual.conv1.weight"):
        Clip(ExtractorOptions(weights=tmp_path / "plain.pth"))


@pytest.mark.parametrize("archive", [True, False])
def test_stored_options_of_any_age(tmp_path: Path, archive: bool) -> None:
    path = tmp_path / "state_dict.pth"
    config = {"BN_eps": 1e-4, "G_activation": nn.ReLU(inplace=True), "n": np.float64(3.5), "w": torch.ones(2)}
    torch.save({"config": config, "itr": 1}, path, _use_new_zipfile_serialization=archive)
    assert read_options(path) == {"BN_eps": 1e-4, "G_activation": "inplace_relu", "n": 3.5}
    torch.save({"config": {"BN_eps": np.zeros(2, dtype=object)}}, path, _use_new_zipfile_serialization=archive)
    with pytest.raises(CorruptFileError, match="only plain numbers"):
        read_options(path)


@pytest.mark.parametrize(
    "options", [{"BN_eps": "x"}, {"SN_eps": float("nan")}, {"num_G_SV_itrs": 10**9}, {"bottom_width": -1}]
)
def test_options_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"option {next(iter(options))} is"):
        facts_from_options(options)
