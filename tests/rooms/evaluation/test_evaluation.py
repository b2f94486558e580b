"""Evaluation: the same number whatever the way, a protocol in every record, references that are never stale."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.evaluation.configuration import EvaluationConfig, TrainingEvaluation
from biggan.foundation.errors import UserError
from biggan.metrics.definitions import METRICS, title
from biggan.metrics.features import EXTRACTORS, ExtractorOptions
from biggan.models.contract import build
from biggan.models.snapshot import SnapshotInfo, write_snapshot
from biggan.training.configuration import CheckpointConfig
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training.test_distributed import torchrun
from tests.rooms.training.test_run import final_state

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIGGAN_CACHE", str(cache))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run on digits."""
    path = tmp_path_factory.mktemp("run") / "run"
    train(tiny_config(path, duration=160), "digits")
    return path


def evaluated(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> dict[str, Any]:
    """Run the command; return its records by metric, or the error."""
    capsys.readouterr()
    assert main(["evaluate", *map(str, words), "--device", "cpu", "--json"]) == status
    out = capsys.readouterr()
    if status:
        return {"error": out.err}
    return {record["metric"]: record for record in map(json.loads, out.out.splitlines())}


ALL = "fid is kid kid_full precision_recall prdc class_fid diversity memorisation".split()


def test_every_metric_on_a_run(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the run alone: its data, offline features, all metrics but the slowest, a record for each number."""
    before = (run / "checkpoints" / "160" / "snapshot.safetensors").read_bytes()
    found = evaluated(capsys, run, "--count", 600, "--metrics", ",".join(ALL))
    assert set(ALL) | {"cas"} == set(METRICS), "a new metric is tested here by itself, or below"
    for name, record in found.items():
        assert record["value"] is not None, name
        assert name.endswith("_classifier"), "never called by the name of the Inception number"
        assert record["protocol"].startswith(f"{name}_600_all1797_classifier")
        assert record["protocol"].endswith("uint8_ema-running")
        for key in (
            "count",
            "real_count",
            "features_weights",
            "first_seed",
            "images_seen",
            "device",
            "seconds",
            "precision",
        ):
            assert record[key] is not None, key
    assert found["fd_classifier"]["value"] > 0.5, "a generator that has learnt nothing"
    assert found["prdc_k5_coverage_classifier"]["value"] < 0.9
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["metric"] for line in lines[-len(found) :]] == list(found)
    with Image.open(run / "memorisation.png") as picture:
        assert picture.size[0] >= 5 * 16, "a sample and its four nearest real images in a row"
        assert picture.size[1] >= 8 * 16
    assert (run / "checkpoints" / "160" / "snapshot.safetensors").read_bytes() == before


def test_the_same_call_gives_the_same_number_whatever_the_batch(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [name for name in ALL if name != "class_fid"]  # which has too few images here
    calls = [evaluated(capsys, run, "--count", 150, "--metrics", *few, "--batch", batch) for batch in (64, 64, 7)]
    for name, record in calls[0].items():
        assert record["value"] == calls[1][name]["value"], name
        close = pytest.approx(calls[2][name]["value"], rel=2e-3, abs=2e-3)
        # Shares move by whole images where a distance lies at the edge of a ball.
        share = name.startswith(("copies", "precision", "recall", "prdc"))
        assert record["value"] == close or (share and abs(record["value"] - calls[2][name]["value"]) < 0.03), name
    assert calls[1]["kid_classifier"]["reference_from_cache"]


def test_two_ranks_equal_one(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = evaluated(capsys, run, "--count", 130, "--metrics", "fid", "is", "kid", "prdc")
    words = ["-m", "biggan", "evaluate", str(run), "--count", "130", "--metrics", "fid", "is", "kid", "prdc"]
    done = torchrun(2, [*words, "--device", "cpu", "--json"])
    assert done.returncode == 0, done.stderr
    two = {record["metric"]: record for record in map(json.loads, done.stdout.splitlines())}
    assert one.keys() == two.keys()
    for name in one:
        assert two[name]["value"] == pytest.approx(one[name]["value"], rel=1e-9, abs=1e-9)
        assert two[name]["ranks"] == 2


def test_the_generator_is_not_changed(run: Path) -> None:
    from biggan.data.opening import open_images
    from biggan.evaluation.evaluate import evaluate, generated

    sampler = biggan.load(run, "cpu")
    before = {name: value.clone() for name, value in sampler.generator.state_dict().items()}
    config = tiny_config().data
    source = open_images(config, (16, 16))
    numbers = {}
    for mode in ("running", "batch", "standing"):
        chosen = EvaluationConfig(
            metrics=("fid",),
            count=100,
            features="random",
            generator_mode=mode,
            standing_batches=2,
        )  # type: ignore[arg-type]
        side = generated(sampler, chosen, source)
        record = evaluate(side, chosen, source=source, device=torch.device("cpu"))[0]
        assert f"ema-{mode}" in record["protocol"]
        numbers[mode] = record["value"]
    assert len(set(numbers.values())) == 3, "the modes are different numbers"
    assert_same_tensors(before, sampler.generator.state_dict())
    assert not sampler.generator.training


def test_images_against_images(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = make_folder({"a": 30, "b": 30}, size=(16, 16), name="one")
    two = make_folder({"a": 30, "b": 30}, size=(16, 16), name="two", seed=1)
    options = ["--features", "random", "--metrics", "fid", "precision_recall"]
    same = evaluated(capsys, one, "--data", one, *options)
    assert same["fd_random"]["value"] == pytest.approx(0, abs=1e-6)
    assert same["precision_random"]["value"] == 1.0
    other = evaluated(capsys, one, "--data", two, *options)
    assert other["fd_random"]["value"] > 1e-6
    assert other["fd_random"]["count"] == 60
    assert (tmp_path / "metrics.jsonl").exists()
    mixed = make_folder({"c": 3}, size=(20, 24), name="one")
    assert "say at which to compare" in evaluated(capsys, two, "--data", mixed, *options, status=2)["error"]
    (two / "a" / "0000.png").write_bytes(b"no image")
    assert "1 of 60 images cannot be used" in evaluated(capsys, two, "--data", two, *options, status=2)["error"]


def test_accuracy_scores(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is real passes for real: two halves of the digits."""
    found = evaluated(capsys, "digits", "--data", "digits", "--resolution", 16, "--metrics", "cas", "--out", run / "x")
    assert found["cas"]["value"] > 0.97
    assert found["cas_train_real_test_fake"]["value"] > 0.97
    assert found["cas"]["features"] is None


def test_mistakes(run: Path, tmp_path: Path, make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*words: object) -> str:
        return str(evaluated(capsys, *words, status=2)["error"])

    assert "nearest: fid" in error(run, "--metrics", "fidd")
    assert "nearest: inception" in error(run, "--features", "inceptoin")
    snapshot = run / "snapshots" / "160.safetensors"
    assert "--data" in error(snapshot)
    folder = make_folder({"a": 3, "b": 3}, size=(16, 16))
    assert "2 classes, this generator was trained on 10" in error(snapshot, "--data", folder)
    assert "compared at the size that it makes" in error(run, "--resolution", "32")
    assert "needs two classes" in error(folder / "a", "--data", folder / "a", "--features", "classifier")
    assert "--count 1" in error(run, "--count", 1)
    many = tmp_path / "five.npy"
    np.save(many, np.zeros((4, 5, 16, 16), np.uint8))
    assert "5 channels" in error(many, "--data", many, "--features", "random", "--metrics", "fid")


# -- features ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "classifier"])
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


def inception_weights(path: Path, scale: float = 1.0) -> Path:
    """Write random weights in the layout of torch-fidelity's Inception."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Fresh(module.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            pass

    original, module.load_state_dict_from_url = module.load_state_dict_from_url, lambda *_, **__: {}
    try:
        torch.manual_seed(0)
        network = Fresh("inception-v3-compat", ["2048"])
    finally:
        module.load_state_dict_from_url = original
    state = {k: v * scale if v.is_floating_point() else v for k, v in network.state_dict().items()}
    torch.save(state, path)
    return path


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
    assert found["fid"]["protocol"].startswith("fid_24_all24_inception-bilinear299-uint8_ema-running")
    assert "read KID" in found["fid"]["notes"][0], "24 images cannot span 2048 dimensions"
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
    assert found["fid"]["value"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert found["is"]["value"] == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert found["precision"]["value"] == pytest.approx(theirs["precision"], abs=1e-6)
    assert found["recall"]["value"] == pytest.approx(theirs["recall"], abs=1e-6)


def test_wrong_weights(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(content: bytes | None, name: str = "w.pth") -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        words = (run, "--features", "inception", "--features.weights", path, "--count", 10)
        return str(evaluated(capsys, *words, status=2)["error"])

    assert "there is no such file" in error(None)
    assert "web page" in error(b"<!DOCTYPE html><html>404</html>")
    assert "not a PyTorch file of tensors" in error(pickle.dumps({"a": Path("/")}))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    assert "does not fit" in error(None, "other.pth")
    assert "its SHA-256 begins with" in error(b"whatever", "weights-inception-2015-12-05-6726825d.pth")


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
    assert "torchvisioninception-bilinearaligned299-float" in found["fd_inception-torchvision"]["protocol"]
    weights = inception_weights(tmp_path / "i.pth")
    found = evaluated(capsys, *words, "--protocol", "mmgeneration", "--protocol-weights", weights)
    assert "pillowbicubic299" in found["fd_inception-pillow-bicubic"]["protocol"]


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


# -- references --------------------------------------------------------------------------------------------------------


def test_an_interrupted_reference_leaves_nothing(
    run: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from biggan.metrics.random_features import RandomFeatures

    shutil.rmtree(cache / "references", ignore_errors=True)
    words = (run, "--count", 20, "--metrics", "fid", "--features", "random")
    original, calls = RandomFeatures.__call__, []

    def killed(self: RandomFeatures, images: torch.Tensor) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, images)

    monkeypatch.setattr(RandomFeatures, "__call__", killed)
    assert main(["evaluate", *map(str, words), "--device", "cpu"]) == 130
    assert not list(cache.glob("references/*"))
    monkeypatch.setattr(RandomFeatures, "__call__", original)
    first = evaluated(capsys, *words)["fd_random"]
    again = evaluated(capsys, *words)["fd_random"]
    assert (first["reference_from_cache"], again["reference_from_cache"]) == (False, True)
    assert first["value"] == again["value"]
    (stored,) = cache.glob("references/*.safetensors")
    stored.write_bytes(stored.read_bytes()[:1000])
    assert evaluated(capsys, *words)["fd_random"]["value"] == first["value"], "a damaged one is made again"


def test_swapped_data_are_noticed(make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judged = make_folder({"a": 9, "b": 9}, size=(16, 16), name="judged")
    data = make_folder({"a": 9, "b": 9}, size=(16, 16), name="data", seed=1)
    words = (judged, "--data", data, "--features", "random", "--metrics", "fid", "--out", tmp_path)
    first = evaluated(capsys, *words)["fd_random"]
    assert evaluated(capsys, *words)["fd_random"]["reference_from_cache"]
    Image.new("RGB", (16, 16), "red").save(data / "a" / "0000.png")
    swapped = evaluated(capsys, *words)["fd_random"]
    assert not swapped["reference_from_cache"]
    assert swapped["value"] != first["value"]


def test_given_statistics(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (run, "--count", 50, "--metrics", "fid", "--features", "random")
    right = evaluated(capsys, *words)["fd_random"]["value"]
    make = [
        "evaluate",
        "reference",
        "--data",
        "digits",
        "--resolution",
        "16",
        "--features",
        "random",
        "--device",
        "cpu",
    ]
    for name in ("r.npz", "r.safetensors"):
        assert main([*make, "--out", str(tmp_path / name)]) == 0
        record = evaluated(capsys, *words, "--reference", tmp_path / name)["fd_random"]
        assert record["value"] == pytest.approx(right, rel=1e-9)
        assert f"_given-r-{record['reference'][-8:]}_" in record["protocol"]
    with np.load(tmp_path / "r.npz") as archive:
        mean, covariance = archive["mu"], archive["sigma"]
    (tmp_path / "mm.pkl").write_bytes(pickle.dumps({"mean": mean, "cov": covariance, "size": 10}))
    assert evaluated(capsys, *words, "--reference", tmp_path / "mm.pkl")["fd_random"]["value"] == pytest.approx(right)
    kid = evaluated(
        capsys, run, "--count", 50, "--metrics", "kid", "--features", "random", "--reference", tmp_path / "r.npz"
    )
    assert kid["kid"]["value"] is None
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"mean": Path("/")}))
    error = evaluated(capsys, *words, "--reference", tmp_path / "evil.pkl", status=2)["error"]
    assert "which plain data have no need of" in error
    np.savez(tmp_path / "x.npz", a=mean)
    assert (
        "holds no mean and covariance"
        in evaluated(capsys, *words, "--reference", tmp_path / "x.npz", status=2)["error"]
    )
    assert "no such file" in evaluated(capsys, *words, "--reference", tmp_path / "no.npz", status=2)["error"]


# -- truncation --------------------------------------------------------------------------------------------------------


def test_a_sweep(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--count", "60", "--metrics", "fid", "is", "--truncations", "0.3", "1.0", "--standing-batches", "2"]
    assert main(["evaluate", "truncation", str(run), *words, "--device", "cpu", "--out", str(tmp_path)]) == 0
    rows = (tmp_path / "truncation" / "truncation.csv").read_text().splitlines()
    assert rows[0] == "truncation,fd_classifier,is_classifier,is_std_classifier"
    assert [row.split(",")[0] for row in rows[1:]] == ["0.3", "1.0"]
    for name in ("truncation.png", "truncation_sheet.png"):
        with Image.open(tmp_path / "truncation" / name) as picture:
            assert min(picture.size) > 30
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {line["truncation"] for line in lines} == {0.3, 1.0}
    assert all("standing2x64-resample" in line["protocol"] for line in lines)


def test_a_bank_is_used_by_itself(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bank.safetensors"
    words = ["--truncations", "0.4", "0.8", "--batches", "2", "--device", "cpu"]
    assert main(["calibrate", str(run), "--out", str(out), *words]) == 0
    plain, calibrated = biggan.load(run, "cpu"), biggan.load(out, "cpu")
    assert_same_tensors(plain.generator.state_dict(), calibrated.generator.state_dict())
    assert torch.equal(plain.sample(seeds=range(4)), calibrated.sample(seeds=range(4))), "untruncated is untouched"
    assert "badly" in str(plain.statistics(0.4))
    assert "bank" in str(calibrated.statistics(0.4))
    from biggan.sampling.standing import write_with_standing_statistics

    write_with_standing_statistics(plain, tmp_path / "s.safetensors", batches=2, truncation=0.4)
    standing = biggan.load(tmp_path / "s.safetensors", "cpu")
    assert "standing statistics of truncation 0.4" in str(standing.statistics(0.4))
    one = calibrated.sample(seeds=range(4), truncation=0.4)
    other = standing.sample(seeds=range(4), truncation=0.4)
    # The file of standing statistics also holds the spectral-norm vectors that moved while they were estimated.
    assert (one.int() - other.int()).abs().float().mean() < 3
    low, high = (calibrated.at_truncation(t).state_dict() for t in (0.4, 0.8))
    between = calibrated.at_truncation(0.5).state_dict()
    name = next(n for n in low if n.endswith("running_mean"))
    assert torch.allclose(between[name], torch.lerp(low[name], high[name], 0.25))
    assert main(["calibrate", str(run), "--out", str(out), *words]) == 2
    capsys.readouterr()
    command = [
        "sample",
        str(out),
        "--out",
        str(tmp_path / "o"),
        "--count",
        "2",
        "--device",
        "cpu",
        "--truncation",
        "0.5",
    ]
    assert main(command) == 0
    assert "from the file's bank" in capsys.readouterr().out


def test_npz_for_other_evaluators(run: Path, tmp_path: Path) -> None:
    command = ["sample", str(run), "--out", str(tmp_path), "--count", "5", "--device", "cpu", "--format", "npz"]
    assert main([*command, "--npz-layout", "nhwc"]) == 0
    with np.load(tmp_path / "samples.npz") as archive:
        assert archive["x"].shape == archive["arr_0"].shape == (5, 16, 16, 1)
        assert archive["x"].dtype == np.uint8
        assert archive["y"].tolist() == [0, 1, 2, 3, 4]


# -- during training ---------------------------------------------------------------------------------------------------


def evaluation(**values: Any) -> TrainingEvaluation:
    return TrainingEvaluation(**{"every": 40, "count": 60, "metrics": ("fid", "kid"), "features": "random"} | values)


def test_training_is_untouched_by_evaluation(tmp_path: Path) -> None:
    plain = tiny_config(tmp_path / "plain", duration=160)
    train(plain, "digits")
    keeping = CheckpointConfig(every=40, keep_last=1, keep_best=1)
    watched = tiny_config(tmp_path / "watched", duration=160, evaluation=evaluation(), checkpoint=keeping)
    train(watched, "digits")
    assert_same_tensors(final_state(tmp_path / "plain"), final_state(tmp_path / "watched"))
    lines = [json.loads(line) for line in (tmp_path / "watched" / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines if line["metric"] == "fd_random"] == [40, 80, 120, 160]
    values = {line["images_seen"]: line["value"] for line in lines if line["metric"] == "fd_random"}
    best = min(values, key=values.__getitem__)
    kept = {int(p.name) for p in (tmp_path / "watched" / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {best, 160}


def test_none_starts_in_a_shorter_run_and_failures_are_told_once(tmp_path: Path) -> None:
    train(tiny_config(tmp_path / "short", duration=32, evaluation=evaluation()), "digits")
    assert not (tmp_path / "short" / "metrics.jsonl").exists()
    broken = evaluation(features="inception", weights=str(tmp_path / "none.pth"))
    train(tiny_config(tmp_path / "broken", duration=160, evaluation=broken), "digits")
    log = (tmp_path / "broken" / "log.txt").read_text()
    assert log.count("evaluation failed, and is off") == 1
    assert "there is no such file" in log
    assert "finished: 160 images" in log
    with pytest.raises(UserError, match="nearest: fid"):
        train(tiny_config(tmp_path / "typo", evaluation=evaluation(metrics=("fib",))), "digits")


def test_training_with_two_ranks_evaluates_on_both(tmp_path: Path) -> None:
    words = (
        "-m biggan train digits --duration 64 --batch 16 --device cpu --log.samples-every 1G --log.judge none".split()
    )
    words += "--log.no-tensorboard --evaluation.every 32 --evaluation.count 40 --evaluation.metrics fid".split()
    words += "--evaluation.features random --model.generator-width 4 --model.discriminator-width 4".split()
    done = torchrun(2, [*words, "--run-dir", str(tmp_path / "run")])
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [(line["images_seen"], line["ranks"]) for line in lines] == [(32, 2), (64, 2)]


# -- report ------------------------------------------------------------------------------------------------------------


def record(metric: str, value: float, images: int, count: int = 50_000) -> str:
    return json.dumps(
        {"metric": metric, "value": value, "images_seen": images, "count": count, "protocol": f"{metric}_p"}
    )


def test_comparison_with_the_published_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        record("fd_inception-torchvision", 100.0, 6000 * 2048),
        record("is_inception-torchvision", 12.0, 8000 * 2048),
        record("fid", 90.0, 6000 * 2048),
        record("fd_inception-torchvision", 80.0, 6000 * 2048, count=10_000),
        record("fd_inception-torchvision", 300.0, 64),
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert main(["report", "compare", str(tmp_path), "--out", str(tmp_path / "x.svg")]) == 0
    out = capsys.readouterr().out
    assert "12,288,000 images: fd_inception-torchvision 100.00, better than the log's 101.64" in out
    assert "16,384,000 images: is_inception-torchvision 12.00, better than the log's 8.14" in out
    assert "not compared: fid is of another protocol" in out
    assert "not compared: fd_inception-torchvision of 10,000 samples" in out
    assert "the log has no number near 64 images" in out
    assert (tmp_path / "x.svg").read_text().startswith("<?xml")
    assert main(["report", "compare", str(tmp_path / "none")]) == 2
    assert "evaluate the run first" in capsys.readouterr().err
    assert main(["report", "compair"]) == 2


def test_the_snapshot_of_another_family_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No batch norm, no classes, colour: what is not there is not asked for."""
    model = tiny("sngan", classes=0, channels=3)
    info = SnapshotInfo(architecture=model, class_names=(), weights="generator", images_seen=0, iterations=0)
    write_snapshot(tmp_path / "g.safetensors", build(model).generator.eval(), info)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (30, 3, 16, 16), dtype=np.uint8))
    words = (tmp_path / "g.safetensors", "--data", tmp_path / "x.npy", "--features", "random", "--count", 30)
    found = evaluated(capsys, *words, "--metrics", "fid", "prdc", "diversity")
    assert found["fd_random"]["value"] > 0


def test_configuration_is_checked() -> None:
    with pytest.raises(UserError, match="--count 1"):
        EvaluationConfig(count=1)
    with pytest.raises(UserError, match=r"--evaluation\.every 0"):
        TrainingEvaluation(every=0)
    assert dataclasses.replace(EvaluationConfig(), standing_statistics=True).mode == "standing"
