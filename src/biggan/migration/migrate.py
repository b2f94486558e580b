"""A command of BigGAN-PyTorch in, ours out. Nothing that is given is ever run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from biggan.migration.command_line import Foreign, read, shell_script
from biggan.migration.sampling import UNNAMED, asks_for_nothing, moments_words, pack_words, sample_words
from biggan.migration.table import SCRIPTS, options
from biggan.migration.training import micro_batch_is_a_guess, train_words


@dataclass(frozen=True)
class Migrated:
    """What does the same here."""

    commands: tuple[tuple[str, ...], ...]
    """Words of each command."""
    remarks: tuple[str, ...]
    """What has no counterpart, or is not quite the same; one line each."""


def migrate(words: Sequence[str]) -> Migrated:
    """Return our commands for one of BigGAN-PyTorch's.

    Args:
        words: of its command line, as :func:`~biggan.migration.command_line.split` gives them.

    Raises:
        UserError: it is none of its command lines, or its program would not accept these options.
    """
    script = shell_script(words)
    if script is not None and not any(word.endswith(SCRIPTS) for word in words):
        name, ours = script
        if not ours.startswith("biggan train "):
            return Migrated((), (f"{name}: {ours}",))
        return Migrated(((*ours.split(), "--data", "data/ILSVRC128.hdf5" if "cifar" not in name else "cifar10"),), ())
    foreign = read(words)
    commands = {
        "train.py": lambda: [train_words(foreign)],
        "sample.py": lambda: sample_words(foreign),
        "make_hdf5.py": lambda: [pack_words(foreign)],
        "calculate_inception_moments.py": lambda: [moments_words(foreign)],
    }[foreign.script]()
    return Migrated(tuple(map(tuple, commands)), (*_without(foreign), *_special(foreign), *foreign.remarks))


def _without(foreign: Foreign) -> list[str]:
    """Return a line for each option that was given and has no counterpart."""
    return [
        f"--{option.name} has no counterpart: {option.note}"
        for option in options(foreign.script)
        if option.name in foreign.given and not option.ours
    ]


def _special(foreign: Foreign) -> list[str]:
    """Return what these values in particular mean."""
    v, found = foreign.values, []
    if foreign.script == "train.py":
        if "num_epochs" not in foreign.given:
            found.append("--num_epochs was not given: the duration is the preset's, not its default of 100 epochs")
        if micro_batch_is_a_guess(foreign):
            found.append(
                "--parallel does not say on how many GPUs, which share batch statistics there: see --micro-batch"
            )
        if not v["shuffle"]:
            found.append("--shuffle was not given: data are always shuffled here")
        if v["z_var"] != 1.0:
            found.append(f"--z_var {v['z_var']:g}: in training z always has deviation 1 here")
        if v["which_train_fn"] != "GAN":
            found.append(f"--which_train_fn {v['which_train_fn']} has no counterpart: --step FILE.py:function is yours")
        if "test_every" in foreign.given:
            found.append('--test_every: evaluation needs the extra metrics (pip install "biggan-torch[metrics]")')
        if v["augment"] and v["dataset"].startswith("C"):
            found.append("--augment: its shift of CIFAR images by up to 4 pixels has no counterpart; mirroring has")
        if v["resume"] or v["load_weights"]:
            found.append("to go on with a run of its own, first: biggan convert WEIGHTS_FOLDER RUN_DIRECTORY")
    if foreign.script == "sample.py":
        if any(UNNAMED in word for words in sample_words(foreign) for word in words):
            found.append(f"{UNNAMED} stands for the name of its folder of weights, which it makes of its options")
        if not v["G_eval_mode"]:
            found.append(
                "--G_eval_mode was not given: it draws by the statistics of each batch, ours by the running ones"
            )
        if asks_for_nothing(foreign):
            found.append("it asks for nothing to be drawn; biggan sheet FILE draws every class")
    return found
