"""What ``train.py`` of BigGAN-PyTorch was told, as a configuration of ours and the words that give it."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from typing import Any

from biggan.foundation.compatibility import BIASED_NORM, HALF_ORTHOGONAL, OUTPUT_NORM_EPS
from biggan.foundation.durations import format_images
from biggan.foundation.errors import UserError
from biggan.migration.command_line import Foreign
from biggan.presets.registry import PRESETS, get_preset
from biggan.training.configuration import TrainingConfig

IMAGES = {"I": 1_281_167, "C": 50_000}
"""Training images of its data sets, by their first letter."""
USUAL_DEVICES = 8
"""GPUs of its README."""
_INITS = {"ortho": "orthogonal", "N02": "normal", "xavier": "xavier", "glorot": "xavier"}
_NORMS = {"bn": "batch", "in": "instance", "gn": "group", "ln": "layer", "nonorm": "none"}
_MODELS = {"BigGAN": "biggan", "BigGANdeep": "biggan-deep"}
_CLOCKS = ("duration", "ema.start", "checkpoint.every", "evaluation.every")
"""What is written in images."""


def dataset(values: Mapping[str, Any]) -> tuple[str, int]:
    """Return where its data are, as ``--data`` takes them, and the side of the images.

    Raises:
        UserError: it knows no such data set.
    """
    name = values["dataset"]
    if name in ("C10", "C100"):
        return f"cifar{name[1:]}", 32
    side = next((s for s in (32, 64, 128, 256) if name in (f"I{s}", f"I{s}_hdf5")), None)
    if side is None:
        raise UserError(
            f"--dataset {name}: it knows C10, C100, I32, I64, I128, I256 and these with _hdf5 behind; "
            "for images of your own give --data PATH to biggan train"
        )
    root = f"{values['base_root']}/data" if values.get("base_root") else values["data_root"]
    return f"{root}/ILSVRC{side}.hdf5" if name.endswith("_hdf5") else f"{root}/ImageNet", side


def run_name(values: Mapping[str, Any]) -> str | None:
    """Return what it was told to call the run, if it was."""
    return values["experiment_name"] or values["name_suffix"] or None


def train_words(foreign: Foreign) -> list[str]:
    """Return the words of ``biggan train``: the nearest preset, and what is not as in it.

    Raises:
        UserError: a value that its own program would not take.
    """
    wanted = _wanted(foreign)
    micro = foreign.values["batch_size"] // (foreign.devices or USUAL_DEVICES)

    def distance(name: str) -> tuple[int, int]:
        config = get_preset(name).build()
        changed = [path for path, value in wanted.items() if _get(config, path) != value]
        return len(changed) + 100 * ("model.family" in changed), abs((config.micro_batch or 0) - micro)

    name = min((name for name in PRESETS if name.startswith("biggan-pytorch-")), key=distance)
    preset = get_preset(name).build()
    path, side = dataset(foreign.values)
    words = ["biggan", "train", name, "--data", path]
    if preset.model.resolution != (side, side):
        words += ["--resolution", str(side)]
    changed = {key: value for key, value in wanted.items() if _get(preset, key) != value}
    changed |= _micro_batch(foreign, preset)
    for key, value in changed.items():
        words += _written(key, value)
    called = run_name(foreign.values)
    return words + (["--run-dir", f"runs/{called}"] if called else [])


def _wanted(foreign: Foreign) -> dict[str, Any]:
    """Return what is asked for, by the places of our configuration."""
    v, given = foreign.values, foreign.given
    batch = v["batch_size"] * v["num_D_accumulations"]
    iteration = batch * v["num_D_steps"]
    generator_batch = max(v["G_batch_size"], v["batch_size"]) * v["num_G_accumulations"]
    deep = _choice("model", v, _MODELS) == "biggan-deep"
    _, side = dataset(v)
    wanted: dict[str, Any] = {
        "model.family": _choice("model", v, _MODELS),
        "model.generator_width": v["G_ch"],
        "model.discriminator_width": v["D_ch"],
        "model.latent_size": v["dim_z"],
        "model.shared_embedding": (v["shared_dim"] or v["dim_z"]) if v["G_shared"] else 0,
        "model.hierarchical_latent": v["hier"],
        "model.generator_attention": _attention(v["G_attn"], [side >> k for k in range(side.bit_length() - 3)]),
        "model.discriminator_attention": _attention_of_d(v["D_attn"], side),
        "model.wide_discriminator": not v["D_thin"],
        "model.normalization": _choice("norm_style", v, _NORMS),
        "model.generator_init": _choice("G_init", v, _INITS),
        "model.discriminator_init": _choice("D_init", v, _INITS),
        "model.norm_eps": v["BN_eps"],
        "batch": batch,
        "discriminator_steps": v["num_D_steps"],
        "split_discriminator_pass": v["split_D"],
        "seed": v["seed"],
        "ema.enabled": v["ema"],
        "checkpoint.every": v["save_every"] * iteration,
        "checkpoint.keep_last": max(v["num_save_copies"], 1),
        "checkpoint.keep_best": v["num_best_copies"],
        "generator_orthogonal": v["G_ortho"],
        "discriminator_orthogonal": v["D_ortho"],
    }
    if deep:
        wanted |= {"model.generator_depth": v["G_depth"], "model.discriminator_depth": v["D_depth"]}
    if generator_batch != batch:
        wanted["generator_batch"] = generator_batch
    if v["ema"]:
        wanted |= {"ema.decay": v["ema_decay"], "ema.start": v["ema_start"] * iteration}
    for letter, network in (("G", "generator"), ("D", "discriminator")):
        wanted |= {
            f"{network}_adam.learning_rate": v[f"{letter}_lr"],
            f"{network}_adam.beta1": v[f"{letter}_B1"],
            f"{network}_adam.beta2": v[f"{letter}_B2"],
            f"{network}_adam.eps": v["adam_eps"],
            f"model.{network}_spectral_norm.enabled": v[f"{letter}_param"] == "SN",
            f"model.{network}_spectral_norm.eps": v["SN_eps"],
            f"model.{network}_spectral_norm.singular_values": v[f"num_{letter}_SVs"],
            f"model.{network}_spectral_norm.iterations": v[f"num_{letter}_SV_itrs"],
        }
    wanted["model.compatibility"] = tuple(
        switch for switch, on in ((OUTPUT_NORM_EPS, v["BN_eps"] != 1e-5), (BIASED_NORM, v["mybn"])) if on
    )
    wanted["compatibility"] = (HALF_ORTHOGONAL,) if v["G_ortho"] or v["D_ortho"] else ()
    if any(v[name] for name in ("G_fp16", "D_fp16", "G_mixed_precision", "D_mixed_precision")):
        wanted["precision"] = "float16"
    if "num_epochs" in given:
        wanted["duration"] = v["num_epochs"] * IMAGES[v["dataset"][0]]
    return wanted | _data(v, given) | _evaluation(v, given, iteration)


def _data(v: Mapping[str, Any], given: frozenset[str]) -> dict[str, Any]:
    """Return how images are read: an HDF5 file of its is what it is."""
    if v["dataset"].endswith("_hdf5"):
        return {}
    wanted: dict[str, Any] = {"data.flip": v["augment"]}
    if v["dataset"].startswith("I"):
        wanted |= {"data.filter": "bilinear", "data.crop": "random" if v["augment"] else "center"}
        if "num_workers" in given:
            wanted["data.workers"] = v["num_workers"]
    return wanted


def _evaluation(v: Mapping[str, Any], given: frozenset[str], iteration: int) -> dict[str, Any]:
    """Return how it is evaluated while it trains, where that was asked for."""
    if "test_every" not in given:
        return {}
    best = _choice("which_best", v, {"IS": "is", "FID": "fid"})
    mode = "standing" if v["accumulate_stats"] else "running" if v["G_eval_mode"] else "batch"
    wanted = {
        "evaluation.every": v["test_every"] * iteration,
        "evaluation.metrics": ("is",) if v["no_fid"] else ("is", "fid"),
        "evaluation.best_by": best,
        "evaluation.count": v["num_inception_images"],
        "evaluation.generator_mode": mode,
    }
    return wanted | ({"evaluation.standing_batches": v["num_standing_accumulations"]} if mode == "standing" else {})


def _micro_batch(foreign: Foreign, preset: TrainingConfig) -> dict[str, Any]:
    """Return what shares batch statistics: batch_size over its GPUs, or all of it where they tell each other."""
    v = foreign.values
    if not v["parallel"] or v["cross_replica"]:
        micro = v["batch_size"]
    elif foreign.devices:
        micro = max(v["batch_size"] // foreign.devices, 1)
    else:
        same = preset.batch == v["batch_size"] * v["num_D_accumulations"]
        micro = preset.micro_batch if same else max(v["batch_size"] // USUAL_DEVICES, 1)
    return {} if micro == preset.micro_batch else {"micro_batch": micro}


def micro_batch_is_a_guess(foreign: Foreign) -> bool:
    """Tell whether the number of GPUs, and with it the micro-batch, was not said."""
    return bool(foreign.values["parallel"] and not foreign.values["cross_replica"] and foreign.devices is None)


def _attention(text: str, sides: list[int]) -> tuple[str, ...]:
    """Return the stages with attention; sizes that the network does not have are passed over there."""
    return tuple(str(side) for side in sorted(sides) if str(side) in text.split("_"))


def _attention_of_d(text: str, side: int) -> tuple[str, ...]:
    if side == 32:  # where it calls the outputs of all four stages 16
        return tuple(f"stage:{number}" for number in range(4)) if "16" in text.split("_") else ()
    return _attention(text, [side >> k for k in range(1, side.bit_length() - 2)])


def _choice(name: str, values: Mapping[str, Any], known: Mapping[str, str]) -> str:
    if values[name] in known:
        return known[values[name]]
    raise UserError(f"--{name} {values[name]}: it knows {', '.join(known)}")


def _get(config: TrainingConfig, path: str) -> Any:
    return functools.reduce(lambda part, name: operator.attrgetter(name)(part), path.split("."), config)


def _written(path: str, value: Any) -> list[str]:
    *rooms, name = path.replace("_", "-").split(".")
    prefix = "".join(f"{room}." for room in rooms)
    if isinstance(value, bool):
        return [f"--{prefix}{name}" if value else f"--{prefix}no-{name}"]
    if isinstance(value, tuple):
        return [f"--{prefix}{name}", *value]
    if path in _CLOCKS:
        return [f"--{prefix}{name}", format_images(value)]
    return [f"--{prefix}{name}", f"{value:g}" if isinstance(value, float) else str(value)]
