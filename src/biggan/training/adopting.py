"""A run directory made of weights that were trained elsewhere, with everything that is needed to go on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from biggan.foundation.compatibility import ALL, expand
from biggan.foundation.config import to_json
from biggan.foundation.errors import UserError
from biggan.losses.stored_terms import written_out
from biggan.models.continuation import AdamRecord
from biggan.models.export_file import Export
from biggan.training.assembly import make_state
from biggan.training.batches import Doublings, plan
from biggan.training.checkpoint import CheckpointStore
from biggan.training.configuration import AdamConfig, TrainingConfig
from biggan.training.own_step import OwnStep
from biggan.training.record import derived
from biggan.training.run_directory import RunDirectory, StoredData
from biggan.training.starting.configuration import InitConfig
from biggan.training.step import train_step

UNKNOWN = "unknown"
"""Source of data that were never seen here."""


def adopt(
    export: Export,
    directory: Path,
    config: TrainingConfig,
    preset: str,
    data: StoredData | None = None,
    doublings: Doublings | None = None,
) -> TrainingConfig:
    """Write a run directory from which ``biggan train PRESET --run-dir`` goes on as if it had trained so far.

    Args:
        export: G, D, and the moments of both; without a moving average one begins from G.
        directory: a new one.
        config: how training goes on; its architecture and its optimizers become the export's.
        preset: what the run is called by.
        data: what it was trained on so far; by default nobody knows.
        doublings: how far batches had come that follow the noise scale, which is measured anew from here on; by default
            they begin.

    Returns:
        The configuration that was stored.

    Raises:
        UserError: something is missing that training goes on from.
    """
    missing = [
        name
        for name, there in {
            "G itself (only its moving average is there)": export.generator is not None,
            "D": export.discriminator is not None,
            "Adam's moments of G": "generator" in export.moments,
            "Adam's moments of D": "discriminator" in export.moments,
        }.items()
        if not there
    ]
    if missing:
        raise UserError(
            f"nothing to go on from exactly: {', '.join(missing)} missing. Write a snapshot instead (a name that ends "
            "in .safetensors) and train on from that: biggan train PRESET --init FILE"
        )
    continuation = export.info.continuation
    assert continuation is not None
    config = dataclasses.replace(
        config,
        model=export.info.architecture.resolved(),
        resolution=None,
        run_dir=str(directory),
        # Where the weights come from is here; how another run once began, and which of its stages rested, is not.
        init=InitConfig(),
        terms=written_out(config.terms, None),
        freeze_d=0,
        d_warmup=None,
        generator_adam=_adam(continuation.generator_adam),
        discriminator_adam=_adam(continuation.discriminator_adam),
    )
    state = make_state(config, torch.device("cpu"), OwnStep(train_step, None))
    networks = {"generator": export.generator, "discriminator": export.discriminator}
    if state.average.network is not None:
        networks["ema"] = export.sampled
    tensors = {f"{name}/{key}": value for name, of in networks.items() for key, value in (of or {}).items()}
    tensors |= {f"optimizer/{name}/{key}": value for name, of in export.moments.items() for key, value in of.items()}
    state.load_tensors(tensors)
    state.images_seen, state.iterations = export.info.images_seen, export.info.iterations
    state.doubling = {
        name: dataclasses.replace(record, since=state.images_seen, sums=(0.0, 0.0, 0.0))
        for name, record in (doublings or state.doubling).items()
    }
    plans = plan(config, 1)
    run = RunDirectory(directory)
    directory.mkdir(parents=True, exist_ok=True)
    data = data or StoredData(source=UNKNOWN, images=0, class_names=export.info.class_names)
    run.write_config(preset, config, derived(config, plans, 1) | {"data": to_json(data)})
    info = dataclasses.replace(
        export.info,
        architecture=config.model,
        weights="ema" if state.average.network is not None else "generator",
        continuation=None,
    )
    CheckpointStore(directory, config.checkpoint).save(state, info, to_json(config))
    return config


def _adam(record: AdamRecord | None) -> AdamConfig:
    assert record is not None
    return AdamConfig(**{field.name: getattr(record, field.name) for field in dataclasses.fields(AdamConfig)})


def from_biggan_pytorch(config: TrainingConfig, options: Mapping[str, Any]) -> TrainingConfig:
    """Return ``config`` with what the stored options of a run of BigGAN-PyTorch say about training.

    Its batch is that of one accumulation; a clock of iterations becomes one of images.

    Raises:
        UserError: an option of another type than its own.
    """
    batch = _count(options, "batch_size", config.batch)
    accumulations = _count(options, "num_D_accumulations", 1)
    steps = _count(options, "num_D_steps", config.discriminator_steps)
    generator_batch = max(_count(options, "G_batch_size", batch, least=0), batch)
    generator_batch *= _count(options, "num_G_accumulations", 1)
    iteration = batch * accumulations * steps
    enabled = bool(options.get("ema", config.ema.enabled))
    ema = dataclasses.replace(
        config.ema,
        enabled=enabled,
        decay=_number(options, "ema_decay", config.ema.decay),
        half_life=None,
        ramp_up=None,
        start=_count(options, "ema_start", 0, least=0) * iteration,
    )
    return dataclasses.replace(
        config,
        batch=batch * accumulations,
        micro_batch=batch,
        generator_batch=generator_batch,
        discriminator_steps=steps,
        seed=_count(options, "seed", config.seed, least=0),
        split_discriminator_pass=bool(options.get("split_D", config.split_discriminator_pass)),
        generator_orthogonal=_number(options, "G_ortho", config.generator_orthogonal),
        discriminator_orthogonal=_number(options, "D_ortho", config.discriminator_orthogonal),
        fake_labels="uniform",
        ema=ema,
        compatibility=expand((ALL,), "training"),
        loss="hinge",
    )


def _count(options: Mapping[str, Any], name: str, default: int, *, least: int = 1) -> int:
    value = options.get(name, default)
    if type(value) is int and least <= value < 2**40:
        return value
    raise UserError(f"option {name} of the run is {value!a:.40}; a whole number from {least} on is expected")


def _number(options: Mapping[str, Any], name: str, default: float) -> float:
    value = options.get(name, default)
    if type(value) in (int, float) and 0 <= value < 1e6:
        return float(value)
    raise UserError(f"option {name} of the run is {value!a:.40}; a number is expected")
