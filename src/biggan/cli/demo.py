"""``biggan demo``: the whole way on data that ships with a dependency."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from biggan.cli.evaluate import main as evaluate
from biggan.cli.parsing import read_options
from biggan.cli.train import parse
from biggan.foundation.files import refuse_link, write_picture
from biggan.foundation.terminal import say


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """Train the digits preset, draw, and judge. A run that lies in the folder is continued or, if finished, used."""

    run_dir: str = "runs/demo"
    """Where everything goes."""
    seed: int = 0
    """Seed of the run."""


def main(words: list[str]) -> int:
    """Run the demonstration; exit status 1 if the judge is not satisfied."""
    options = read_options(DemoOptions, words, "biggan demo")
    config = dataclasses.replace(parse("digits", ["--seed", str(options.seed)], options.run_dir), device="cpu")
    from biggan.metrics.digits_judge import DigitsJudge
    from biggan.report.film import training_film
    from biggan.sampling.film_files import write_film
    from biggan.sampling.frames import path_frames
    from biggan.sampling.pictures import enlargement, sheet
    from biggan.sampling.png_text import png_text
    from biggan.sampling.recording import Recorder
    from biggan.sampling.sampler import load
    from biggan.sampling.sheets import class_sheets
    from biggan.training.setup import train

    run = Path(options.run_dir)
    pictures = {name: run / f"{name}.png" for name in ("class_sheet", "grid")}
    pictures |= {name: run / f"{name}.gif" for name in ("interpolation", "training")}
    for path in pictures.values():
        refuse_link(path)
    outcome = train(config, "digits")
    if outcome.signal:
        return 128 + outcome.signal
    sampler = load(run, "cpu")
    recorder, enlarged = Recorder(sampler), enlargement(sampler.info.architecture.resolution, 120, 12)
    page = next(class_sheets(sampler.generator, sampler.class_names, 12, enlarged=enlarged))
    record = recorder.grid(range(10), range(12), 12, names=True, enlarged=enlarged)
    write_picture(pictures["class_sheet"], page, pnginfo=png_text(record))
    page = sheet(sampler.sample(seeds=range(100)), 10, enlarged=enlarged)
    write_picture(pictures["grid"], page, pnginfo=png_text(recorder.grid((), range(100), 10, enlarged=enlarged)))
    write_film(pictures["interpolation"], path_frames(sampler, range(10), range(10), frames=12), 16)
    training_film(run, pictures["training"])
    verdict = DigitsJudge().judge(sampler.generator)
    say("\npictures:")
    for name, path in pictures.items():
        say(f"  {name.replace('_', ' '):14} {path}")
    say(f"\njudge: {verdict}")
    say(f"bar: 97 % and 0.75: {'passed' if verdict.passed else 'NOT reached'}")
    say("\nevaluation against the real digits, by features of a classifier of their own:")
    evaluate([options.run_dir, "--count", "2000", "--device", "cpu"])
    return 0 if verdict.passed else 1
