"""Latents by D's judgement: known densities on toys, what holds for every way on real networks, and the commands."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import biggan
from biggan.cli import evaluate as evaluate_command
from biggan.cli import export
from biggan.cli import sample as sample_command
from biggan.data.opening import open_held_out
from biggan.evaluation.protocol import JudgedProtocol, Protocol, comparable
from biggan.foundation.errors import UserError
from biggan.foundation.seeding import normals
from biggan.models.contract import Discriminator, Generator, build
from biggan.models.snapshot import write_snapshot
from biggan.sampling.langevin import Langevin
from biggan.sampling.latents import latents
from biggan.sampling.log_ratio import LogRatio, fit_log_ratio
from biggan.sampling.refinement import REFINEMENTS, Critic, Refiner, calibrated, described, parse_refinement
from biggan.sampling.rejection import Rejection, shifted
from biggan.training.setup import train
from tests.conftest import assert_same_tensors, tiny, tiny_config
from tests.rooms.training import commands
from tests.snapshots import write

QUICK = {"ddls": "ddls,steps=3,eps=0.05", "drs": "drs,burn_in=40,tries=8,percentile=60"}
"""A cheap word for each way; a new one has to be added."""
EXACT = LogRatio(slope=1.0, bias=0.0, reals=1, fakes=1, told_apart=0.5)


# -- calibration -------------------------------------------------------------------------------------------------------


def test_the_log_ratio_of_two_normals_is_found() -> None:
    """Scores N(1, 1) and N(-1, 1) have the log ratio 2 s; shifted and stretched, that of the line back."""
    q = torch.special.ndtri((torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000)
    found = fit_log_ratio(q + 1, q - 1)
    assert found.slope == pytest.approx(2, rel=2e-3)
    assert found.bias == pytest.approx(0, abs=1e-6)
    assert found.told_apart == pytest.approx(0.8413, abs=1e-3)
    moved = fit_log_ratio((q + 1) * 0.01 + 50, (q - 1) * 0.01 + 50)
    assert moved.slope == pytest.approx(found.slope * 100, rel=1e-6)
    assert moved(torch.tensor(50.01, dtype=torch.float64)) == pytest.approx(found.slope, abs=1e-5)


def test_sides_weigh_alike() -> None:
    """Fewer fakes say less for sure, but not that images are more often real: the bias stays."""
    q = torch.special.ndtri((torch.arange(9_000, dtype=torch.float64) + 0.5) / 9_000)
    many, few = fit_log_ratio(q + 1, q - 1), fit_log_ratio(q + 1, q[::9] - 1)
    assert few.bias == pytest.approx(many.bias, abs=0.02)
    assert (few.reals, few.fakes) == (9_000, 1_000)


def test_the_fit_is_where_the_gradient_is_zero() -> None:
    drawn = torch.Generator().manual_seed(1)
    reals, fakes = (torch.randn(n, generator=drawn, dtype=torch.float64) * 2 + m for n, m in ((50, 1), (70, 0.2)))
    found = fit_log_ratio(reals, fakes)
    excess = (found(reals).sigmoid() - 51 / 52).mean(), (found(fakes).sigmoid() - 1 / 72).mean()
    assert sum(map(float, excess)) == pytest.approx(0, abs=1e-9)
    across = ((found(reals).sigmoid() - 51 / 52) * reals).mean() + ((found(fakes).sigmoid() - 1 / 72) * fakes).mean()
    assert float(across) == pytest.approx(0, abs=1e-8)


def test_scores_that_say_all_or_nothing() -> None:
    apart = fit_log_ratio(torch.tensor([5.0, 6.0, 7.0]), torch.tensor([-5.0, -6.0]))
    assert 0 < apart.slope < 10, "Platt's targets keep it finite"
    assert apart.told_apart == pytest.approx(1)
    nothing = fit_log_ratio(torch.zeros(4), torch.zeros(3))
    assert (nothing.slope, nothing.bias, nothing.told_apart) == (0, 0, 0.5)
    backwards = fit_log_ratio(torch.tensor([0.0, 1.0, 0.5]), torch.tensor([2.0, 3.0]))
    assert backwards.slope < 0
    with pytest.raises(UserError, match="not all finite"):
        fit_log_ratio(torch.tensor([math.nan]), torch.zeros(2))


# -- toys whose densities are known ------------------------------------------------------------------------------------

PULL, AIM, WIDTH = 0.7, 1.5, 0.8


class Line(nn.Module):
    """G: x = PULL z, in float64."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.architecture = dataclasses.replace(tiny("sngan", latent_size=size))
        self.pull = nn.Parameter(torch.tensor(PULL, dtype=torch.float64), requires_grad=False)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        return self.pull * z


class Bowl(nn.Module):
    """D: minus the squared distance from AIM: with it, each component of z is normal."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        return -((x - AIM) ** 2).sum(dim=1, keepdim=True) / (2 * WIDTH**2)


class Coin(nn.Module):
    """D of what :class:`Line` draws: 1 where the first component is above 0.3, else -0.5."""

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:  # noqa: ARG002
        return torch.where(x[:, :1] > 0.3, 1.0, -0.5)


def toy(discriminator: nn.Module, size: int = 4, **values: Any) -> Critic:
    generator, judge = cast(Generator, Line(size)), cast(Discriminator, discriminator)
    return Critic(generator=generator, discriminator=judge, ratio=EXACT, **values)


@pytest.mark.parametrize("truncation", [None, 0.5])
def test_walks_are_those_of_the_formula(truncation: float | None) -> None:
    """Every step by hand, over more steps than have their noise drawn at once."""
    scale, eps, steps, seeds = truncation or 1.0, 0.05, 150, [3, 2**63 - 1, 5]
    critic = toy(Bowl(), 5, truncation=truncation, kind="scale")
    found, _ = Langevin(steps=steps, eps=eps).refined(critic, {}, seeds, torch.zeros(3, dtype=torch.int64))
    for row, seed in enumerate(seeds):
        u = latents([seed], 5).double().numpy()[0]
        for n in normals(0, "langevin", seed, 0, steps, 5).astype(np.float64):
            slope = -(PULL * scale * u - AIM) / WIDTH**2 * PULL * scale
            u = u - eps / 2 * (u - slope) + math.sqrt(eps) * n
        np.testing.assert_allclose(found[row].numpy(), scale * u, rtol=2e-6, atol=2e-6)


def test_walks_end_in_the_density_that_they_should() -> None:
    """E is quadratic: z is normal, with precision 1 + (PULL / WIDTH)^2, and the variance that the step size adds."""
    eps, precision = 0.1, 1 + (PULL / WIDTH) ** 2
    critic = toy(Bowl(), 8)
    z, _ = Langevin(steps=128, eps=eps).refined(critic, {}, range(600), torch.zeros(600, dtype=torch.int64))
    mean, variance = PULL * AIM / WIDTH**2 / precision, 1 / (precision * (1 - eps * precision / 4))
    count = z.numel()
    assert float(z.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / count))
    assert float(z.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / count))
    assert abs(float(latents(range(600), 8).mean()) - mean) > 0.3, "the prior is another one"


def test_no_steps_are_the_plain_latents_and_more_steps_go_on() -> None:
    critic, labels = toy(Bowl()), torch.zeros(2, dtype=torch.int64)
    none, _ = Langevin(steps=0).refined(critic, {}, [1, 2], labels)
    assert torch.equal(none, latents([1, 2], 4))
    one, _ = Langevin(steps=1, eps=0.2).refined(critic, {}, [1, 2], labels)
    assert not torch.equal(one, none)


def test_a_walk_that_runs_away_is_an_error() -> None:
    steep = toy(Bowl())
    steep = dataclasses.replace(steep, ratio=dataclasses.replace(EXACT, slope=1e3))
    with pytest.raises(UserError, match="eps=3: a walk ran away"):
        Langevin(steps=400, eps=3.0).refined(steep, {}, [1], torch.zeros(1, dtype=torch.int64))


def shares(refinement: Rejection, known: dict[str, float], count: int = 4000) -> tuple[float, Counter[str]]:
    """Return how often the better side of the coin is shown, and the counts."""
    z, counts = refinement.refined(toy(Coin(), 2), known, range(count), torch.zeros(count, dtype=torch.int64))
    return float((PULL * z[:, 0] > 0.3).double().mean()), Counter(counts)


BETTER = 0.5 * math.erfc(0.3 / PULL / math.sqrt(2))  # P(PULL z > 0.3)


def test_without_gamma_rejection_is_exact() -> None:
    """Images are shown as often as G draws them, times their ratio."""
    found, counts = shares(Rejection(tries=1000), {"largest": 1.0, "gamma": 0.0})
    e = math.exp(-1.5)
    expected = BETTER / (BETTER + (1 - BETTER) * e)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))
    accepted = BETTER + (1 - BETTER) * e
    assert counts["judged"] == pytest.approx(4000 / accepted, rel=4 * math.sqrt((1 - accepted) / 4000))
    assert counts["without"] == 0


def test_chances_of_acceptance_belong_to_the_seed() -> None:
    """Of the seeds whose first candidate is the worse one, some are refused and some are not."""
    labels = torch.zeros(2000, dtype=torch.int64)
    z, counts = Rejection(tries=1).refined(toy(Coin(), 2), {"largest": 1.0, "gamma": 0.0}, range(2000), labels)
    assert torch.equal(z, latents(range(2000), 2)), "with one try there is nothing else to show"
    worse, refused = int((PULL * z[:, 0] <= 0.3).sum()), 1 - math.exp(-1.5)
    assert counts["without"] == pytest.approx(worse * refused, abs=4 * math.sqrt(worse * refused * (1 - refused)))


def test_gamma_moves_the_chances_as_it_says() -> None:
    gamma = -0.7
    good, bad = shifted(torch.tensor([1.0, -0.5], dtype=torch.float64), 1.0, gamma).sigmoid().tolist()
    assert bad == pytest.approx(1 / (1 + math.exp(gamma) * (math.exp(1.5) - 1)), rel=1e-5)
    assert good > 0.999
    found, _ = shares(Rejection(tries=1000), {"largest": 1.0, "gamma": gamma})
    expected = BETTER * good / (BETTER * good + (1 - BETTER) * bad)
    assert found == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 4000))


def test_gamma_and_the_largest_are_those_of_the_burn_in() -> None:
    critic, refinement = toy(Bowl(), 2), Rejection(burn_in=500, percentile=80)
    known = refinement.fitted(critic, torch.zeros(70, dtype=torch.int64))
    ratios = critic.of_fakes(torch.zeros(500, dtype=torch.int64), 70)
    assert known["largest"] == float(ratios.max())
    chances = shifted(ratios, known["largest"], known["gamma"]).sigmoid()
    assert float((chances >= 0.5).double().mean()) == pytest.approx(0.2, abs=0.01)
    assert float(shifted(ratios.max() + 5, known["largest"], 0.0)) == float(shifted(ratios.max(), known["largest"], 0))


def test_who_has_none_accepted_shows_the_best_and_says_so() -> None:
    refinement, critic = Rejection(tries=5), toy(Bowl(), 2)
    labels = torch.zeros(6, dtype=torch.int64)
    z, counts = refinement.refined(critic, {"largest": 1e4, "gamma": 0.0}, range(6), labels)
    assert counts == {"images": 6, "judged": 30, "without": 6}
    every = torch.stack([critic.latents(range(6), j) for j in range(5)])
    best = torch.stack([critic(one, labels) for one in every]).argmax(dim=0)
    assert torch.equal(z, every[best, torch.arange(6)])
    assert "6 had none accepted in 5 tries and show their best" in refinement.told(Counter(counts))
    assert "none accepted" not in refinement.told(Counter(images=6, judged=30))


def test_candidate_0_is_the_seed_itself() -> None:
    labels = torch.zeros(3, dtype=torch.int64)
    z, counts = Rejection().refined(toy(Bowl()), {"largest": -1e4, "gamma": -50.0}, [4, 5, 6], labels)
    assert torch.equal(z, latents([4, 5, 6], 4))
    assert counts["judged"] == 3
    for kind in ("resample", "clamp", "tfhub"):
        other = latents([4, 5, 6], 4, 0.5, kind, candidate=1)
        assert not torch.equal(other, latents([4, 5, 6], 4, 0.5, kind))
        assert other.abs().max() <= (1.0 if kind == "tfhub" else 0.5)


# -- what holds for every way ------------------------------------------------------------------------------------------

WAYS = sorted(REFINEMENTS)


@pytest.fixture(scope="module")
def networks() -> tuple[Generator, Discriminator]:
    built = build(tiny("biggan"), seed=3)
    for network in (built.generator, built.discriminator):
        network.eval().requires_grad_(False)
    return built.generator, built.discriminator


def reals(batch: int = 16, count: int = 48) -> Iterator[tuple[Tensor, Tensor]]:
    drawn = torch.Generator().manual_seed(5)
    images = torch.rand(count, 1, 16, 16, generator=drawn) * 2 - 1
    yield from zip(images.split(batch), (torch.arange(count) % 10).split(batch), strict=True)


def refiner_of(
    networks: Sequence[nn.Module], way: str, truncation: float | None = None, kind: str = "scale"
) -> Refiner:
    generator, discriminator = cast("tuple[Generator, Discriminator]", networks)
    critic = Critic(generator=generator, discriminator=discriminator, truncation=truncation, kind=kind)
    ratio, known = calibrated(QUICK[way], critic, reals())
    name, refinement = parse_refinement(QUICK[way])
    return Refiner(name, refinement, dataclasses.replace(critic, ratio=ratio), known)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("truncation", [None, 0.6])
def test_a_latent_depends_on_its_seed_and_class_only(
    way: str, truncation: float | None, networks: tuple[Generator, Discriminator]
) -> None:
    refiner = refiner_of(networks, way, truncation)
    seeds, labels = [9, 4, 70, 12, 2**50, 4], torch.tensor([1, 2, 3, 4, 5, 6])
    together = refiner.latents(seeds, labels)
    assert together.shape == (6, 12)
    assert together.dtype == torch.float32
    assert not torch.equal(together, latents(seeds, 12, truncation, "scale")), "some are others than the seeds'"
    for chunk in (1, 4):
        torch.testing.assert_close(refiner.latents(seeds, labels, chunk), together, rtol=0, atol=1e-4)
    torch.testing.assert_close(refiner.latents(seeds[::-1], labels.flip(0)).flip(0), together, rtol=0, atol=1e-4)
    assert torch.equal(refiner.latents(seeds, labels), together), "again the same, to the bit"
    assert refiner.latents([], labels[:0]).shape == (0, 12)


@pytest.mark.parametrize("way", WAYS)
def test_nothing_moves(way: str, networks: tuple[Generator, Discriminator]) -> None:
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks]
    torch.manual_seed(7)
    state = torch.get_rng_state()
    refiner_of(networks, way).latents([1, 2, 3], torch.tensor([1, 2, 3]))
    for network, old in zip(networks, before, strict=True):
        assert_same_tensors(old, network.state_dict())
        assert not network.training
        assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), state), "no generator of torch is asked"


@pytest.mark.parametrize("way", WAYS)
def test_calibration_does_not_depend_on_how_reals_are_read(way: str, networks: tuple[Generator, Discriminator]) -> None:
    generator, discriminator = networks
    critic = Critic(generator=generator, discriminator=discriminator)
    one, other = (calibrated(QUICK[way], critic, reals(batch)) for batch in (16, 7))
    assert one[0].slope == pytest.approx(other[0].slope, rel=1e-3)
    assert one[1] == pytest.approx(other[1], rel=1e-3)
    with pytest.raises(UserError, match="no real images"):
        calibrated(QUICK[way], critic, [])


@pytest.mark.parametrize("way", WAYS)
def test_words(way: str) -> None:
    name, refinement = parse_refinement(QUICK[way])
    assert parse_refinement(described(name, refinement)) == (name, refinement)
    assert "arXiv" in refinement.paper
    for word, message in (
        (f"{way},many=3", f"unknown option of --refine {way} 'many'"),
        (f"{way},steps", "has no value"),
        (f"{way},{dataclasses.fields(refinement)[0].name}=x", "must be a"),
    ):
        with pytest.raises(UserError, match=message):
            parse_refinement(word)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ddls,steps=-1", "steps=-1: 0 to"),
        ("ddls,eps=0", "eps=0: above 0"),
        ("ddls,eps=nan", "eps=nan: above 0"),
        ("drs,percentile=101", "0 to 100"),
        ("drs,burn_in=1", "burn_in=1: 2 to"),
        ("drs,tries=0", "tries=0: 1 to"),
    ],
)
def test_options_out_of_range(word: str, message: str) -> None:
    name, refinement = parse_refinement(word)
    with pytest.raises(UserError, match=message):
        refinement.check(name, None, "resample")


def test_an_unknown_way_names_its_neighbours() -> None:
    with pytest.raises(UserError, match="unknown refinement 'ddl'; nearest: ddls"):
        parse_refinement("ddl")


@pytest.mark.parametrize("kind", ["resample", "clamp", "tfhub"])
def test_walks_stay_in_no_box(kind: str) -> None:
    with pytest.raises(UserError, match=f"--truncation-kind {kind} with --refine ddls: the walk would leave"):
        Langevin().check("ddls", 0.5, kind)
    Langevin().check("ddls", None, kind)
    Rejection().check("drs", 0.5, kind)


# -- the commands ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refined") / "run"
    train(tiny_config(folder, duration=64), "digits")
    return folder


def sampled(target: Path, out: Path, *words: str) -> dict[str, Any]:
    command = [str(target), "--out", str(out), "--seeds", "0-6", "--device", "cpu", "--format", "npz", *words]
    assert sample_command.main(command) == 0
    return dict(np.load(out / "samples.npz"))


@pytest.mark.parametrize("way", WAYS)
def test_files_say_how_images_were_refined(
    way: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, refined = sampled(run, tmp_path / "plain"), sampled(run, tmp_path / "refined", "--refine", QUICK[way])
    assert "refinement" not in plain
    name, refinement = parse_refinement(QUICK[way])
    record = str(refined["refinement"])
    assert record.startswith(f"{described(name, refinement)} slope=")
    assert not np.array_equal(plain["x"], refined["x"])
    printed = capsys.readouterr().out
    assert f"refined by {described(name, refinement)}: log ratio = " in printed
    assert "1,797 reals" in printed
    assert "the reals are images that D was trained on" in printed
    words = ["--out", str(tmp_path / "png"), "--count", "2", "--refine", QUICK[way], "--device", "cpu"]
    assert sample_command.main([str(run), *words]) == 0
    with (tmp_path / "png" / "labels.csv").open(newline="") as file:
        assert [row["refinement"] for row in csv.DictReader(file)] == [record] * 2


def test_held_out_reals_calibrate_where_there_are_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny_config(tmp_path / "run", duration=64)
    data = dataclasses.replace(config.data, holdout=0.1, fraction=0.5)
    train(dataclasses.replace(config, data=data), "digits")
    sampled(tmp_path / "run", tmp_path / "out", "--refine", QUICK["drs"])
    printed = capsys.readouterr().out
    assert "the reals are held-out images" in printed
    held = open_held_out(data, (16, 16))
    assert held is not None
    assert f" {len(held)} reals" in printed


def test_checkpoints_and_exports_with_d_refine_as_the_run_does(run: Path, tmp_path: Path) -> None:
    word = ("--refine", QUICK["drs"])
    expected = sampled(run, tmp_path / "run", *word)
    checkpoint = sampled(run / "checkpoints" / "64", tmp_path / "checkpoint", *word)
    file = tmp_path / "with.safetensors"
    export.main([str(run), "--to", "safetensors", "--with-discriminator", "--out", str(file)])
    exported = sampled(file, tmp_path / "export", *word, "--refine-data", "digits")
    for found in (checkpoint, exported):
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name], expected[name], equal_nan=name == "truncation") for name in found)
    with pytest.raises(UserError, match="does not say where its real images are; name some with --refine-data"):
        sampled(file, tmp_path / "no data", *word)


def test_what_cannot_be_refined(run: Path, tmp_path: Path) -> None:
    bare = write(tmp_path / "bare.safetensors", tiny("biggan"))
    for target, words, message in (
        (bare, ("--refine", "drs"), r"bare.safetensors holds no D; give the run, one of its checkpoints, or a file"),
        (run / "snapshots" / "64.safetensors", ("--refine", "drs"), "64.safetensors holds no D"),
        (run, ("--refine-data", "digits"), "only with --refine"),
        (run, ("--refine", "ddls", "--truncation", "0.5"), "--truncation-kind resample with --refine ddls"),
        (run, ("--refine", "ddls,steps=x"), "must be a whole number"),
        (run, ("--refine", "drs", "--refine-data", "cifar11"), "cifar11"),
    ):
        with pytest.raises(UserError, match=message):
            sampled(target, tmp_path / "out", *words)
    folder = tmp_path / "images" / "one"
    folder.mkdir(parents=True)
    Image.new("L", (16, 16)).save(folder / "0.png")
    with pytest.raises(UserError, match="other classes than the generator's"):
        sampled(run, tmp_path / "out", "--refine", "drs", "--refine-data", str(folder.parent))


def test_d_of_another_clock_is_refused(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "snapshots" / "64.safetensors").rename(copy / "snapshots" / "128.safetensors")
    generator = biggan.load(copy / "snapshots" / "128.safetensors", device="cpu")
    newer = dataclasses.replace(generator.info, images_seen=128)
    write_snapshot(copy / "snapshots" / "128.safetensors", generator.generator, newer)
    with pytest.raises(UserError, match=r"newest generator in .* is of 128 images, the newest D, .* of 64; give that"):
        sampled(copy, tmp_path / "out", "--refine", "drs")


def test_a_refiner_is_for_its_truncation(run: Path, networks: tuple[Generator, Discriminator]) -> None:
    model = biggan.load(run, device="cpu")
    model.refiner = refiner_of(networks, "drs", 0.6)
    with pytest.raises(ValueError, match=r"made to refine at truncation 0\.6"):
        model.sample(seeds=[1])
    assert model.sample(seeds=[1], truncation=0.6, kind="scale").shape == (1, 1, 16, 16)


@pytest.mark.parametrize("way", WAYS)
def test_evaluation_draws_the_same_images(way: str, run: Path, tmp_path: Path) -> None:
    words = ["--data", "digits", "--metrics", "diversity", "--count", "30", "--device", "cpu"]
    assert evaluate_command.main([str(run), *words, "--out", str(tmp_path / "plain")]) == 0
    assert evaluate_command.main([str(run), *words, "--out", str(tmp_path / "refined"), "--refine", QUICK[way]]) == 0
    plain, refined = (
        json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0]) for name in ("plain", "refined")
    )
    assert plain["conditions"]["judged"]["refinement"] is None
    name, refinement = parse_refinement(QUICK[way])
    assert refined["conditions"]["judged"]["refinement"] == described(name, refinement)
    assert refined["conditions"]["judged"]["refinement_fit"].startswith("slope=")
    assert refined["protocol"] == f"{plain['protocol']}-{described(name, refinement)}"
    assert refined["value"] != plain["value"]


def test_numbers_of_refined_images_are_not_those_of_plain_ones() -> None:
    judged = JudgedProtocol(kind="generator", weights="ema")
    plain = Protocol(metric="fid", count=10, real_count=None, reference=None, judged=judged, features=None)
    refined, other_run, other_way = (
        dataclasses.replace(plain, judged=dataclasses.replace(judged, refinement=way, refinement_fit=fit))
        for way, fit in (("drs,tries=100", "slope=1"), ("drs,tries=100", "slope=2"), ("drs,tries=50", "slope=1"))
    )
    assert comparable(plain, refined) == ["how D's judgement chose latents: none or not known, and drs,tries=100"]
    assert not comparable(refined, other_run), "what was fitted belongs to the model"
    assert comparable(refined, other_way)
    assert len({one.digest for one in (plain, refined, other_way)}) == 3
    assert other_run.digest == refined.digest
    assert plain.digest == "b20a9420", "as best checkpoints have long been kept by"


def test_evaluations_that_do_not_go_with_it(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--data", "digits", "--count", "20", "--device", "cpu", "--out", str(tmp_path), "--refine", QUICK["drs"]]
    with pytest.raises(UserError, match="an image depends on its neighbours, and D cannot choose"):
        evaluate_command.main([str(run), *words, "--metrics", "diversity", "--generator-mode", "batch"])
    with pytest.raises(SystemExit):
        evaluate_command.main(["truncation", str(run), *words])
    assert "--refine: not over a range of truncations" in capsys.readouterr().err
    with pytest.raises(UserError, match="holds images, where D has nothing to choose"):
        evaluate_command.main(["digits", *words, "--metrics", "diversity"])


@pytest.mark.parametrize("way", [WAYS[0], *(pytest.param(way, marks=pytest.mark.nightly) for way in WAYS[1:])])
def test_files_are_those_of_one_process(way: str, run: Path, tmp_path: Path) -> None:
    words = ["sample", str(run), "--seeds", "0-6", "--batch", "3", "--refine", QUICK[way], "--device", "cpu", "--out"]
    done = [
        commands.run([*words, str(tmp_path / "one")], tmp_path / "one.txt"),
        *commands.run_ranks([*words, str(tmp_path / "two")], tmp_path / "logs", {}, 2),
    ]
    assert [one.status for one in done] == [0, 0, 0], [one.printed for one in done]
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert len(one) == 8
    assert one == two
    lines = [line for line in done[0].printed.splitlines() if "candidates for" in line or "refined by" in line]
    assert lines == [x for x in done[1].printed.splitlines() if "candidates for" in x or "refined by" in x]
    assert "refined by" not in done[2].printed
