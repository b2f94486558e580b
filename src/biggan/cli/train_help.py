"""The help of ``biggan train`` that fits two screens."""

from __future__ import annotations

import shutil
import textwrap

from biggan.presets.registry import PRESETS, Preset

WIDEST, NARROWEST = 118, 60
"""Columns that lines are wrapped at, at most and at least; between them those of the terminal."""
_LEAST_BESIDE = 30
"""Columns that what an option does takes beside its name; where fewer are left it stands below."""
SECTIONS: dict[str, dict[str, str]] = {
    "what to train on": {
        "--data PATH": "folder (sub-folders are classes), CSV, JSON, zip, HDF5, npz, shards, hf:NAME",
        "--resolution R|HxW": "128 or 256x64 (height x width); attention follows it",
        "--data.flip": "mirror half of the images, anew at each access",
        "--data.crop": "center, top, random, none (squeeze) or pad",
        "--data.holdout PART": "keep a part of each class away, to see overfitting",
        "--data.skip-corrupt": "leave corrupt images out, in place of stopping",
        "--data.classes NAME ...": "keep these classes only",
        "--data.label-sampling": "how often classes are shown: data, uniform or sqrt",
    },
    "how long, and where": {
        "--hours H": "length by the measured speed (auto alone)",
        "--duration IMAGES": "length in images: 96, 10k, 1.5M, 20Mi",
        "--run-dir DIR": "where the run lives; alone, it goes on with that run",
        "--device": "auto, cpu, cuda or mps",
        "--seed N": "of weights, order of the data and every draw",
        "--dry-run": "print what would be done, and the memory it takes",
        "--init RUN_OR_FILE": "begin from weights that exist; classes match by name",
    },
    "how": {
        "--batch N": "real images a step of D, over all ranks",
        "--micro-batch N|auto": "images at once; auto tries how many fit",
        "--discriminator-steps N": "steps of D for each of G",
        "--generator-adam.learning-rate X": "rate of G, or FROM..TO:BEGIN..END in images",
        "--discriminator-adam.learning-rate X": "the same of D",
        "--loss": "hinge, softplus, least-squares, wasserstein ...",
        "--terms TERM ...": "diffaugment, lecam, r1,weight=0.1 ...; help lists all",
        "--on-collapse": "warn, stop or rollback",
        "--ema.half-life IMAGES": "of the moving average of G",
        "--precision": "float32, tf32, bfloat16 or float16",
        "--compile": "auto, on or off: torch.compile, on CUDA by default",
        "--recompute NETWORK ...": "generator, discriminator: less memory, more time",
    },
    "networks": {
        "--model.family": "biggan, biggan-deep, sagan, sngan or r3gan",
        "--model.generator-width N": "channel multiplier of G",
        "--model.discriminator-width N": "channel multiplier of D",
        "--model.generator-attention S ...": "self-attention of G at these sizes",
        "--model.discriminator-attention S ...": "the same of D",
    },
    "what is written": {
        "--log.samples-every IMAGES": "interval of sample sheets",
        "--log.first-samples IMAGES": "the first sheet comes here",
        "--checkpoint.every IMAGES": "interval of checkpoints",
        "--health.every IMAGES": "interval of looks at the networks' health",
        "--evaluation.every IMAGES": "interval of measurements",
    },
}
"""Options by what they are about, each with a line."""
_CALLS = {
    "usage: biggan train --data FOLDER [OPTIONS]": "all is chosen, with reasons",
    "       biggan train PRESET [OPTIONS]": "a recipe; see biggan presets",
    "       biggan train --run-dir RUN [OPTIONS]": "go on with a run",
}
_SHOWN = ("digits", "biggan-pytorch-cifar10", "biggan-pytorch-bs256x8", "biggan-256", "biggan-deep-128")
"""Presets that stand for all: as many lines as there are of them are no help."""


def short_help(preset: Preset | None = None) -> str:
    """Return the options that most people need, in some 60 lines where the terminal has 80 columns or more."""
    columns = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    if preset is None:
        lines = []
        for call, what in _CALLS.items():
            lines += _row(call, what, max(map(len, _CALLS)) + 3, columns)
        presets = f"presets: {', '.join(_SHOWN)} ...; biggan presets lists all {len(PRESETS)}"
        lines += ["", *textwrap.wrap(presets, columns, subsequent_indent="  ", break_on_hyphens=False)]
    else:
        lines = [f"usage: biggan train {preset.name} [OPTIONS]", ""]
        for paragraph in preset.description.split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), columns), ""]
        lines.pop()
    for title, options in SECTIONS.items():
        wide = max(map(len, options))
        lines += ["", f"{title}:"]
        for option, what in options.items():
            lines += _row(f"  {option}", what, wide + 4, columns)
    return "\n".join([*lines, "", "--help-all lists every option."])


def _row(name: str, what: str, indent: int, columns: int) -> list[str]:
    """Return the lines that say what a name means: beside it from column ``indent`` on, or below it."""
    if columns - indent < _LEAST_BESIDE:
        below = " " * 8
        return [
            name,
            *textwrap.wrap(what, columns, initial_indent=below, subsequent_indent=below, break_on_hyphens=False),
        ]
    return textwrap.wrap(f"{name:{indent}}{what}", columns, subsequent_indent=" " * indent, break_on_hyphens=False)
