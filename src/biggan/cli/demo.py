"""``biggan demo``: the whole way on data that ships with a dependency."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import tyro

from biggan.cli.evaluate import main as evaluate
from biggan.cli.train import parse
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
    options = tyro.cli(DemoOptions, args=words, prog="biggan demo")
    config = dataclasses.replace(parse("digits", ["--seed", str(options.seed)], options.run_dir), device="cpu")
    from biggan.metrics.digits_judge import DigitsJudge
    from biggan.report.film import training_film
    from biggan.sampling.draw import draw
    from biggan.sampling.interpolation import embed_on_cpu, path_through
    from biggan.sampling.latents import latents
    from biggan.sampling.pictures import enlarge, sheet, to_picture, write_gif
    from biggan.sampling.sampler import load
    from biggan.sampling.sheets import class_sheets
    from biggan.training.setup import train

    outcome = train(config, "digits")
    if outcome.signal:
        return 128 + outcome.signal
    run = Path(options.run_dir)
    sampler = load(run, "cpu")
    pictures = {name: run / f"{name}.png" for name in ("class_sheet", "grid")}
    pictures |= {name: run / f"{name}.gif" for name in ("interpolation", "training")}
    page = next(class_sheets(sampler.generator, sampler.class_names, 12))
    enlarge(page, 640).save(pictures["class_sheet"])
    enlarge(sheet(sampler.sample(seeds=range(100)), 10), 480).save(pictures["grid"])
    import torch

    z = latents(range(10), sampler.info.architecture.z_size)
    path_z = path_through(z, 12, "spherical", loop=True)
    path_y = path_through(embed_on_cpu(sampler.generator, torch.arange(10)), 12, "linear", loop=True)
    frames = draw(sampler.generator, path_z, path_y)
    write_gif(pictures["interpolation"], (enlarge(to_picture(frame), 256) for frame in frames), 60)
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
