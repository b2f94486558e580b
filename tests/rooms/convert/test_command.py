"""biggan convert, from files that their makers would have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import biggan
from biggan.cli.main import main
from biggan.models.export_file import read_export
from biggan.models.snapshot import read_info
from biggan.training.checkpoint import CheckpointStore
from biggan.training.configuration import CheckpointConfig
from tests.rooms.convert.foreign_files import SOURCES, biggan_pytorch_folder, case_of, optimizer


def converted(source: Path, tmp_path: Path, *words: str, status: int = 0) -> Path:
    out = tmp_path / "converted.safetensors"
    assert main(["convert", str(source), str(out), *words]) == status
    return out


@pytest.mark.parametrize("name", SOURCES)
def test_every_family_becomes_a_snapshot(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = converted(SOURCES[name](tmp_path / "theirs"), tmp_path)
    printed = capsys.readouterr().out
    for line in ("keys used", "none left over, none missing", "parameters", "assumed"):
        assert line in printed
    model = biggan.load(out, device="cpu")
    images = model.sample(classes=[1], seeds=[3, 4])
    assert images.dtype == torch.uint8
    assert images.float().std() > 1
    provenance = read_info(out).provenance["converted"]
    assert provenance["files"]
    assert main(["info", str(out)]) == 0
    before = out.read_bytes()
    assert main(["convert", str(tmp_path / "theirs"), str(out)]) == 2  # never in silence
    assert out.read_bytes() == before


def test_the_image_is_the_recorded_one(tmp_path: Path) -> None:
    case = case_of("mmgen/biggan64_ajbrock_sn")
    export = read_export(converted(SOURCES["mmgeneration"](tmp_path / "theirs"), tmp_path))
    assert export.info.architecture.channel_order == "bgr"
    model = biggan.load(tmp_path / "converted.safetensors", device="cpu")
    with torch.no_grad():
        image = model.generator(case.arrays["in/z"], case.arrays["in/y"])
    assert (image.flip(1) - case.arrays["out/G/eval"]).abs().max() < 1e-4
    noted = case.settings["image_stats"]["out/G/eval"]
    assert float(image.double().mean()) == pytest.approx(noted["mean"], abs=1e-5)


@pytest.mark.parametrize("old", [False, True])
def test_everything_of_a_run_is_kept(tmp_path: Path, old: bool) -> None:
    biggan_pytorch_folder(tmp_path / "theirs", old=old)
    case = case_of("biggan_pytorch/bg32_hier")
    export = read_export(converted(tmp_path / "theirs", tmp_path))
    assert export.raw is not None
    assert torch.equal(export.raw["linear.weight"], case.state("G")["linear.weight"])
    assert torch.equal(export.sampled["linear.weight"], case.state("G")["linear.weight"] * 0.5)
    theirs = optimizer(case.state("D"), seed=2)
    order = [key for key in case.state("D") if key.endswith(("weight", "bias", "gamma"))]
    place = order.index("blocks.0.0.conv_sc.weight")
    moment = list(theirs["state"].values())[place]["exp_avg"]
    assert torch.equal(export.moments["discriminator"]["stages.0.0.shortcut.weight/exp_avg"], moment)
    assert float(export.moments["discriminator"]["stages.0.0.shortcut.weight/step"]) == 77
    continuation = export.info.continuation
    assert continuation is not None
    assert continuation.generator_adam is not None
    assert continuation.generator_adam.learning_rate == 5e-5
    assert (export.info.iterations, export.info.images_seen) == (1000, 1000 * 8 * 2 * 2)


def test_an_optimizer_that_never_made_a_step_has_nothing_to_keep(tmp_path: Path) -> None:
    biggan_pytorch_folder(tmp_path / "theirs")
    for network in ("G", "D"):
        whole = optimizer(case_of("biggan_pytorch/bg32_hier").state(network))
        torch.save(whole | {"state": {}}, tmp_path / "theirs" / f"{network}_optim.pth")
    export = read_export(converted(tmp_path / "theirs", tmp_path))
    assert not export.moments
    assert export.discriminator is not None


def test_a_run_becomes_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biggan_pytorch_folder(tmp_path / "theirs")
    run = tmp_path / "run"
    assert main(["convert", str(tmp_path / "theirs"), str(run)]) == 0
    newest = CheckpointStore(run, CheckpointConfig()).newest()
    assert newest is not None
    assert newest.images_seen == 32_000
    config = json.loads((run / "config.json").read_text())["config"]
    assert (config["batch"], config["micro_batch"], config["discriminator_steps"]) == (16, 8, 2)
    capsys.readouterr()
    assert main(["convert", str(tmp_path / "theirs"), str(run)]) == 2
    assert "not empty" in capsys.readouterr().err


def test_one_of_several_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("_best0", "_copy1"):
        biggan_pytorch_folder(tmp_path / "theirs", suffix=suffix)
    converted(tmp_path / "theirs", tmp_path, status=2)
    assert "'best0', 'copy1'" in capsys.readouterr().err
    assert read_info(converted(tmp_path / "theirs", tmp_path, "--name", "copy1")).iterations == 1000
    converted(tmp_path / "theirs", tmp_path, "--name", "best1", "--overwrite", status=2)


def test_what_does_not_fit_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = case_of("biggan_pytorch/bg32_hier").state("G")
    del state["blocks.1.0.conv2.bias"]
    state["blocks.1.0.conv9.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "G.pth")
    converted(tmp_path / "G.pth", tmp_path, status=2)
    said = capsys.readouterr().err
    assert "1 keys are left over (blocks.1.0.conv9.weight)" in said
    assert "generator: stages.1.0.conv2.bias" in said
    converted(tmp_path / "G.pth", tmp_path, "--ignore", "*conv9*", status=2)
    assert not (tmp_path / "converted.safetensors").exists()
    converted(tmp_path / "G.pth", tmp_path, "--ignore", "*conv9*", "--fresh", "*stages.1.0.conv2.bias")
    said = capsys.readouterr().out
    assert "drawn anew: generator: stages.1.0.conv2.bias" in said
    assert "ignored: blocks.1.0.conv9.weight" in said


def test_facts_are_stated_before_options_before_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biggan_pytorch_folder(tmp_path / "theirs", "biggan_pytorch/bg64_hier")
    out = converted(tmp_path / "theirs", tmp_path)
    assert read_info(out).architecture.norm_eps == 1e-4
    assert "assumed batch-norm eps" not in capsys.readouterr().out
    out = converted(tmp_path / "theirs", tmp_path, "--overwrite", "--facts.norm-eps", "2e-5")
    assert read_info(out).architecture.norm_eps == 2e-5
    out = converted(tmp_path / "theirs" / "G.pth", tmp_path, "--overwrite")
    assert read_info(out).architecture.norm_eps == 1e-5
    assert "assumed batch-norm eps 1e-5" in capsys.readouterr().out
    converted(tmp_path / "theirs", tmp_path, "--overwrite", "--facts.norm-eps", "-1", status=2)


def test_class_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(case_of("biggan_pytorch/bg32_hier").state("G"), tmp_path / "G.pth")
    (tmp_path / "names.txt").write_text("\n".join(["ant", "bee", "cat", "dog", "eel", "fox", "golden retriever"]))
    out = converted(tmp_path / "G.pth", tmp_path, "--class-names", str(tmp_path / "names.txt"))
    assert biggan.load(out, device="cpu").sample(classes=["golden retriever"], seeds=[1]).shape[0] == 1
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    converted(tmp_path / "G.pth", tmp_path, "--class-names", str(tmp_path / "names.txt"), "--overwrite", status=2)
    assert "the file has 2 names, one a line; the network has 7 classes" in capsys.readouterr().err
    (tmp_path / "names.txt").write_text("ant\nant\n")
    converted(tmp_path / "G.pth", tmp_path, "--class-names", str(tmp_path / "names.txt"), "--overwrite", status=2)


def test_g_itself_is_looked_at_as_closely_as_its_average(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biggan_pytorch_folder(tmp_path / "theirs")
    for role in ("G_optim", "D_optim"):
        (tmp_path / "theirs" / f"{role}.pth").unlink()
    whole = torch.load(tmp_path / "theirs" / "G.pth", weights_only=True)
    key = "blocks.1.0.conv2.bias"
    wrong = {
        "G itself: stages.1.0.conv2.bias": {name: value for name, value in whole.items() if name != key},
        "G itself: hello.weight": whole | {"hello.weight": torch.zeros(2)},
        "G itself: stages.1.0.conv2.bias is [1] in place of [32]": whole | {key: torch.zeros(1)},
    }
    for said, state in wrong.items():
        torch.save(state, tmp_path / "theirs" / "G.pth")
        converted(tmp_path / "theirs", tmp_path, status=2)
        assert said in capsys.readouterr().err
    torch.save(whole | {key: torch.full_like(whole[key], torch.nan)}, tmp_path / "theirs" / "G.pth")
    converted(tmp_path / "theirs", tmp_path)
    assert "not a number or infinite in G itself: stages.1.0.conv2.bias" in capsys.readouterr().out


def test_options_that_change_nothing_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    biggan_pytorch_folder(tmp_path / "theirs")
    for words, said in (
        (("--ignore", "nothing*"), "nothing of that name is left over"),
        (("--fresh", "nothing*"), "nothing of that name is missing"),
        (("--raw",), "hold G and its average apart"),
    ):
        converted(tmp_path / "theirs", tmp_path, *words, status=2)
        assert said in capsys.readouterr().err
    converted(tmp_path / "theirs" / "G.pth", tmp_path, "--name", "best0", status=2)
    assert "--name best0: chooses among the sets of a folder" in capsys.readouterr().err


def test_what_is_ours_already_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(case_of("biggan_pytorch/bg32_hier").state("G"), tmp_path / "G.pth")
    ours = converted(tmp_path / "G.pth", tmp_path)
    assert main(["convert", str(ours), str(tmp_path / "again.safetensors")]) == 2
    assert "in this package's own form already; use it as it is: biggan sample" in capsys.readouterr().err
    assert main(["info", str(ours)]) == 0
    said = capsys.readouterr().out
    assert "of which the file does not say how long they were trained" in said
    assert "converted.family: biggan-pytorch" in said


@pytest.mark.parametrize(("name", "side"), [("huggingface", 64), ("studiogan", 32), ("compare-gan", 64)])
def test_what_was_converted_grows_into_a_file(name: str, side: int, tmp_path: Path) -> None:
    """A bank, G itself, D: each begins with new layers of its own."""
    small = converted(SOURCES[name](tmp_path / "theirs"), tmp_path)
    large = tmp_path / "large.safetensors"
    assert main(["grow", str(small), str(large), "--resolution", str(2 * side)]) == 0
    one, other = read_export(small), read_export(large)
    assert other.info.architecture.resolution == (2 * side, 2 * side)
    assert (other.raw is None, other.discriminator is None) == (one.raw is None, one.discriminator is None)
    assert biggan.load(large, device="cpu").sample(classes=[1], seeds=[3]).shape[-2:] == (2 * side, 2 * side)


def test_what_is_read_is_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    state = case_of("biggan_pytorch/bg32_hier").state("G")
    torch.save(state, "G.safetensors")  # by another name, as people do
    before = Path("G.safetensors").read_bytes()
    assert main(["convert", "G.safetensors", "G.safetensors", "--overwrite"]) == 2
    assert main(["convert", "G.safetensors", "new.safetensors"]) == 0
    assert main(["grow", "new.safetensors", "new.safetensors", "--resolution", "64", "--overwrite"]) == 2
    assert capsys.readouterr().err.count("this is what is read, which is never changed") == 2
    assert Path("G.safetensors").read_bytes() == before
    Path("run").mkdir()
    Path("run/kept").write_text("kept")
    assert main(["grow", "new.safetensors", "run", "--resolution", "64", "--overwrite"]) == 2
    assert "is not empty; choose another folder" in capsys.readouterr().err
