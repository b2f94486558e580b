"""``biggan train --data FOLDER``: look, choose, say why, and how to have the same without looking."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

from biggan.cli.parsing import read_options
from biggan.cli.words import given, value_of, without
from biggan.foundation import launch
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line, say, typed
from biggan.training.configuration import TrainingConfig

AUTO = "auto"
"""Name of the recipe, in a run's records and on the command line."""


def place_of(words: list[str]) -> str:
    """Return the run directory: that which was given, or runs/NAME for images that lie in a folder NAME."""
    found = value_of(words, "--run-dir")
    images = Path((value_of(words, "--data", "--data.path") or AUTO).rstrip("/")).resolve()
    name = images.name if images.is_dir() else images.name.split(".")[0]  # of a file without its endings
    return found or str(Path("runs") / (name.lstrip(".").replace(":", "-") or AUTO))


def refuse_other_images(words: list[str], stored: str | None, run_dir: str) -> None:
    """Refuse to go on with a run on other images that lies where this one would go; ``--run-dir`` says what is meant.

    A run directory that nobody gave has the name of the preset, or with ``auto`` that of the images.

    Args:
        words: of the command line.
        stored: the images of the run that exists.
        run_dir: of that run.

    Raises:
        UserError: the run directory was not given, and these images lie elsewhere.
    """
    data = value_of(words, "--data", "--data.path")
    if data is None or stored is None or value_of(words, "--run-dir") is not None or data == stored:
        return
    if Path(data).resolve() != Path(stored).resolve():
        raise UserError(
            f"--data {one_line(data)}: {run_dir}, where this would go, is a run on {one_line(stored)}. Give these "
            f"images a run of their own, --run-dir {typed(run_dir + '-2')}, or go on with that one on them, "
            f"--run-dir {typed(run_dir)}"
        )


def choose_for(words: list[str], run_dir: str) -> TrainingConfig:
    """Return what ``auto`` chooses for a run that does not exist yet, and tell it.

    Args:
        words: of the command line, ``--hours`` among them.
        run_dir: of the run.

    Raises:
        UserError: what cannot be trained; says what is missing.
    """
    begun = time.monotonic()
    hours, words = hours_of(words), without(words, "--hours")
    asked = read_options(TrainingConfig, words, f"biggan train {AUTO}")
    named = given(words)
    if asked.data.path is None:
        raise UserError(
            "--data: say where your images are: biggan train --data FOLDER, with a sub-folder for each class"
        )
    if asked.init.path is not None:
        raise UserError(
            "--init: weights bring their architecture, which auto would choose; name a preset: biggan train PRESET"
        )
    if launch.announced_world_size() > 1:
        raise UserError(
            "auto measures one process. Run the same command alone with --dry-run, and give torchrun the command that "
            "it prints"
        )
    import torch

    from biggan.losses.terms import parse_terms
    from biggan.presets.auto.choosing import Trials, choose
    from biggan.presets.auto.command import command
    from biggan.presets.auto.looking import examine, look
    from biggan.presets.auto.trying import fitting, pace

    parse_terms(asked.terms)  # a misspelt one is told before images are looked at
    say(f"looking at {one_line(asked.data.path)} and at this machine ...")
    seen = look(asked.data, mirror="data.flip" not in named)
    machine = examine(asked.device)

    def measured(config: TrainingConfig) -> float:
        height, width = config.model.resolution
        terms = f" with {one_line(' '.join(config.terms))}" if config.terms else ""
        say(f"measuring the speed at {height}x{width} in batches of {config.batch}{terms} ...")
        return pace(config)

    threads = torch.get_num_threads()
    trials = Trials(fitting=fitting, pace=measured, spent=lambda: time.monotonic() - begun)
    chosen = choose(seen, machine, asked, named, trials, hours)
    if torch.get_num_threads() < threads:
        chosen.config = dataclasses.replace(chosen.config, threads=torch.get_num_threads())
        chosen.note(
            "threads", chosen.config.threads, "more wait for each other while another program holds a core", "threads"
        )
    config = read_options(TrainingConfig, words, f"biggan train {AUTO}", default=chosen.config)
    say(f"auto chose, for {seen.images:,} images on {machine.name}:")
    say("\n".join(chosen.lines(named)))
    overruled = sorted(named - {"data.path", "run_dir", "device", "dry_run"})
    if overruled:
        say(f"  as given: {', '.join(overruled)}")
    told = [*command(dataclasses.replace(config, run_dir=None)), "--run-dir", run_dir]
    say(f"the same without auto:\n  biggan train {typed(*told)}")
    return dataclasses.replace(config, run_dir=run_dir)


def hours_of(words: list[str]) -> float | None:
    """Return the value of ``--hours``.

    Raises:
        UserError: it is no number.
    """
    word = value_of(words, "--hours")
    if word is None:
        return None
    try:
        return float(word)
    except ValueError:
        raise UserError(f"--hours {one_line(word, 40)}: a number of hours, for example 0.5 or 2") from None
