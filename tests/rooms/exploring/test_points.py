"""Breeding, style mixing, and the latent of a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

import biggan
from biggan.cli.main import main
from biggan.exploring.breeding import breed
from biggan.exploring.mixing import mixing_sheet
from biggan.exploring.points import images_of, load_points, points_of, save_points
from biggan.exploring.projection import ProjectionOptions, project
from biggan.exploring.projection_files import read_picture
from biggan.exploring.sheets import direction_sheet, points_sheet
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.sampling.comparison import compare
from biggan.sampling.picture_record import NoRecordError
from biggan.sampling.pictures import HEAD
from biggan.sampling.png_text import read_record
from biggan.sampling.recreation import recreate
from biggan.sampling.sampler import Sampler
from biggan.sampling.two_latents import TwoLatents
from tests import snapshots
from tests.conftest import FAMILIES, tiny
from tests.rooms.exploring.explored import sampler

PAIRS = [(3, 1), (4, 1), (5, 2)]


# -- breeding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crossover", ["blend", "genes"])
def test_children_are_between_their_parents(crossover: str) -> None:
    model = sampler(latent_size=120)
    slots = model.info.architecture.latent_slots
    parents = points_of(model, PAIRS[1:])
    found = breed(parents, 20, crossover=crossover, mutate=0, chunks=slots)
    fewer = breed(parents, 3, crossover=crossover, mutate=0, chunks=slots)
    assert torch.equal(found.z[:3], fewer.z), "child i depends on i, not on how many there are"
    if crossover == "genes":
        genes = found.z.unflatten(1, (slots, -1))
        of_first, of_second = (genes == parents.z[i].view(slots, -1) for i in (0, 1))
        assert bool((of_first.all(dim=2) ^ of_second.all(dim=2)).all()), "each chunk is one parent's, whole"
        assert of_first.any()
        assert of_second.any()
    lengths, low, high = found.z.norm(dim=1), *sorted(parents.z.norm(dim=1).tolist())
    if crossover == "blend":
        assert bool(((lengths > low - 1e-9) & (lengths < high + 1e-9)).all()), "the norm of the prior is kept"
        assert not torch.allclose(found.z[0], found.z[1])
        span = parents.embedding[1] - parents.embedding[0]
        share = (found.embedding - parents.embedding[0]) @ span / (span @ span)
        assert torch.allclose(found.embedding, parents.embedding[0] + share[:, None] * span, atol=1e-6)
        assert 0 <= float(share.min()) < 0.3 < 0.7 < float(share.max()) <= 1


def test_mutation_forgets_by_degrees() -> None:
    model = sampler(latent_size=120)
    one = points_of(model, PAIRS[:1])
    assert torch.allclose(breed(one, 2, mutate=0).z, one.z.expand(2, -1))
    near, far = breed(one, 50, mutate=0.3).z, breed(one, 50, mutate=1).z
    assert torch.allclose(far, breed(points_of(model, PAIRS[2:]), 50, mutate=1).z), "nothing is left of the parents"
    along = (near @ one.z[0]) / (one.z[0] @ one.z[0])
    assert abs(float(along.mean()) - (1 - 0.3**2) ** 0.5) < 0.02  # 50 children of noise 0.3 / |z|
    assert abs(float(far.std()) - 1) < 0.05
    for wrong in ({"children": 0}, {"mutate": 1.5}, {"mutate": float("nan")}, {"crossover": "graft"}):
        with pytest.raises(UserError, match=f"--{next(iter(wrong))}"):
            breed(one, **{"children": 1, **wrong})


# -- style mixing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["biggan", "biggan-deep"])
def test_a_latent_mixed_with_itself_is_itself(family: str) -> None:
    model = sampler(family)
    points, count = points_of(model, PAIRS), len(PAIRS)
    sheet = mixing_sheet(model, points, points)
    assert sheet.row_names == ("", *points.titles)
    assert sheet.column_names == ("", *(str(seed) for seed, _ in PAIRS)), "whose class is that of the row"
    own = images_of(model, points)
    for at in range(1, model.info.architecture.doublings + 1):
        whole = mixing_sheet(model, points, points, at).images(model.generator).unflatten(0, (count + 1, count + 1))
        mixed = whole[1:, 1:]
        assert torch.equal(mixed[range(count), range(count)], own)
    assert torch.equal(whole[1:, 0], own)
    assert torch.equal(whole[0, 1], own[0])
    assert bool((whole[0, 0] == 255).all())


@pytest.mark.parametrize("family", ["biggan", "biggan-deep"])
def test_fine_parts_change_what_comes_late_and_nothing_before(family: str) -> None:
    model = sampler(family)
    one, other = points_of(model, PAIRS[:1]), points_of(model, PAIRS[1:2])
    last = model.info.architecture.doublings
    floats = model.generator.synthesize
    early: list[Tensor] = []
    next(reversed(list(model.generator.stages[last - 2].children()))).register_forward_hook(
        lambda _, __, output: early.append(output)
    )
    mixed = TwoLatents(model.generator, last).synthesize(torch.cat([one.z, other.z], dim=1), one.embedding)
    if family == "biggan":
        chunk = model.info.architecture.z_size // model.info.architecture.latent_slots
        by_chunks = torch.cat([one.z[:, : last * chunk], other.z[:, last * chunk :]], dim=1)
        assert torch.equal(floats(by_chunks, one.embedding), mixed)
    whole = floats(one.z, one.embedding)
    assert torch.equal(early[0], early[1])
    assert float((mixed - whole).abs().max()) > 1e-6
    assert not any(block._forward_pre_hooks for block in model.generator.modules()), "the generator is as it was"


@pytest.mark.parametrize("family", ["sngan", "sagan", "r3gan"])
def test_families_without_parts_say_so(family: str) -> None:
    model = sampler(family)
    points = points_of(model, PAIRS)
    with pytest.raises(UserError, match=r"no coarse and fine latents.*biggan explore breed"):
        mixing_sheet(model, points, points)
    with pytest.raises(UserError, match="--at 9"):
        mixing_sheet(sampler(), points_of(sampler(), PAIRS), points_of(sampler(), PAIRS), 9)


# -- the latent of a picture -------------------------------------------------------------------------------------------

QUICK = ProjectionOptions(steps=40, starts=3, candidates=24, prior=0.0)


def vivid(family: str) -> Sampler:
    """Return a sampler whose images differ: fresh weights make nearly none."""
    model = sampler(family)
    with torch.no_grad():
        model.generator.output_conv.weight.mul_(0.05 if family == "r3gan" else 8)
    return model


@pytest.mark.parametrize(
    "family", [f if f == "biggan" else pytest.param(f, marks=pytest.mark.nightly) for f in FAMILIES]
)
def test_an_image_of_the_generator_is_found_again(family: str) -> None:
    model = vivid(family)
    point = points_of(model, [(77, 4)])
    picture = images_of(model, point)[0]
    found = project(model, picture, QUICK, classes=[4])
    best = float(found.loss.total[found.best])
    assert best < 0.5 * found.start
    assert best == min(found.reached)
    assert float(found.loss.total[0]) >= found.start * (1 - 1e-9)
    shown = model.generator.synthesize(found.point.z, found.point.embedding)
    goal = picture.double() / 127.5 - 1
    assert abs(float((shown[0] - goal).square().mean()) - best) < 1e-6, "the loss is that of what is given back"
    again = project(model, picture, QUICK, classes=[4])
    assert torch.equal(again.path, found.path)
    assert torch.equal(again.image, found.image)


def test_a_class_is_searched_among_those_that_may_be() -> None:
    model = vivid("biggan")
    picture = images_of(model, points_of(model, [(77, 4)]))[0]
    found = project(model, picture, ProjectionOptions(steps=1, starts=9, candidates=60), classes=["digit 2", 4, 5])
    assert sorted(found.labels) == [2, 2, 2, 4, 4, 4, 5, 5, 5], "as many classes as can be"
    with pytest.raises(UserError, match="no class"):
        project(model, picture, QUICK, classes=["digit 12"])
    with pytest.raises(UserError, match="shape"):
        project(model, picture[:, 1:], QUICK)
    for wrong in ({"steps": 0}, {"prior": -1.0}, {"learning_rate": float("nan")}):
        with pytest.raises(UserError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
            ProjectionOptions(**wrong)


# -- files and commands ------------------------------------------------------------------------------------------------


def test_points_are_stored_for_their_generator(tmp_path: Path) -> None:
    model = biggan.load(snapshots.write(tmp_path / "one.safetensors"), device="cpu")
    other = biggan.load(snapshots.write(tmp_path / "other.safetensors", seed=1), device="cpu")
    points, path = points_of(model, PAIRS), tmp_path / "points.safetensors"
    save_points(points, model, path)
    loaded = load_points(path, model)
    assert loaded.titles == points.titles == ("3:golden retriever", "4:golden retriever", "5:7")
    assert torch.equal(loaded.z, points.z)
    assert torch.equal(images_of(model, loaded), images_of(model, points))
    with pytest.raises(UserError, match="another snapshot"):
        load_points(path, other)
    with pytest.raises(CorruptFileError, match="no latents"):
        load_points(tmp_path / "one.safetensors", model)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(CorruptFileError, match="damaged"):
        load_points(path, model)
    save_points(dataclasses.replace(points, z=points.z.half()), model, path)
    with pytest.raises(CorruptFileError, match="not those that its header describes"):
        load_points(path, model)


def test_truncated_points_are_drawn_as_sampling_draws_them(tmp_path: Path) -> None:
    from biggan.sampling.calibration import calibrate

    plain = biggan.load(snapshots.write(tmp_path / "plain.safetensors"), device="cpu")
    calibrate(plain, tmp_path / "bank.safetensors", [0.5], batches=1)
    model = biggan.load(tmp_path / "bank.safetensors", device="cpu")
    points = points_of(model, [(7, 3)], 0.5)
    drawn = points_sheet(points, 1, "").images(model.at_truncation(0.5))
    assert torch.equal(drawn, model.sample([3], [7], 0.5))
    assert not torch.equal(drawn, images_of(model, points)), "the statistics are those of the bank"


def test_the_middle_of_a_sheet_is_the_seed_itself() -> None:
    from biggan.exploring.finding import find_directions

    model = vivid("biggan")
    points = points_of(model, PAIRS)
    shown = direction_sheet(model, find_directions(model, count=1), 0, points, [-2.0, 0.0, 2.0])
    images = shown.images(model.generator).unflatten(0, (3, 3))
    assert torch.equal(images[:, 1], images_of(model, points))
    assert not torch.equal(images[:, 0], images[:, 2])


def test_all_of_it_by_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(snapshots.write(tmp_path / "640.safetensors", tiny("biggan", channels=3)))
    out = str(tmp_path / "out.png")

    def call(*words: str) -> str:
        status = main(["explore", *words, "--device", "cpu"])
        output = capsys.readouterr()
        assert status == 0, output.err
        return output.out

    def refused(*words: str) -> str:
        assert main(["explore", *words, "--device", "cpu"]) == 2
        return capsys.readouterr().err

    assert "find them first: biggan explore directions RUN" in refused("sheet", run, "--out", out)
    assert "sefa first: 3 directions" in call("directions", run, "--count", "3")
    assert "exists; add --overwrite" in refused("directions", run, "--count", "3")
    call("directions", run, "--by", "ganspace", "--count", "2", "--samples", "64", "--classes", "cat")
    assert "say which with --by" in refused("name", run, "1", "turn")
    call("name", run, "1", "turn", "--by", "sefa")
    fix = "there are 3 of sefa first, from 0; 'biggan explore directions RUN --count N --overwrite' finds more"
    assert f"error: --direction 99: {fix}" in refused("sheet", run, "--by", "sefa", "--direction", "99", "--out", out)
    assert f"error: the argument DIRECTION 9: {fix}" in refused("name", run, "9", "x", "--by", "sefa")
    several = "--direction 99: there are 3 of sefa first, 2 of ganspace first, from 0; names: turn"
    assert several in refused("sheet", run, "--direction", "99", "--out", out)
    assert "turn" in call("list", run)
    call("sheet", run, "--direction", "turn", "--rows", "2", "--steps", "1", "--reach", "2", "--out", out)
    with Image.open(out) as picture:
        assert picture.height == HEAD + 2 + 2 * 66
    call("sheet", run, "--by", "ganspace", "--rows", "1", "--out", str(tmp_path / "all.png"))
    assert (tmp_path / "all_0.png").is_file()
    assert (tmp_path / "all_1.png").is_file()
    first, second = str(tmp_path / "first.png"), str(tmp_path / "second.png")
    call("breed", run, "--parents", "12:cat", "40:id:2", "--children", "3", "--out", first)
    children = first.replace(".png", ".safetensors")
    call(
        "breed", run, "--parents", f"{children}:2", "7:dog", "--children", "2", "--crossover", "genes", "--out", second
    )
    assert "it holds 3 latents" in refused("breed", run, "--parents", f"{children}:3", "--out", str(tmp_path / "x.png"))
    assert "which is never changed" in refused("breed", run, "--parents", children, "--out", first, "--overwrite")
    unknown = refused("breed", run, "--parents", "12:owl", "--out", str(tmp_path / "x.png"))
    assert "error: --parents 12:owl: no class 'owl'; " in unknown
    assert "--parents '99999999999999999999': write" in refused(
        "breed", run, "--parents", f"{10**20 - 1}:cat", "--out", str(tmp_path / "x.png")
    )
    assert "--fine 'x': write numbers" in refused("mix", run, "--fine", "x", "--out", str(tmp_path / "x.png"))
    assert "name at least one" in refused("breed", run, "--parents", "--out", str(tmp_path / "x.png"))
    call("sheet", run, "--direction", "turn", "--points", children, "--out", out, "--overwrite")
    assert "batch norm:" in call("mix", run, "--truncation", "0.5", "--out", str(tmp_path / "narrow.png"))
    call("mix", run, "--coarse", "1-2", "--fine", "3", "--classes", "cat", "--out", out, "--overwrite")
    folder = tmp_path / "projection"
    quick = ["--steps", "2", "--candidates", "4", "--starts", "2", "--classes", "cat", "dog"]
    picture_file = tmp_path / "picture.png"
    Image.new("RGB", (40, 30), "red").save(picture_file)
    assert "which was searched" in call("project", run, str(picture_file), "--out", str(folder), *quick)
    for name in ("projection.png", "projection.gif", "losses.json", "latent.safetensors"):
        assert (folder / name).is_file()
    assert "no such picture" in refused("project", run, str(tmp_path / "none.png"), "--out", str(tmp_path / "n"))
    assert sorted(path.name for path in tmp_path.glob("640*")) == [
        "640.ganspace-first.safetensors",
        "640.safetensors",
        "640.sefa-first.safetensors",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_picture_is_drawn_again_bitwise_from_what_it_says(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = tiny(family, channels=3)
    run = str(snapshots.write(tmp_path / "640.safetensors", a))
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    quick = ("--steps", "1", "--candidates", "4", "--starts", "2", "--film", "none", "--classes", "dog")
    commands = {
        "sheet": ("sheet", run, "--direction", "1", "--rows", "2", "--steps", "1", "--truncation", "0.5"),
        "bred": ("breed", run, "--parents", "12:cat", "40:id:2", "--children", "5", "--size", "40"),
        "mix": ("mix", run, "--coarse", "1-2", "--fine", "3", "--classes", "cat", "dog"),
        "project": ("project", run, str(tmp_path / "red.png"), *quick),
    }
    if not a.hierarchical_latent:
        del commands["mix"]
    assert main(["explore", "directions", run, "--count", "2", "--device", "cpu"]) == 0
    for name, words in commands.items():
        out = tmp_path / ("found" if name == "project" else f"{name}.png")
        assert main(["explore", *words, "--out", str(out), "--device", "cpu"]) == 0
        file = out / "projection.png" if name == "project" else out
        again = str(tmp_path / f"{name}_again.png")
        capsys.readouterr()
        assert main(["recreate", str(file), "--from", run, "--out", again, "--device", "cpu"]) == 0
        told = capsys.readouterr().out
        assert "bitwise the picture in the file" in told
        assert ("as far as a generator drew it" in told) == (name in ("mix", "project"))
        record = read_record(file)
        assert record == read_record(Path(again))
        assert record.points is not None
        assert record.truncation == (0.5 if name == "sheet" else None)
        assert any("cat" in title for title in record.points.titles) == (name in ("bred", "mix"))
    assert main(["explore", *commands["bred"], "--no-metadata", "--out", str(tmp_path / "plain.png")]) == 0
    with pytest.raises(NoRecordError):
        read_record(tmp_path / "plain.png")


@pytest.mark.parametrize("family", FAMILIES)
def test_without_classes(family: str, tmp_path: Path) -> None:
    run = str(snapshots.write(tmp_path / "640.safetensors", tiny(family, classes=0)))
    for words in (
        ("directions", run, "--by", "ganspace", "--count", "1", "--samples", "16"),
        ("sheet", run, "--rows", "1", "--out", str(tmp_path / "sheet.png")),
        ("breed", run, "--parents", "1", "2", "--children", "1", "--out", str(tmp_path / "child.png")),
        ("sheet", run, "--points", str(tmp_path / "child.safetensors"), "--out", str(tmp_path / "bred.png")),
    ):
        assert main(["explore", *words, "--device", "cpu"]) == 0
    record = read_record(tmp_path / "bred.png")
    made, notes = recreate(record, biggan.load(run, device="cpu"))
    assert not notes
    assert compare(made, tmp_path / "bred.png", record) == "bitwise the picture in the file"


def test_pictures_are_read_as_for_training(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 16), "white")
    picture.paste("black", (8, 0, 24, 16))
    picture.save(tmp_path / "p.png")
    assert not read_picture(tmp_path / "p.png", tiny(channels=3)).any(), "the middle is cut out"
    (tmp_path / "p.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match="identify"):
        read_picture(tmp_path / "p.png", tiny(channels=3))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sefa", "x.safetensors"], "biggan explore directions FILE --by sefa"),
        (["project", "x.safetensors", "picture.png", "--out", "found.png"], "leave out the ending, --out found"),
    ],
)
def test_what_is_no_command_or_no_folder_says_what_is(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explore", *words]) == 2
    assert message in capsys.readouterr().err
