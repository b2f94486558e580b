"""``biggan train PRESET``."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import tyro

from biggan.foundation import launch
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import say
from biggan.presets.registry import PRESETS, get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.run_directory import RunDirectory


def main(words: list[str]) -> int:
    """Train, or print what would be trained."""
    if not words or words[0] in ("-h", "--help"):
        say(_overview())
        if words:
            tyro.cli(TrainingConfig, args=["--help"], prog="biggan train PRESET")
        return 2
    if words == ["--terms", "help"]:
        return _terms()
    if words[0].startswith("-"):
        raise UserError(f"name a preset first: biggan train PRESET {' '.join(words)}\n{_overview()}")
    preset = get_preset(words[0])
    run_dir = _given(words[1:], "--run-dir") or str(Path("runs") / preset.name)
    config = parse(preset.name, words[1:], run_dir)
    if "help" in config.terms:
        return _terms()
    if config.dry_run:
        return _dry_run(config)
    from biggan.training.rollback import STATUS
    from biggan.training.setup import train

    outcome = train(config, preset.name)
    if outcome.collapsed:
        return STATUS
    return 128 + outcome.signal if outcome.signal else 0


def _terms() -> int:
    """Say which terms there are."""
    from biggan.losses.terms import listing

    say(listing())
    return 2


def parse(name: str, words: list[str], run_dir: str) -> TrainingConfig:
    """Return the configuration that ``words`` mean.

    What is not given comes from the run that lies in the run directory, so that the same command (or one with fewer
    options) continues it as it was; without a run, from the preset.
    """
    preset = get_preset(name)
    base = preset.build()
    if "-h" not in words and "--help" not in words:
        stored = RunDirectory(Path(run_dir)).stored_run()
        if stored is not None and stored.preset == name:  # another preset is refused when the run is set up
            # A check is asked for once, not for ever, unless what it found was left out: then it must be again.
            data = stored.config.data
            data = dataclasses.replace(data, check=data.check and data.skip_corrupt)
            # Code is never taken from a run directory: a step of one's own must be given again.
            base = dataclasses.replace(stored.config, dry_run=False, data=data, step=None)
        elif stored is None and _given(words, "--init", "--init.path") is not None:
            # A preset's average starts late because new generators are no good at first; these are.
            base = dataclasses.replace(base, ema=dataclasses.replace(base.ema, start=0))
    config = tyro.cli(
        TrainingConfig, default=base, args=words, prog=f"biggan train {name}", description=preset.description
    )
    given = [word.partition("=")[0] for word in words if word.startswith(("--model.", "--no-model."))]
    if config.init.path is not None and given:
        raise UserError(
            f"{given[0]}: with --init the architecture is that of the file, "
            "and the preset says only how to train; leave the option out"
        )
    return dataclasses.replace(config, run_dir=run_dir)


def _given(words: list[str], *options: str) -> str | None:
    """Find the value of an option before anything is parsed: a run or file that it names decides about defaults."""
    found = None
    for word, following in itertools.pairwise([*words, ""]):
        name, separator, value = word.partition("=")
        if name.replace("_", "-") in options:
            found = value if separator else following
    return found


def _dry_run(config: TrainingConfig) -> int:
    from biggan.data.opening import open_source
    from biggan.data.order.epochs import make_order
    from biggan.training.continuing import refuse_another_run, refuse_forgotten_step
    from biggan.training.own_step import load_own_step
    from biggan.training.pretraining import check_pretraining
    from biggan.training.resolving import check_names, resolve, summary
    from biggan.training.starting.beginning import begin, describe, plan_beginning

    stored = RunDirectory(Path(str(config.run_dir))).stored_run()
    refuse_forgotten_step(stored, config)
    config, beginning = begin(config, stored)
    if config.step:
        load_own_step(config.step)
    check_names(config, None)
    source = open_source(config.data, config.resolution or config.model.resolution) if config.data.path else None
    check_names(config, source)
    ranks = launch.announced_world_size()
    resolved = resolve(config, source, ranks)
    check_pretraining(resolved)
    if stored is not None:
        refuse_another_run(stored.config, dataclasses.replace(resolved, run_dir=stored.config.run_dir))
    if source is not None:
        make_order(source, config.data, config.seed)
    if launch.announced_rank() == 0:
        say(summary(resolved, ranks))
        if beginning is not None and source is not None:
            record = plan_beginning(beginning, resolved, source)
            say("\n".join(describe(record, beginning, resolved, source)))
        if source is None:
            say("data: none given; classes and channels are the preset's")
    return 0


def _overview() -> str:
    lines = "\n".join(f"  {name:32} {get_preset(name).title}" for name in PRESETS)
    return f"usage: biggan train PRESET [OPTIONS]\n\npresets:\n{lines}\n"
