"""What ``sample.py`` and the data programs of BigGAN-PyTorch were told, as commands of ours."""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.migration.command_line import Foreign
from biggan.migration.training import dataset, run_name

UNNAMED = "EXPERIMENT"
"""Stands for the name that it makes of its options."""
MOST_STEPS = 1000


def sample_words(foreign: Foreign) -> list[list[str]]:
    """Return the commands: its weights converted once, then each thing that it was asked for.

    Raises:
        UserError: a range of truncations that is none.
    """
    v = foreign.values
    name = run_name(v) or UNNAMED
    file = f"{name}.safetensors"
    folder = f"{v['base_root']}/weights" if v["base_root"] else v["weights_root"]
    out = f"{v['base_root']}/samples" if v["base_root"] else v["samples_root"]
    if v["ema"] and v["use_ema"]:
        chosen = ["--name", v["load_weights"]] if v["load_weights"] else []
        commands = [["convert", f"{folder}/{name}", file, *chosen]]
    else:
        suffix = f"_{v['load_weights']}" if v["load_weights"] else ""
        commands = [["convert", f"{folder}/{name}/G{suffix}.pth", file]]
    scaled = [] if v["z_var"] == 1.0 else ["--truncation", f"{v['z_var']:g}", "--truncation-kind", "scale"]
    batch = max(v["G_batch_size"], v["batch_size"])
    standing = ["--standing-statistics", str(v["num_standing_accumulations"])] if v["accumulate_stats"] else []
    drawn = [*scaled, *standing, "--batch", str(batch)]
    if v["sample_npz"]:
        count = ["--count", str(v["sample_num_npz"])]
        commands.append(["sample", file, "--out", f"{out}/{name}/npz", "--format", "npz", *count, *drawn])
    if v["sample_sheets"]:
        commands.append(["sheet", file, "--out", f"{out}/{name}/sheet.png", "--columns", "10", *scaled])
    if v["sample_interps"]:
        for fixed in ("none", "z", "class"):
            picture = f"{out}/{name}/interpolation_{fixed}.png"
            commands.append(["interpolate", file, "--out", picture, "--fix", fixed])
    if v["sample_random"]:
        count = ["--count", str(batch)]
        commands.append(["sample", file, "--out", f"{out}/{name}/random", "--format", "grid", *count, *drawn])
    data = ["--data", dataset(v)[0]]
    measured = ["--metrics", "is"] if v["no_fid"] else ["--metrics", "is", "fid"]
    measured += ["--count", str(v["num_inception_images"]), *_statistics(foreign)]
    if v["sample_inception_metrics"]:
        commands.append(["evaluate", file, *data, *measured, *scaled])
    if v["sample_trunc_curves"]:
        steps = ["--truncations", *_range(v["sample_trunc_curves"]), "--truncation-kind", "scale"]
        commands.append(["evaluate", "truncation", file, *data, *measured, *steps])
    return [["biggan", *command] for command in commands]


def asks_for_nothing(foreign: Foreign) -> bool:
    """Tell whether ``sample.py`` would load weights and draw nothing."""
    asked = ("npz", "sheets", "interps", "random", "trunc_curves", "inception_metrics")
    return not any(foreign.values[f"sample_{what}"] for what in asked)


def pack_words(foreign: Foreign) -> list[str]:
    """Return the command that packs what ``make_hdf5.py`` would."""
    v = foreign.values
    path, side = dataset(v | {"dataset": v["dataset"].removesuffix("_hdf5")})
    words = ["biggan", "data", "prepare", path, f"{v['data_root']}/ILSVRC{side}.hdf5", "--resolution", str(side)]
    return words + (["--filter", "bilinear"] if not path.startswith("cifar") else [])


def moments_words(foreign: Foreign) -> list[str]:
    """Return the command that computes what ``calculate_inception_moments.py`` would."""
    v = foreign.values
    path, side = dataset(v)
    name = v["dataset"].removesuffix("_hdf5")
    words = ["biggan", "evaluate", "reference", "--data", path, "--resolution", str(side)]
    words += ["--features", "inception-torchvision", "--batch", str(v["batch_size"])]
    return [*words, "--out", f"{name}_inception_moments.npz"]


def _statistics(foreign: Foreign) -> list[str]:
    v = foreign.values
    if v["accumulate_stats"]:
        return ["--generator-mode", "standing", "--standing-batches", str(v["num_standing_accumulations"])]
    return [] if v["G_eval_mode"] else ["--generator-mode", "batch"]


def _range(text: str) -> list[str]:
    """Return the numbers that START_STEP_END means, its end among them."""
    try:
        start, step, end = (float(number) for number in text.split("_"))
        count = int((end - start) / step + 1.5)
    except (ValueError, ZeroDivisionError, OverflowError):
        count = 0
    if not 1 <= count <= MOST_STEPS:
        raise UserError(f"--sample_trunc_curves {text}: it wants START_STEP_END, such as 0.05_0.05_1.0")
    return [f"{round(start + number * step, 10):g}" for number in range(count)]
