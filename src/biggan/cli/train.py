"""``biggan train --data FOLDER``, and ``biggan train PRESET``."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from biggan.cli.automatic import AUTO, choose_for, hours_of, place_of, refuse_other_images
from biggan.cli.parsing import read_options
from biggan.cli.train_help import short_help
from biggan.cli.words import given, refuse_repeated, value_of, without
from biggan.foundation import launch
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line, outliving_readers, say, typed
from biggan.presets.following import follow
from biggan.presets.registry import PRESETS, get_preset
from biggan.training.configuration import TrainingConfig
from biggan.training.run_directory import RunDirectory, StoredRun

HELP, ALL = ("-h", "--help"), "--help-all"


def main(words: list[str]) -> int:
    """Train, or print what would be trained."""
    if not words or any(word in (*HELP, ALL) for word in words):
        return _help(words)
    if words == ["--terms", "help"]:
        return _terms()
    refuse_repeated(words, TrainingConfig)
    name, words = _recipe(words)
    if "help" in _values(words, "--terms"):
        return _terms()
    run_dir = place_of(words) if name == AUTO else value_of(words, "--run-dir") or str(Path("runs") / name)
    config = parse(name, words, run_dir)
    if config.dry_run:
        return _dry_run(config, name)
    from biggan.training.rollback import STATUS
    from biggan.training.setup import train

    with outliving_readers():
        outcome = train(config, name)
    if outcome.collapsed:
        return STATUS
    return 128 + outcome.signal if outcome.signal else 0


def _recipe(words: list[str]) -> tuple[str, list[str]]:
    """Return the name of the recipe and the options: named, that of the run in --run-dir, or auto where images are.

    Raises:
        UserError: none of these.
    """
    if not words[0].startswith("-"):
        if words[0] != AUTO and words[0] not in PRESETS and Path(words[0]).exists():
            raise UserError(
                f"'{one_line(words[0])}' is no preset, but something lies there. To train on it: biggan train --data "
                f"{typed(words[0])}; to go on with a run: biggan train --run-dir {typed(words[0])}"
            )
        return (AUTO if words[0] == AUTO else get_preset(words[0]).name), words[1:]
    run_dir = value_of(words, "--run-dir")
    stored = None if run_dir is None else RunDirectory(Path(run_dir)).stored_run()
    if stored is not None and (stored.preset == AUTO or stored.preset in PRESETS):
        return stored.preset, words
    if value_of(words, "--data", "--data.path") is not None:
        return AUTO, words
    read_options(TrainingConfig, without(words, "--hours"), "biggan train PRESET")  # tells a misspelt option first
    raise UserError(
        f"name a preset first: biggan train PRESET {typed(*words)}\n"
        "or say where your images are, and all is chosen by them: biggan train --data FOLDER\n"
        f"biggan presets lists all {len(PRESETS)} with hardware, time and figure"
    )


def _values(words: list[str], option: str) -> list[str]:
    """Return the values behind an option that takes several."""
    found, inside = [], False
    for word in words:
        if word.startswith(f"{option}="):
            found.append(word.partition("=")[2])
        inside = word == option or (inside and not word.startswith("--"))
        found += [word] if inside else []
    return found


def _help(words: list[str]) -> int:
    """Print the options that most people need, or all of them, of a preset or in general."""
    named = [word for word in words[:1] if not word.startswith("-") and word != AUTO]
    preset = get_preset(named[0]) if named else None
    if ALL in words:
        default = TrainingConfig() if preset is None else preset.build()
        description = "" if preset is None else preset.description
        read_options(
            TrainingConfig,
            ["--help"],
            f"biggan train {(named or ['PRESET'])[0]}",
            default=default,
            description=description,
        )
    say(short_help(preset))
    return 0 if words else 2


def _terms() -> int:
    """Say which terms there are."""
    from biggan.losses.terms import listing

    say(listing())
    return 0


def parse(name: str, words: list[str], run_dir: str) -> TrainingConfig:
    """Return the configuration that ``words`` mean.

    What is not given comes from the run that lies in the run directory, so that the same command (or one with fewer
    options) continues it as it was; without a run, from the preset, or from what ``auto`` chooses.
    """
    stored = RunDirectory(Path(run_dir)).stored_run()
    if stored is not None and stored.preset == name:  # another preset is refused when the run is set up
        refuse_other_images(words, stored.config.data.path, run_dir)
        return _parsed(name, _without_hours(words, stored), _going_on(stored), run_dir)
    if name == AUTO:
        if stored is not None:
            raise UserError(
                f"--run-dir {run_dir}: the run in it was started from the preset '{one_line(stored.preset)}'; go on "
                f"with biggan train --run-dir {run_dir}, or choose another --run-dir for these images"
            )
        return choose_for(words, run_dir)
    if hours_of(words) is not None:
        raise UserError(
            "--hours: auto alone measures how fast it trains; leave out the preset, or give --duration in images"
        )
    base = preset = get_preset(name).build()
    if stored is None and value_of(words, "--init", "--init.path") is not None:
        # A preset's average starts late because new generators are no good at first; these are.
        base = dataclasses.replace(base, ema=dataclasses.replace(base.ema, start=0))
    return follow(_parsed(name, words, base, run_dir), preset, given(words))


def _parsed(name: str, words: list[str], base: TrainingConfig, run_dir: str) -> TrainingConfig:
    """Return ``base`` with the options."""
    config = read_options(TrainingConfig, words, f"biggan train {name}", default=base)
    of_model = [word.partition("=")[0] for word in words if word.startswith(("--model.", "--no-model."))]
    if config.init.path is not None and of_model:
        raise UserError(
            f"{of_model[0]}: with --init the architecture is that of the file, "
            "and the preset says only how to train; leave the option out"
        )
    return dataclasses.replace(config, run_dir=run_dir)


def _going_on(stored: StoredRun) -> TrainingConfig:
    """Return the configuration of a run that goes on."""
    # A check is asked for once, not for ever, unless what it found was left out: then it must be again.
    data = dataclasses.replace(stored.config.data, check=stored.config.data.check and stored.config.data.skip_corrupt)
    # Code is never taken from a run directory: a step of one's own must be given again.
    return dataclasses.replace(stored.config, dry_run=False, data=data, step=None)


def _without_hours(words: list[str], stored: StoredRun) -> list[str]:
    """Return the options without ``--hours``, which decided about the length of the run when it was new."""
    if hours_of(words) is not None:
        say(
            f"--hours: this run has its length since it began, {stored.config.duration:,} images; --duration makes it "
            "longer"
        )
    return without(words, "--hours")


def _dry_run(config: TrainingConfig, name: str) -> int:
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
        # auto has just said what it chose, and what would print it all: hundreds of lines would push that out of sight.
        say(summary(resolved, ranks, whole=name != AUTO or stored is not None))
        if beginning is not None and source is not None:
            record = plan_beginning(beginning, resolved, source)
            say("\n".join(describe(record, beginning, resolved, source)))
        if source is None:
            say("data: none given; classes and channels are the preset's")
    return 0
