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
        "--data PATH": "folder (a class is a sub-folder), CSV or JSON of labels, zip, HDF5, npz, shards, hf:NAME",
        "--resolution R|HxW": "size of the images, 128 or 256x64 (height x width); attention follows it",
        "--data.flip": "mirror half of the images, chosen anew at each access",
        "--data.crop": "how images of another aspect are fitted: center, top, random, none (squeeze) or pad",
        "--data.holdout PART": "keep a part of each class out of training, to see whether D knows the rest by heart",
        "--data.skip-corrupt": "leave corrupt images out, with a report, instead of stopping",
        "--data.classes NAME ...": "keep these classes only",
        "--data.label-sampling": "how often real images of a class are shown: data, uniform or sqrt",
    },
    "how long, and where": {
        "--hours H": "length in hours, by the measured speed (auto alone)",
        "--duration IMAGES": "length in images: 96, 10k, 1.5M, 20Mi",
        "--run-dir DIR": "where the run lives; given alone, it goes on with the run in it",
        "--device": "auto, cpu, cuda or mps",
        "--seed N": "of weights, order of the data and every draw",
        "--dry-run": "print the resolved configuration, parameters, batches and memory, and stop",
        "--init RUN_OR_FILE": "begin from weights that exist; their architecture is taken, classes are matched by name",
    },
    "how": {
        "--batch N": "real images for each step of D, over all ranks; the micro-batch follows it",
        "--micro-batch N|auto": "images a rank handles at once; auto tries which is the largest that fits",
        "--discriminator-steps N": "steps of D for each of G",
        "--generator-adam.learning-rate X": "rate of G; a number, or FROM..TO:BEGIN..END in images",
        "--discriminator-adam.learning-rate X": "rate of D",
        "--loss": "hinge, softplus, least-squares, wasserstein, relativistic or multi-hinge",
        "--terms TERM ...": "what is added to it: diffaugment, lecam, r1,weight=0.1 ...; help lists all",
        "--on-collapse": "warn, stop or rollback: what happens when the networks collapse",
        "--ema.half-life IMAGES": "of the moving average of G",
        "--precision": "float32, tf32, bfloat16 or float16",
        "--compile": "auto, on or off: torch.compile, on CUDA by default",
        "--recompute NETWORK ...": "generator, discriminator: less memory, more time",
    },
    "networks": {
        "--model.family": "biggan, biggan-deep, sagan, sngan or r3gan",
        "--model.generator-width N": "channel multiplier of G",
        "--model.discriminator-width N": "channel multiplier of D",
        "--model.generator-attention S ...": "self-attention of G after these stages, by their size; empty for none",
        "--model.discriminator-attention S ...": "the same of D",
    },
    "what is written": {
        "--log.samples-every IMAGES": "interval of sample sheets",
        "--log.first-samples IMAGES": "the first sheet comes here, later ones rarer and rarer",
        "--checkpoint.every IMAGES": "interval of checkpoints",
        "--health.every IMAGES": "interval of looks at the health of the networks, 0 for none",
        "--evaluation.every IMAGES": "interval of measurements (--evaluation.metrics, --evaluation.features)",
    },
}
"""Options by what they are about, each with a line."""
_CALLS = {
    "usage: biggan train --data FOLDER [OPTIONS]": "all is chosen by your images and this machine, with reasons",
    "       biggan train PRESET [OPTIONS]": "a recipe; biggan presets tells more of each",
    "       biggan train --run-dir RUN [OPTIONS]": "go on with a run",
}


def short_help(preset: Preset | None = None) -> str:
    """Return the options that most people need, in fewer than a hundred lines where the terminal has 120 columns."""
    columns = min(max(shutil.get_terminal_size((WIDEST, 24)).columns, NARROWEST), WIDEST)
    if preset is None:
        lines = []
        for call, what in _CALLS.items():
            lines += _row(call, what, max(map(len, _CALLS)) + 3, columns)
        presets = f"presets: {', '.join(PRESETS)}"
        lines += ["", *textwrap.wrap(presets, columns, subsequent_indent="  ", break_on_hyphens=False)]
    else:
        lines = [f"usage: biggan train {preset.name} [OPTIONS]", ""]
        for paragraph in preset.description.split("\n\n"):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), columns), ""]
        lines.pop()
    wide = max(len(option) for options in SECTIONS.values() for option in options)
    for title, options in SECTIONS.items():
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
