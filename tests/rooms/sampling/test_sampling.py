"""From seeds to pictures: the Python interface and the commands that draw."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import biggan
from biggan.cli.main import main
from biggan.cli.selection import parse_seeds, safe_name
from biggan.foundation.errors import UserError
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.layers.normalization import batch_norms
from biggan.models.architecture import Architecture
from biggan.models.contract import build
from biggan.models.norm_records import StandingStatistics
from biggan.models.snapshot import SnapshotInfo, read_info, write_snapshot
from biggan.sampling.interpolation import interpolation_sheet, path_through, spherical
from biggan.sampling.latents import TRUNCATION_KINDS, latents
from biggan.sampling.pictures import sheet
from biggan.sampling.sheets import class_sheets
from biggan.sampling.standing import StandingEstimate
from biggan.training.setup import train
from tests.conftest import FAMILIES, assert_same_tensors, tiny, tiny_config

NAMES = ("tench", "golden retriever", "7", "great white", "id:2", "n/a", "cat", "dog", "cab", "cap")


def write(path: Path, a: Architecture | None = None, names: tuple[str, ...] = NAMES, seed: int = 0) -> Path:
    a = a or tiny("biggan", channels=3)
    generator = build(a, seed).generator
    with torch.no_grad():  # running statistics that are not the initial ones
        for norm in batch_norms(generator).values():
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    info = SnapshotInfo(
        architecture=a, class_names=names if a.classes else (), weights="ema", images_seen=640, iterations=10
    )
    write_snapshot(path, generator, info)
    return path


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return write(tmp_path / "640.safetensors")


# -- latents -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRUNCATION_KINDS)
@pytest.mark.parametrize("truncation", [0.05, 0.5, 1.0, 2.0])
def test_truncation(kind: str, truncation: float) -> None:
    z, whole = latents(range(200), 16, truncation, kind), latents(range(200), 16)
    assert z.dtype == torch.float32
    assert float(z.abs().max()) <= truncation * {"tfhub": 2.0, "scale": 6.0}.get(kind, 1.0) + 1e-6
    inside = whole.abs() <= truncation
    if kind == "resample":
        assert torch.equal(z[inside], whole[inside]), "values within are not redrawn"
        bound = torch.tensor(truncation)
        expected = float(torch.erf(bound / 2**0.5) - bound * torch.exp(-(bound**2) / 2) * (2 / torch.pi) ** 0.5)
        expected /= float(torch.erf(bound / 2**0.5))  # variance of the truncated normal
        assert abs(float(z.var()) - expected) < 0.05 * expected
    elif kind == "clamp":
        assert torch.equal(z, whole.clamp(-truncation, truncation))
    elif kind == "scale":
        assert torch.equal(z, whole * truncation)
    else:
        assert torch.allclose(z, latents(range(200), 16, 2.0, "resample") * truncation)
        assert abs(float(z.std()) - 0.88 * truncation) < 0.03 * truncation


def test_a_seed_is_a_latent() -> None:
    assert torch.equal(latents([5, 9, 5], 24)[[0, 2]], latents([5], 24).expand(2, -1))
    assert torch.equal(latents([3, 8], 24, 0.3)[1:], latents([8], 24, 0.3))
    assert not torch.equal(latents([1], 24), latents([2], 24))
    assert latents([2**40], 24).shape == (1, 24)
    assert latents([], 24).shape == (0, 24)


def test_what_no_truncation_is() -> None:
    with pytest.raises(UserError, match="nearest: resample"):
        latents([1], 4, 0.5, "resampling")
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="--truncation"):
            latents([1], 4, wrong)
    with pytest.raises(UserError, match="not negative"):
        latents([-1], 4)


# -- the Python interface ----------------------------------------------------------------------------------------------


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
    assert torch.equal(cycled[11:], model.sample(classes=[1], seeds=[11]))
    with pytest.raises(UserError, match="2 classes and 3 seeds cannot be paired"):
        model.sample(classes=[1, 2], seeds=[1, 2, 3])


def test_classes_by_name_and_by_index(snapshot: Path) -> None:
    model = biggan.load(snapshot, device="cpu")
    assert model.class_names == NAMES
    assert model.class_index("7") == 2, "a word that is a class name is that name"
    assert model.class_index("id:7") == 7
    assert model.class_index("id:2") == 4, "even if it looks like an index"
    assert model.class_index(7) == 7
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
        (tmp_path / "absent", "does not exist"),
        (tmp_path, "neither a run"),
        (Path(__file__), "not a readable safetensors file"),
    ):
        with pytest.raises(UserError, match=message):
            biggan.load(path)
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


# -- sheets and paths --------------------------------------------------------------------------------------------------


def test_sheets_show_every_class(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.sampling import sheets

    model = biggan.load(snapshot, device="cpu")
    monkeypatch.setattr(sheets, "PAGE_PIXELS", 16 * 16 * 3 * 4)  # four classes a page
    pages = list(class_sheets(model.generator, model.class_names, 3))
    assert len(pages) == 3
    assert [page.height for page in pages] == [2 + 18 * 4, 2 + 18 * 4, 2 + 18 * 2]


def test_sheets_show_values_as_they_are() -> None:
    images = torch.full((2, 1, 4, 4), 100, dtype=torch.uint8)
    pixels = np.asarray(sheet(images, 2))
    assert set(np.unique(pixels)) == {100, 255}


def test_spherical_paths_keep_the_norm() -> None:
    a, b = torch.randn(2, 128) * torch.tensor([[1.0], [1.3]])
    t = torch.linspace(0, 1, 21)
    path = spherical(a, b, t)
    assert torch.allclose(path[0], a, atol=1e-5)
    assert torch.allclose(path[-1], b, atol=1e-5)
    assert torch.allclose(path.norm(dim=1), a.norm() + (b.norm() - a.norm()) * t, rtol=1e-4)
    assert torch.allclose(spherical(a, a, t), a.expand(21, -1), atol=1e-5)
    steps = (path[1:] - path[:-1]).norm(dim=1)
    assert float(steps.max() / steps.min()) < 1.5


def test_paths_pass_through_their_points() -> None:
    points = torch.randn(3, 8)
    path = path_through(points, 4, "linear")
    assert len(path) == 9
    assert torch.allclose(path[::4], points)
    loop = path_through(points, 4, "linear", loop=True)
    assert len(loop) == 12
    assert torch.allclose(loop[::4], points)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("classes", [0, 10])
def test_interpolation_sheets(family: str, classes: int) -> None:
    generator = build(tiny(family, classes=classes)).generator.eval()
    sheets = {k: interpolation_sheet(generator, k, rows=3, columns=5).view(3, 5, -1) for k in ("zy", "z", "y")}
    assert sheets["zy"].shape == (3, 5, 256)
    if not classes:
        assert torch.equal(sheets["y"][:, :1].expand(-1, 5, -1), sheets["y"]), "nothing moves without classes"
    else:
        assert torch.equal(sheets["zy"][:, 0], sheets["z"][:, 0])
        assert not torch.equal(sheets["z"][:, -1], sheets["z"][:, 0])


# -- standing statistics -----------------------------------------------------------------------------------------------


def test_standing_statistics_are_averages_of_batch_moments() -> None:
    generator = build(tiny("biggan")).generator.eval()
    norm = generator.stages[0][0].norm1.norm
    seen = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    standing = StandingEstimate(generator)
    before = {k: v.clone() for k, v in generator.state_dict().items() if "running" in k}
    for i in range(3):
        standing.add(torch.randn(4, generator.architecture.z_size), torch.arange(4) + i)
    after = {k: v for k, v in generator.state_dict().items() if "running" in k}
    assert_same_tensors(before, after)
    standing.apply()
    assert torch.allclose(norm.running_mean, torch.stack([x.mean(dim=(0, 2, 3)) for x in seen]).mean(dim=0), atol=1e-6)
    assert torch.allclose(
        norm.running_var, torch.stack([x.var(dim=(0, 2, 3), correction=0) for x in seen]).mean(dim=0), atol=1e-6
    )
    assert not generator.training
    with pytest.raises(ValueError, match="at least one batch"):
        StandingEstimate(generator).apply()


def test_standing_statistics_from_the_command_line(
    snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot.read_bytes()
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(tmp_path / "out"),
        "--standing-statistics",
        "2",
        "--truncation",
        "0.5",
        "--seeds",
        "0",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    made = tmp_path / "out" / "640-standing2-resample0.5.safetensors"
    info = read_info(made)
    assert info.standing_statistics == StandingStatistics(batches=2, batch=64, truncation=0.5, kind="resample")
    assert snapshot.read_bytes() == before
    assert not torch.equal(biggan.load(made, "cpu").sample(seeds=[0]), biggan.load(snapshot, "cpu").sample(seeds=[0]))
    plain = write(tmp_path / "plain.safetensors", tiny("biggan", normalization="layer"))
    assert (
        main(["sample", str(plain), "--out", str(tmp_path / "o"), "--standing-statistics", "2", "--device", "cpu"]) == 2
    )
    assert "no batch norm" in capsys.readouterr().err


# -- commands ----------------------------------------------------------------------------------------------------------


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open() as file:
        return list(csv.DictReader(file))


def test_sample_every_class_and_seed(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(out),
        "--classes",
        "golden retriever",
        "id:7",
        "n/a",
        "--seeds",
        "0-2",
        "9",
    ]
    assert main([*words, "--truncation", "0.4", "--device", "cpu"]) == 0
    rows = rows_of(out)
    assert len(rows) == 12
    assert rows[0]["file"] == "1_golden_retriever_seed0.png"
    assert rows[-1] == {
        "file": "5_n_a_seed9.png",
        "class_index": "5",
        "class_name": "n/a",
        "seed": "9",
        "truncation": "0.4",
        "truncation_kind": "resample",
    }
    model = biggan.load(snapshot, "cpu")
    for row in rows:
        pixels = np.asarray(Image.open(out / row["file"])).transpose(2, 0, 1)
        expected = model.sample([int(row["class_index"])], [int(row["seed"])], 0.4)[0].numpy()
        assert np.abs(pixels.astype(int) - expected.astype(int)).max() <= 1


def test_without_classes_labels_cycle(snapshot: Path, tmp_path: Path) -> None:
    assert main(["sample", str(snapshot), "--out", str(tmp_path / "o"), "--count", "13", "--device", "cpu"]) == 0
    rows = rows_of(tmp_path / "o")
    assert [int(r["class_index"]) for r in rows] == [i % 10 for i in range(13)]
    assert [int(r["seed"]) for r in rows] == list(range(13))
    assert rows[0]["truncation_kind"] == "none"


def test_other_formats(snapshot: Path, tmp_path: Path) -> None:
    words = [
        "sample",
        str(snapshot),
        "--out",
        str(tmp_path / "o"),
        "--classes",
        "cat,dog",
        "--count",
        "3",
        "--device",
        "cpu",
    ]
    assert main([*words, "--format", "npz"]) == 0
    with np.load(tmp_path / "o" / "samples.npz") as archive:
        assert archive["x"].shape == (6, 3, 16, 16)
        assert archive["x"].dtype == np.uint8
        assert archive["y"].tolist() == [6, 6, 6, 7, 7, 7]
        assert archive["seeds"].tolist() == [0, 1, 2] * 2
    assert main([*words, "--format", "grid"]) == 0
    assert Image.open(tmp_path / "o" / "grid.png").size == (2 + 18 * 3, 2 + 18 * 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "retriver"], "no class 'retriver'; nearest: golden retriever"),
        (["--seeds", "5-1"], "runs backwards"),
        (["--seeds", "one"], "write numbers and ranges"),
        (["--seeds", "1", "--count", "2"], "not both"),
        (["--count", "0"], "at least 1"),
        (["--truncation", "0"], "--truncation 0.0"),
    ],
)
def test_mistakes_in_sampling(
    snapshot: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(snapshot), "--out", str(tmp_path / "o"), "--device", "cpu", *words]) == 2
    assert message in capsys.readouterr().err


def test_sheet_command(snapshot: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "sheet.png"
    assert main(["sheet", str(snapshot), "--out", str(out), "--columns", "2", "--device", "cpu"]) == 0
    assert Image.open(out).height == 2 + 18 * 10
    assert (
        main(["sheet", str(snapshot), "--out", str(out), "--classes", "cat", "--seeds", "3", "4", "--device", "cpu"])
        == 0
    )
    assert Image.open(out).height == 2 + 18


@pytest.mark.parametrize("ending", ["png", "gif", "mp4"])
def test_interpolate_command(snapshot: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"path.{ending}"
    words = [
        "interpolate",
        str(snapshot),
        "--out",
        str(out),
        "--seeds",
        "1,2",
        "--classes",
        "cat",
        "dog",
        "--frames",
        "3",
    ]
    assert main([*words, "--device", "cpu"]) == 0
    if ending == "png":
        assert Image.open(out).size == (2 + 18 * 4, 2 + 18)
    elif ending == "gif":
        assert Image.open(out).n_frames == 4  # type: ignore[attr-defined]
    else:
        av = pytest.importorskip("av", reason="the video extra is not installed")
        with av.open(str(out)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 4


def test_fixed_interpolations(snapshot: Path, tmp_path: Path) -> None:
    def frames(*words: str) -> np.ndarray:  # type: ignore[type-arg]
        out = tmp_path / "x.png"
        assert main(["interpolate", str(snapshot), "--out", str(out), "--frames", "2", "--device", "cpu", *words]) == 0
        return np.asarray(Image.open(out))

    model = biggan.load(snapshot, "cpu")
    fixed_z = frames("--seeds", "3", "--classes", "cat", "dog", "--fix", "z")
    assert fixed_z.shape[1] == 2 + 18 * 3
    first = model.sample(["cat"], [3])[0].permute(1, 2, 0).numpy()
    assert np.abs(fixed_z[2:18, 2:18].astype(int) - first).max() <= 1
    last = model.sample(["dog"], [3])[0].permute(1, 2, 0).numpy()
    assert np.abs(fixed_z[2:18, 38:54].astype(int) - last).max() <= 1
    fixed_class = frames("--seeds", "3", "4", "--classes", "cat", "--fix", "class")
    assert np.abs(fixed_class[2:18, 2:18].astype(int) - first).max() <= 1
    assert frames("--seeds", "0-2", "--loop").shape[0] == 2 + 18 * 3


def test_mistakes_in_interpolating(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["--out", str(tmp_path / "x.avi")], "must end in .png, .gif or .mp4"),
        (["--out", str(tmp_path / "x.png"), "--fix", "class", "--seeds", "1"], "at least two different points"),
        (["--out", str(tmp_path / "x.png"), "--frames", "0"], "at least 1"),
    ):
        assert main(["interpolate", str(snapshot), "--device", "cpu", *words]) == 2
        assert message in capsys.readouterr().err


def test_info_command(snapshot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(snapshot)]) == 0
    printed = capsys.readouterr().out
    for part in (
        "10 classes: tench, golden retriever",
        "moving average of G, after 640 images (10 iterations)",
        "running",
    ):
        assert part in printed
    import json

    assert main(["info", str(snapshot), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["architecture"]["resolution"] == [16, 16]
    assert described["parameters"]["G"] > 0
    assert main(["info", "/nowhere"]) == 2


def test_seeds_as_words() -> None:
    assert parse_seeds(["0-3", "7,9-10"]) == [0, 1, 2, 3, 7, 9, 10]
    assert safe_name("a/b c: d") == "a_b_c_d"
    assert safe_name("///") == "class"
    assert dataclasses.is_dataclass(SnapshotInfo)
