"""A run of BigGAN-PyTorch, its files converted by the command, and the next iteration by the package's own step."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from biggan.cli.main import main
from biggan.convert.biggan_pytorch import discriminator, generator
from biggan.convert.facts import Facts
from biggan.losses.adversarial import Hinge
from biggan.training.assembly import make_engine, make_state
from biggan.training.batches import plan
from biggan.training.checkpoint import CheckpointStore, restore
from biggan.training.configuration import TrainingConfig
from biggan.training.own_step import OwnStep
from biggan.training.run_directory import RunDirectory
from biggan.training.state import TrainState
from biggan.training.step import (
    DiscriminatorBatch,
    GeneratorBatch,
    Objective,
    StepInputs,
    judge_together,
    train_step,
)
from tests.parity.case import Case
from tests.parity.comparison import Comparison, tolerance

CPU = torch.device("cpu")


def run(case: Case, comparison: Comparison) -> None:
    """Write the files, convert them, make the step in float64, compare everything."""
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder) / "theirs", Path(folder) / "ours"
        write_files(case, theirs, old=False)
        if main(["convert", str(theirs), str(ours)]) != 0:
            raise ValueError("the run could not be converted")
        config, state = load(ours)
    compare(case, comparison, state, step(case, config, state))


def write_files(case: Case, folder: Path, *, old: bool) -> None:
    """Write the six files as the reference does, or as it did under PyTorch before 1.5 (``old``)."""
    folder.mkdir()
    files = {name: part(case, f"file/{name}/") for name in ("G", "G_ema", "D")}
    config = case.settings["config"] | {"G_activation": torch.nn.ReLU(inplace=True)}
    contents: dict[str, Any] = dict(files) | {"state_dict": {"itr": case.settings["itr"], "config": config}}
    for network in ("G", "D"):
        moments = part(case, f"file/{network}_optim/")
        names = list(dict.fromkeys(key.rpartition("/")[0] for key in moments))
        order = [key for key in files[network] if key in names]
        ids = [(2**47 + 64 * place) if old else place for place in range(len(order))]
        count = case.settings["optimizer_steps"][network]
        states = {
            number: {
                "step": int(count) if old else torch.tensor(count),
                "exp_avg": moments[f"{key}/exp_avg"],
                "exp_avg_sq": moments[f"{key}/exp_avg_sq"],
            }
            for number, key in zip(ids, order, strict=True)
        }
        group = {
            "lr": config[f"{network}_lr"],
            "betas": (config[f"{network}_B1"], config[f"{network}_B2"]),
            "eps": config["adam_eps"],
            "weight_decay": 0,
            "amsgrad": False,
            "params": ids,
        }
        contents[f"{network}_optim"] = {"state": states, "param_groups": [group]}
    for name, content in contents.items():
        torch.save(content, folder / f"{name}.pth", _use_new_zipfile_serialization=not old)


def part(case: Case, prefix: str) -> dict[str, Tensor]:
    """Return the arrays under ``prefix``, in the order of the reference's modules."""
    found = {key.removeprefix(prefix): value for key, value in case.arrays.items() if key.startswith(prefix)}
    order = case.settings["orders"].get(prefix.split("/")[1]) if prefix.startswith("file/") else None
    return found if order is None else {key: found[key] for key in order}


def load(folder: Path) -> tuple[TrainingConfig, TrainState]:
    """Return what a run directory goes on with, in float64."""
    stored = RunDirectory(folder).stored_run()
    newest = CheckpointStore(folder, stored.config.checkpoint).newest() if stored is not None else None
    if stored is None or newest is None:
        raise ValueError("there is nothing to go on from")
    state = make_state(stored.config, CPU, OwnStep(train_step, None))
    restore(newest, state)
    for network in (*state.networks.values(), state.average.network):
        if network is not None:
            network.double()
    for optimizer in state.optimizers.values():
        for moments in optimizer.state.values():
            for kind in ("exp_avg", "exp_avg_sq"):
                moments[kind] = moments[kind].double()
    return stored.config, state


def step(case: Case, config: TrainingConfig, state: TrainState) -> Mapping[str, Tensor]:
    """Make the next iteration with the case's draws."""
    z, y = case.arrays["in/z"].double(), case.arrays["in/y"]
    x, dy = case.arrays["in/x_uint8"], case.arrays["in/dy"]
    plans = plan(config, 1)
    accumulations = plans["discriminator"].accumulation
    batches = []
    for number in range(config.discriminator_steps):
        rows = slice(number * config.batch, (number + 1) * config.batch)
        draws = slice(number * accumulations, (number + 1) * accumulations)
        latents = z[draws, : config.micro_batch].flatten(0, 1)
        batches.append(DiscriminatorBatch(x[rows], dy[rows], latents, y[draws, : config.micro_batch].flatten()))
    left = slice(config.discriminator_steps * accumulations, None)
    inputs = StepInputs(
        discriminator=tuple(batches),
        generator=GeneratorBatch(z[left].flatten(0, 1), y[left].flatten()),
        batch=config.batch,
        generator_batch=config.generator_batch or config.batch,
        images_seen=state.images_seen + config.batch * config.discriminator_steps,
    )
    for network in state.networks.values():
        network.train()
    return train_step(state, inputs, Objective(loss=Hinge(), judge=judge_together), make_engine(config, 1, state, CPU))


def compare(case: Case, comparison: Comparison, state: TrainState, losses: Mapping[str, Tensor]) -> None:
    """Compare losses, networks, average and moments."""
    limit = tolerance(None, "float64")
    accumulations = case.settings["config"]["num_G_accumulations"]
    found = {name: float(values[-1]) for name, values in losses.items()}
    found["G_loss"] /= accumulations
    for name in case.settings["losses_float64"]:
        comparison.number(("losses_float64", name), found[name], limit)
    assert state.average.network is not None
    modules = {"G": state.generator, "D": state.discriminator, "G_ema": state.average.network}
    for network, module in modules.items():
        files = part(case, f"file/{network}/")
        translation = (discriminator if network == "D" else generator)(files, Facts())
        ours = module.state_dict()
        for key in files:
            comparison.array(f"after64/{network}/{key}", translation.to_theirs(ours, key), limit)
        name = {"G": "generator", "D": "discriminator"}.get(network)
        if name is None:
            continue
        moments = state.optimizers[name].state
        parameters = dict(module.named_parameters())
        theirs = part(case, f"optim64/{network}/")
        largest = {
            kind: max(float(value.norm()) for rest, value in theirs.items() if rest.endswith(f"/{kind}"))
            for kind in ("exp_avg", "exp_avg_sq")
        }
        for rest in theirs:
            key, _, kind = rest.rpartition("/")
            moment = moments[parameters[translation.entries[key].ours]][kind]
            # What is zero in exact arithmetic (biases before a batch norm) is the rounding of what is around it.
            scale = max(float(case.arrays[f"optim64/{network}/{rest}"].norm()), 1e-4 * largest[kind])
            comparison.array(f"optim64/{network}/{rest}", moment, 1e-9, relative=True, scale=scale)
