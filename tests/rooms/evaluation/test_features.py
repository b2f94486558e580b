"""Features: deterministic offline, exact by a weights file, other pipelines beside the right one."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import biggan
from biggan.evaluation.configuration import EvaluationConfig
from biggan.metrics.definitions import title
from biggan.metrics.features import EXTRACTORS, ExtractorOptions
from tests.conftest import tiny_config
from tests.rooms.evaluation.calling import evaluated, failed, inception_weights


@pytest.mark.parametrize("name", ["random", pytest.param("classifier", marks=pytest.mark.nightly)])
def test_offline_features_are_deterministic(name: str, cache: Path) -> None:
    from biggan.data.opening import open_images

    source = open_images(tiny_config().data, (16, 16))
    images = torch.from_numpy(source.read_many(np.arange(5)))
    first = EXTRACTORS[name](ExtractorOptions(data=source))  # type: ignore[call-arg]
    shutil.rmtree(cache / "classifiers", ignore_errors=True)
    again = EXTRACTORS[name](ExtractorOptions(data=source))  # type: ignore[call-arg]
    assert torch.equal(first(images).rows, again(images).rows)
    assert first.key == again.key
    one_by_one = torch.cat([first(image[None]).rows for image in images])
    assert torch.allclose(one_by_one, first(images).rows, atol=1e-5)
    if name == "classifier":
        assert first.accuracy > 0.97  # type: ignore[attr-defined]


@pytest.mark.nightly
def test_inception_by_a_weights_file(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole real path, with weights that mean nothing; only these numbers are called fid."""
    path = inception_weights(tmp_path / "weights.pth")
    words = (run, "--features", "inception", "--features.weights", path, "--count", 24, "--batch", 12)
    # A reference of few images: the digits are 1,797, and Inception on a CPU is slow.
    few = tmp_path / "few.npz"
    from biggan.data.opening import open_images

    source = open_images(tiny_config().data, (16, 16))
    chosen = np.arange(0, 1797, 75)
    np.savez(few, x=source.read_many(chosen), y=source.labels[chosen])
    found = evaluated(capsys, *words, "--data", few, "--metrics", "fid", "is", "kid", "precision_recall")
    assert {"fid", "is", "kid", "precision", "recall"} <= set(found)
    assert found["fid"].protocol.startswith("fid_24_all24_inception-bilinear299-uint8_ema-running")
    assert "read KID" in found["fid"].notes[0], "24 images cannot span 2048 dimensions"
    from torch_fidelity import calculate_metrics

    class Images(torch.utils.data.Dataset[torch.Tensor]):
        def __init__(self, images: torch.Tensor) -> None:
            self.images = images.expand(-1, 3, -1, -1).contiguous()

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, index: int) -> torch.Tensor:
            return self.images[index]

    from biggan.evaluation.streams import GeneratedStream

    sampler = biggan.load(run, "cpu")
    stream = GeneratedStream(
        sampler.generator, EvaluationConfig(count=24), np.bincount(source.labels[chosen], minlength=10)
    )
    theirs = calculate_metrics(
        input1=Images(stream.images(torch.arange(24))),
        input2=Images(torch.from_numpy(source.read_many(chosen))),
        cuda=False,
        fid=True,
        isc=True,
        prc=True,
        batch_size=12,
        verbose=False,
        cache=False,
        feature_extractor="inception-v3-compat",
        feature_extractor_weights_path=str(path),
    )
    assert found["fid"].value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert found["is"].value == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert found["precision"].value == pytest.approx(theirs["precision"], abs=1e-6)
    assert found["recall"].value == pytest.approx(theirs["recall"], abs=1e-6)


def test_wrong_weights(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(content: bytes | None, name: str = "w.pth") -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        words = (run, "--features", "inception", "--features.weights", path, "--count", 10)
        return str(failed(capsys, *words))

    assert "there is no such file" in error(None)
    assert "web page" in error(b"<!DOCTYPE html><html>404</html>")
    assert "not a PyTorch file of tensors" in error(pickle.dumps({"a": Path("/")}))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert "does not fit" in error(None, "other.pth")
    assert "its SHA-256 begins with" in error(b"whatever", "weights-inception-2015-12-05-6726825d.pth")


@pytest.mark.nightly
def test_other_protocols_stand_beside_the_right_number(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    torch.save(inception_v3(weights=None, init_weights=False).state_dict(), tmp_path / "tv.pth")
    few = tmp_path / "few.npz"
    np.savez(few, x=np.random.default_rng(0).integers(0, 256, (20, 1, 16, 16), dtype=np.uint8), y=np.arange(20) % 10)
    words = (run, "--data", few, "--count", 20, "--metrics", "fid", "kid", "--features", "random")
    found = evaluated(capsys, *words, "--protocol", "biggan-pytorch", "--protocol-weights", tmp_path / "tv.pth")
    assert list(found) == ["fd_random", "kid_random", "kid_std_random", "fd_inception-torchvision"]
    assert "torchvisioninception-bilinearaligned299-float" in found["fd_inception-torchvision"].protocol
    weights = inception_weights(tmp_path / "i.pth")
    found = evaluated(capsys, *words, "--protocol", "mmgeneration", "--protocol-weights", weights)
    assert "pillowbicubic299" in found["fd_inception-pillow-bicubic"].protocol


def test_torchvision_inception_is_what_the_reference_computes(tmp_path: Path) -> None:
    """Pool features and logits of the network as BigGAN-PyTorch wraps it, written out."""
    from torch.nn import functional as F
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    network = inception_v3(weights=None, init_weights=False, transform_input=False).eval()
    torch.save(network.state_dict(), tmp_path / "tv.pth")
    extractor = EXTRACTORS["inception-torchvision"](ExtractorOptions(weights=tmp_path / "tv.pth"))  # type: ignore[call-arg]
    images = torch.rand(2, 3, 20, 20) * 2 - 1
    x = images
    x = ((x + 1) / 2 - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    x = F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=True)
    with torch.no_grad():
        expected = network(x)
    found = extractor(images)
    assert found.logits is not None
    assert torch.allclose(found.logits, expected, atol=1e-5)
    assert found.rows.shape == (2, 2048)
    assert torch.allclose(network.fc(found.rows), expected, atol=1e-4)


@pytest.mark.parametrize(("value", "features", "name"), [
    ("fd", "inception", "fid"), ("fd", "classifier", "fd_classifier"), ("class_fd", "inception", "class_fid"),
    ("kid", "inception", "kid"), ("kid", "dinov2", "kid_dinov2"),
    ("fd", "inception-torchvision", "fd_inception-torchvision"),
])  # fmt: skip
def test_names(value: str, features: str, name: str) -> None:
    assert title(value, features) == name
