"""Foreign files as their makers write them, from the numbers of the parity cases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biggan.convert.gathering import parameter_names
from tests.conftest import DATA
from tests.parity.case import Case, read_cases

CASES = {case.name: case for case in read_cases(DATA / "parity")}


def case_of(name: str) -> Case:
    """Return a parity case."""
    return CASES[name]


def optimizer(state: Mapping[str, Tensor], first_id: int = 0, seed: int = 0) -> dict[str, Any]:
    """Return Adam's state of a network, as PyTorch stores it; before 1.5 the ids were addresses in memory."""
    generator = torch.Generator().manual_seed(seed)
    names = parameter_names(state)
    ids = [first_id + 48 * place if first_id else place for place in range(len(names))]
    moments = {
        number: {
            "step": 77 if first_id else torch.tensor(77.0),
            "exp_avg": torch.randn(state[name].shape, generator=generator),
            "exp_avg_sq": torch.rand(state[name].shape, generator=generator),
        }
        for number, name in zip(ids, names, strict=True)
    }
    group = {"lr": 5e-5, "betas": (0.0, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False, "params": ids}
    return {"state": moments, "param_groups": [group]}


def biggan_pytorch_folder(
    folder: Path, name: str = "biggan_pytorch/bg32_hier", *, old: bool = False, suffix: str = ""
) -> None:
    """Write the six files of a run of BigGAN-PyTorch; ``old`` as PyTorch before 1.6 serialised."""
    case = case_of(name)
    folder.mkdir(exist_ok=True)
    config = {**case.settings["config"], "batch_size": 8, "num_D_accumulations": 2, "num_D_steps": 2, "ema": True}
    config |= {"G_activation": torch.nn.ReLU(inplace=False), "num_G_accumulations": 2, "ema_start": 0}
    first_id = 139_911_873_420_144 if old else 0
    g, d = case.state("G"), case.state("D")
    files = {
        "G": g,
        "G_ema": {key: value * 0.5 if value.is_floating_point() else value for key, value in g.items()},
        "D": d,
        "G_optim": optimizer(g, first_id, 1),
        "D_optim": optimizer(d, first_id, 2),
        "state_dict": {"itr": 1000, "epoch": 3, "best_IS": 0, "config": config},
    }
    for role, content in files.items():
        torch.save(content, folder / f"{role}{suffix}.pth", _use_new_zipfile_serialization=not old)


def _biggan_pytorch(folder: Path) -> Path:
    biggan_pytorch_folder(folder)
    return folder


def _biggan_pytorch_old(folder: Path) -> Path:
    biggan_pytorch_folder(folder, old=True)
    return folder


def _one_network(folder: Path) -> Path:
    folder.mkdir()
    torch.save(case_of("biggan_pytorch/bg32_hier").state("G"), folder / "G_ema.pth")
    return folder / "G_ema.pth"


def _mmgeneration(folder: Path) -> Path:
    case = case_of("mmgen/biggan64_ajbrock_sn")
    folder.mkdir()
    parts = {"generator": case.state("G"), "generator_ema": case.state("G"), "discriminator": case.state("D")}
    state = {f"{part}.{key}": value for part, of in parts.items() for key, value in of.items()}
    config = "\n".join(
        f"{part}={value!r}," for part, value in case.settings["config"].items() if isinstance(value, dict)
    )
    text = (
        f"dataset_type = 'ImageNet'\nmodel = dict(\n    type='BasiccGAN',\n{config})\ntrain_cfg = dict(use_ema=True)\n"
    )
    both = {part: optimizer(parts[part], seed=3) for part in ("generator", "discriminator")}
    torch.save({"meta": {"iter": 5000, "config": text}, "state_dict": state, "optimizer": both}, folder / "mm.pth")
    return folder / "mm.pth"


def _studiogan(folder: Path) -> Path:
    case = case_of("studiogan/big_resnet32")
    folder.mkdir()
    g, d = case.state("G"), case.state("D")
    contents = {
        "G": {"state_dict": g, "optimizer": optimizer(g)},
        "D": {"state_dict": d, "optimizer": optimizer(d), "step": 100, "best_fid": 3.5},
        "G_ema": {"state_dict": g},
    }
    for role, content in contents.items():
        torch.save(content, folder / f"model={role}-best-weights-step=100.pth")
    return folder


def _huggingface(folder: Path) -> Path:
    case = case_of("hf_pretrained/tiny64")
    folder.mkdir()
    state = {key.removeprefix("state/"): value for key, value in case.arrays.items() if key.startswith("state/")}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(case.settings["config"]))
    return folder


def _tfhub(folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(DATA / "parity" / "tfhub" / "synthetic_128.h5", folder / "biggan-128.h5")
    return folder / "biggan-128.h5"


def compare_gan_variables(name: str = "big64_left_moving") -> dict[str, Any]:
    """Return the variables of a checkpoint by their names, those of its optimizers among them."""
    case = case_of(f"compare_gan/{name}")
    found = {
        key.removeprefix("state/"): value.numpy() for key, value in case.arrays.items() if key.startswith("state/")
    }
    kernel = found["generator/fc_noise/kernel"]
    found |= {"generator/fc_noise/kernel/Adam": kernel * 0, "generator/fc_noise/kernel/Adam_1": kernel * 0}
    return found | {"global_step": np.int64(7), "beta1_power": np.float32(0.5)}


def _compare_gan(folder: Path) -> Path:
    folder.mkdir()
    np.savez(folder / "compare_gan.npz", **compare_gan_variables())
    return folder / "compare_gan.npz"


SOURCES: dict[str, Callable[[Path], Path]] = {
    "biggan-pytorch": _biggan_pytorch,
    "biggan-pytorch of old": _biggan_pytorch_old,
    "one network": _one_network,
    "mmgeneration": _mmgeneration,
    "studiogan": _studiogan,
    "huggingface": _huggingface,
    "tfhub": _tfhub,
    "compare-gan": _compare_gan,
}
"""Writers by what they write; each returns what a user would name."""
