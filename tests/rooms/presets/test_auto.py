"""What ``auto`` chooses, what it says of it, and that what is given holds."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

from biggan.cli.automatic import place_of, refuse_other_images
from biggan.cli.main import main
from biggan.cli.train import _dry_run, _recipe, parse
from biggan.cli.words import given, without
from biggan.data.configuration import DataConfig
from biggan.foundation.config import differences
from biggan.foundation.durations import spoken
from biggan.foundation.errors import UserError
from biggan.presets.auto.choosing import Trials, choose
from biggan.presets.auto.chosen import Chosen
from biggan.presets.auto.command import command
from biggan.presets.auto.lengths import Length, sheets
from biggan.presets.auto.seen import Machine, Mirroring, Seen
from biggan.presets.auto.trying import pace
from biggan.training.configuration import TrainingConfig
from biggan.training.hooks.samples import next_sheet
from biggan.training.resolving import resolve
from tests.conftest import tiny_config

CPU = Machine(device="cpu", name="2 CPU cores", memory=8 * 2**30)
GPU = Machine(device="cuda", name="a GPU", memory=80 * 2**30, narrow=True)
SEEN = Seen(
    images=900,
    class_counts=(300, 300, 300),
    channels=3,
    side=200,
    mirroring=Mirroring(allowed=True, reason="it was asked"),
)


def chosen(
    machine: Machine = CPU, seen: Seen = SEEN, hours: float | None = None, pace: float = 100.0, **asked: Any
) -> Chosen:
    config = dataclasses.replace(TrainingConfig(data=DataConfig(path="flowers")), **asked)
    trials = Trials(fitting=lambda config, _: config.batch, pace=lambda _: pace)
    return choose(seen, machine, config, frozenset(asked), trials, hours)


@pytest.mark.parametrize("machine", [CPU, GPU], ids=lambda machine: machine.device)
@pytest.mark.parametrize(
    "seen",
    [
        SEEN,
        dataclasses.replace(SEEN, images=20, class_counts=(), channels=1, photographs=False, side=8),
        dataclasses.replace(SEEN, images=60_000, class_counts=(50_000, 10_000 // 9, 100), side=32),
    ],
    ids=["photographs", "few", "many"],
)
def test_the_command_without_auto_says_the_same(machine: Machine, seen: Seen, tmp_path: Path) -> None:
    config = chosen(machine, seen).config
    words = command(config)
    again = parse(words[0], words[1:], str(tmp_path / "run"))
    classes = {"model.classes", "model.channels", "model.resolution", "run_dir"}  # which the data decide
    assert set(differences(config, again)) <= classes
    one, other = (resolve(each, None, 1) for each in (config, again))
    assert set(differences(one, other)) <= classes - {"model.resolution"}


def test_images_of_classes_are_told_as_people_say_it() -> None:
    assert any(line.endswith("300 images each") and "to" not in line for line in chosen().lines())
    uneven = dataclasses.replace(SEEN, images=1300, class_counts=(300, 1000))
    assert any("300 to 1,000 images each" in line for line in chosen(seen=uneven).lines())


@pytest.mark.parametrize(("machine", "hours", "side"), [(CPU, 0.2, 32), (CPU, 24.0, 64), (GPU, 2.0, 128)])
def test_size_follows_time_and_machine(machine: Machine, hours: float, side: int) -> None:
    found = chosen(machine, hours=hours, pace=1000.0 if machine is GPU else 100.0)
    assert found.config.resolution == (side, side)
    assert found.config.model.latent_size == (20 if machine is GPU else 11) * found.config.model.latent_slots
    attention = found.config.model.generator_attention
    assert attention == ((str(side // 2),) if side >= 64 else ())
    resolve(found.config, None, 1)


def test_a_slow_machine_takes_a_smaller_size_and_the_length_follows_its_pace() -> None:
    slow, fast = chosen(hours=0.2, pace=10.0), chosen(hours=0.2, pace=1000.0)
    assert (slow.config.resolution, fast.config.resolution) == ((16, 16), (32, 32))
    assert fast.config.duration / 0.2 / 3600 == pytest.approx(850, rel=0.05)
    assert fast.config.log.first_samples == pytest.approx(25_000, rel=0.05)
    assert fast.config.checkpoint.every <= fast.config.duration / 5


def test_who_has_waited_gets_the_first_sheet_sooner() -> None:
    """Looking at many images, or at a busy machine, takes of the minute in which it is to come."""
    length = Length(images=100_000, pace=100.0, seconds=1000.0, reason="given")
    first = [sheets(length, classes=3, spent=spent).first_samples for spent in (0.0, 20.0, 35.0, 90.0)]
    assert first == [2500, 2500, 1000, 500]


def test_a_short_run_has_smaller_batches_and_more_updates() -> None:
    batches = [chosen(hours=hours, pace=100.0).config.batch for hours in (0.2, 2.0)]
    assert batches == [32, 64]
    assert chosen(hours=0.2, batch=64).config.batch == 64, "as given"
    assert chosen(GPU, duration=16_000_000).config.batch == 256
    lines = {line.split()[0]: line for line in chosen(hours=0.2, pace=100.0).lines()}
    assert lines["batch"].endswith("32: at once; 1,907 updates")


def test_a_smaller_batch_must_bring_more_updates() -> None:
    """A GPU that waits for launches shows half as many images a second with half the batch."""

    def batch_of(pace: Callable[[TrainingConfig], float]) -> int:
        trials = Trials(fitting=lambda config, _: config.batch, pace=pace)
        return choose(SEEN, GPU, TrainingConfig(), frozenset(), trials, 0.1).config.batch

    assert batch_of(lambda config: 7.5 * config.batch) == 256
    assert batch_of(lambda _: 960.0) == 32
    assert batch_of(lambda config: 7.5 * min(config.batch, 64)) == 64, "as far as launches are not what it waits for"


def test_the_length_is_by_the_speed_with_the_terms_that_are_chosen() -> None:
    def duration(pace: Callable[[TrainingConfig], float]) -> int | None:
        trials = Trials(fitting=lambda config, _: config.batch, pace=pace)
        config = choose(SEEN, CPU, TrainingConfig(), frozenset(), trials, 2.0).config
        assert "diffaugment" in config.terms
        return config.duration

    alone, slower = duration(lambda _: 100.0), duration(lambda config: 90.0 if config.terms else 100.0)
    assert alone is not None
    assert slower == pytest.approx(0.9 * alone, rel=0.02)


def test_networks_are_compiled_where_that_pays() -> None:
    assert [chosen(GPU, hours=hours).config.compile for hours in (0.1, 1.0)] == ["off", "auto"]
    assert chosen(GPU, hours=0.1, compile="on").config.compile == "on"
    assert chosen(CPU, hours=0.1).config.compile == "auto", "which does not, on a CPU"


def test_what_is_given_holds_and_what_follows_from_it_follows() -> None:
    by_hand = chosen(resolution=(48, 48), batch=16)
    assert (by_hand.config.resolution, by_hand.config.batch, by_hand.config.micro_batch) == ((48, 48), 16, 16)
    assert by_hand.config.generator_adam.full_rate == pytest.approx(4e-4)
    assert chosen(batch=256).config.generator_adam.full_rate == pytest.approx(8e-4)
    lines = "\n".join(chosen(on_collapse="warn").lines({"on_collapse"}))
    assert "on collapse" not in lines
    assert [chosen(duration=images).config.on_collapse for images in (7_999, 8_000)] == ["warn", "rollback"]
    assert "too few for a collapse to be told" in "\n".join(chosen(duration=7_999).lines())
    with pytest.raises(UserError, match="--hours and --duration"):
        chosen(duration=1000, hours=1.0)
    with pytest.raises(UserError, match="more than 0"):
        chosen(hours=0.0)
    with pytest.raises(UserError, match="nothing yet"):
        chosen(hours=1e-4, pace=1.0)


def test_every_choice_has_a_reason_in_one_line() -> None:
    lines = chosen().lines()
    for word in ("resolution", "channels", "classes", "family", "width", "attention", "batch", "rates", "mirroring"):
        assert any(line.split()[0] == word for line in lines), word
    for word in ("latents", "terms", "average", "length", "sheets", "saved", "looks"):
        assert any(line.split()[0] == word for line in lines), word
    assert all(": " in line and "\n" not in line for line in lines)


def test_what_is_given_has_no_reason_as_if_it_had_been_chosen() -> None:
    words = ["--data", "flowers", "--model.family", "sagan", "--resolution", "64x64"]
    words += ["--model.generator-attention", "16", "--model.discriminator-attention", "16"]
    asked = tyro.cli(TrainingConfig, args=words)
    trials = Trials(fitting=lambda config, _: config.batch, pace=lambda _: 100.0)
    found = choose(SEEN, CPU, asked, given(words), trials, 1.0)
    told = {line.split()[0]: line for line in found.lines(given(words))}
    assert "family" not in told
    assert "attention" not in told
    assert told["width"].endswith("width 8, for a CPU"), "SAGAN has no table of narrow widths"
    assert told["latents"].endswith("numbers: all at the beginning")


def test_what_a_crop_takes_is_said() -> None:
    def told(**given: Any) -> list[str]:
        lines = chosen(CPU, dataclasses.replace(SEEN, elongation=1.5), **given).lines()
        return [line for line in lines if line.split()[0] == "crop"]

    (line,) = told()
    assert line.endswith("center: the middle image loses 33% of its area; --data.crop pad keeps all")
    assert not told(data=DataConfig(path="flowers", crop="pad"))
    assert not told(resolution=(32, 48))
    assert not [line for line in chosen(CPU).lines() if line.split()[0] == "crop"]


def test_terms_are_for_images_that_are_shown_often() -> None:
    assert chosen(GPU).config.terms == ("diffaugment,policy=translation+cutout",)
    assert chosen(GPU, dataclasses.replace(SEEN, photographs=False)).config.terms == ()
    assert chosen(GPU, dataclasses.replace(SEEN, images=500_000)).config.terms == ()
    often, seldom = (dataclasses.replace(SEEN, images=images) for images in (900, 9000))
    assert chosen(CPU, often, hours=0.2).config.terms == ("r1,weight=0.1,every=16",)
    assert chosen(CPU, seldom, hours=0.2).config.terms == ()
    few = dataclasses.replace(SEEN, images=200)
    assert chosen(CPU, few, hours=0.2).config.terms == ("diffaugment", "r1,weight=0.1,every=16")
    gray = dataclasses.replace(few, channels=1)
    assert chosen(CPU, gray, hours=0.2).config.terms == ("r1,weight=0.1,every=16",)
    assert chosen(CPU, often, hours=0.2, terms=("cr",)).config.terms == ("cr",)


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "size", "message"),
    [
        ({"a": 9, "b": 8}, (20, 20), "17 images found.*at least 20.*add 3"),
        ({"a": 30}, (4, 4), "has 4 px on its shorter side.*needs 8"),
    ],
)
def test_what_cannot_be_trained_says_what_is_missing(
    make_folder: Callable[..., Path], classes: dict[str, int], size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    folder = make_folder(classes, size)
    with pytest.raises(UserError, match=message):
        parse("auto", ["--data", str(folder)], str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_images_that_cannot_be_read_are_told_where_too_few_are_left(
    make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder({"a": 5}, (20, 20))
    for number in range(30):
        (folder / "a" / f"broken{number}.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"5 images found.*add 15.*30 more cannot be read, such as .*broken0.png"):
        parse("auto", ["--data", str(folder)], str(tmp_path / "run"))


def test_options_that_its_choices_rest_on_can_be_given(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_folder({"a": 60, "b": 60}, (40, 40))
    words = ["--data", str(folder), "--duration", "2k", "--device", "cpu", "--data.random-crop", "--ema.decay", "0.9"]
    config = parse("auto", words, str(tmp_path / "run"))
    assert config.data.random_crop
    assert (config.ema.decay, config.ema.half_life) == (0.9, None)


def test_a_run_has_the_whole_name_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("my.flowers", ".hidden"):
        (tmp_path / folder).mkdir()
    names = {"my.flowers/": "my.flowers", ".hidden": "hidden", "cats.tar.gz": "cats", "digits": "digits"}
    for data, name in names.items():
        assert place_of(["--data", data]) == str(Path("runs") / name)


def test_a_folder_without_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["train", "--data", str(tmp_path / "empty")]) == 2
    assert "no images" in capsys.readouterr().err


def test_a_misspelt_term_is_told_before_images_are_looked_at(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(make_folder({"a": 30}))
    assert main(["train", "--data", folder, "--terms", "r1,wait=1", "--run-dir", str(tmp_path / "run")]) == 2
    said = capsys.readouterr()
    assert "weight" in said.err
    assert "looking at" not in said.out


def test_times_are_said_once_and_as_they_were_given() -> None:
    lines = {line.split()[0]: line for line in chosen(hours=0.06, pace=91.6).lines()}
    assert ": 3.6 min (given)" in lines["length"]
    assert "in 3.6 min;" in lines["resolution"] or "do in" not in lines["resolution"]
    assert "after 17 s of training; then" in lines["sheets"]
    assert [spoken(s) for s in (0.4, 89, 90, 216, 3600, 5400)] == [
        "0 s",
        "89 s",
        "1.5 min",
        "3.6 min",
        "60 min",
        "1.5 h",
    ]


def test_a_dry_run_leaves_the_choice_in_sight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = dataclasses.replace(chosen().config, run_dir=str(tmp_path / "run"), data=DataConfig())
    assert _dry_run(config, "auto") == 0
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 20
    assert "parameters: G " in told
    assert _dry_run(config, "digits") == 0
    assert capsys.readouterr().out.endswith(told)


def test_a_folder_in_the_place_of_a_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my pictures").mkdir()
    (tmp_path / "digits").mkdir()
    assert main(["train", "my pictures", "--hours", "1"]) == 2
    assert "biggan train --data 'my pictures'" in capsys.readouterr().err
    assert main(["train", "my picture"]) == 2
    assert "unknown preset" in capsys.readouterr().err
    assert _recipe(["digits"]) == ("digits", [])


def test_a_run_by_auto_goes_on_and_chooses_nothing_anew(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = make_folder({"a": 12, "b": 12}), str(tmp_path / "run")
    options = ["--duration", "24", "--device", "cpu", "--health.every", "0", "--log.no-tensorboard", "--data.workers"]
    assert main(["train", "--data", str(folder), "--run-dir", run, *options, "0"]) == 0
    printed = capsys.readouterr().out
    assert "auto chose" in printed
    assert "the same without auto:\n  biggan train digits --data" in printed
    assert f" --run-dir {run}\n" in printed
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["preset"] == "auto"
    assert stored["config"]["model"]["resolution"] == [16, 16]
    assert stored["config"]["batch"] == 12
    assert main(["train", "--run-dir", run, "--hours", "1", "--duration", "36"]) == 0
    printed = capsys.readouterr().out
    assert "auto chose" not in printed
    assert "finished: 36 images" in printed
    assert f"classes.png; draw more of them: biggan sample {run} --out" in printed
    again = json.loads((tmp_path / "run" / "config.json").read_text())
    changed = {name for name in stored["config"] if stored["config"][name] != again["config"][name]}
    assert changed == {"duration"}


def test_folders_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", "new/flowers/", "--duration", "12"]
    with pytest.raises(UserError, match=r"where this would go, is a run on old/flowers.*--run-dir runs/flowers-2"):
        refuse_other_images(words, "old/flowers", "runs/flowers")
    refuse_other_images([*words, "--run-dir", "runs/flowers"], "old/flowers", "runs/flowers")
    refuse_other_images(words, str(tmp_path / "new" / "flowers"), "runs/flowers")
    refuse_other_images(["--duration", "12"], "old/flowers", "runs/flowers")
    refuse_other_images(["--data=digits"], "digits", "runs/digits")


@pytest.mark.nightly
def test_folders_of_one_name_do_not_share_a_run(
    make_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    first = make_folder({"a": 12, "b": 12})
    other = tmp_path / "elsewhere" / first.name
    shutil.copytree(first, other)
    options = [
        "--duration",
        "12",
        "--device",
        "cpu",
        "--health.every",
        "0",
        "--log.no-tensorboard",
        "--data.workers",
        "0",
    ]
    assert main(["train", "--data", str(first), *options]) == 0
    assert main(["train", "--data", str(other), *options]) == 2
    run = f"runs/{first.name}"
    assert f"{run}, where this would go, is a run on {first}" in (told := capsys.readouterr().err)
    assert f"--run-dir {run}-2" in told
    assert main(["train", "--data", os.path.relpath(first), *options]) == 0, "the same folder, written otherwise"
    assert main(["train", "--data", str(other), "--run-dir", run, *options]) == 0, "it was said which run is meant"


def test_sheets_are_rarer_and_rarer_and_never_rarer_than_the_interval() -> None:
    clock, found = 0, []
    while clock < 100:
        found.append(clock := next_sheet(clock, first=2, every=20))
    assert found == [2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 100]
    assert [next_sheet(clock, first=50, every=20) for clock in (0, 20, 30)] == [20, 40, 40]


def test_words() -> None:
    words = ["--data=a", "--model.no-hierarchical-latent", "--batch", "4", "--hours", "2", "--log.every", "1"]
    assert given(words) == {"data.path", "model.hierarchical_latent", "batch", "hours", "log.every"}
    assert without(words, "--hours") == [*words[:4], *words[6:]]
    assert without(["--hours=2", "--seed", "1"], "--hours") == ["--seed", "1"]


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two cores of which another program holds one: how many threads PyTorch was told to take, the last counts."""
    set_to = [2]
    monkeypatch.setattr("torch.get_num_threads", lambda: set_to[-1])
    monkeypatch.setattr("torch.set_num_threads", set_to.append)
    monkeypatch.setattr("biggan.training.trial.images_a_second", lambda *_: {1: 3.0, 2: 1.0}[set_to[-1]])
    return set_to


@pytest.mark.parametrize(("alone", "taken"), [(3.0, 1), (1.4, 2)])
def test_one_thread_is_taken_where_it_is_much_faster(
    alone: float, taken: int, threads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biggan.training.trial.images_a_second", lambda *_: {1: alone, 2: 1.0}[threads[-1]])
    assert pace(tiny_config(Path("run"), device="cpu")) == (alone if taken == 1 else 1.0)
    assert threads[-1] == taken
    assert pace(tiny_config(Path("run"), device="cpu", threads=2)) == 1.0, "what is given holds"
    assert threads[-1] == 2


def test_a_run_keeps_the_number_of_threads_it_was_begun_with(
    make_folder: Callable[..., Path], tmp_path: Path, threads: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = make_folder({"a": 12, "b": 12}), str(tmp_path / "run")
    options = ["--duration", "24", "--device", "cpu", "--health.every", "0", "--log.no-tensorboard", "--data.workers"]
    assert main(["train", "--data", str(folder), "--run-dir", run, *options, "0"]) == 0
    printed = capsys.readouterr().out
    assert "threads      1: more wait for each other" in printed
    assert " --threads 1 " in printed, "the command that does the same without auto"
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["threads"] == 1
    threads.append(2)  # another process
    assert main(["train", "--run-dir", run, "--duration", "36"]) == 0
    assert threads[-1] == 1
    assert main(["train", "--run-dir", run, "--duration", "48", "--threads", "2"]) == 0
    assert threads[-1] == 2
    assert "threads 1 -> 2" in capsys.readouterr().out
    other = str(tmp_path / "other")
    assert main(["train", "--data", str(folder), "--run-dir", other, *options, "0", "--threads", "2", "--dry-run"]) == 0
    assert "more wait for each other" not in capsys.readouterr().out
