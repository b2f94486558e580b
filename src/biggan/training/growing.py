"""``biggan grow``: from what a run, checkpoint or snapshot holds to a new run or file of larger images."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from biggan.foundation.config import from_json
from biggan.foundation.durations import format_images
from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line
from biggan.metrics.judges import JUDGES
from biggan.models.architecture import Architecture
from biggan.models.contract import build_on_meta, count_parameters
from biggan.models.export_file import Export, write_export
from biggan.models.grown import is_new, junction
from biggan.models.stages import Stage
from biggan.sampling.latents import latents
from biggan.training.adopting import adopt
from biggan.training.batches import Doublings
from biggan.training.checkpoint import STATE_JSON, read_checkpoint
from biggan.training.configuration import TrainingConfig
from biggan.training.exportable import read_exportable
from biggan.training.run_directory import RunDirectory, StoredData
from biggan.training.surgery import drop_skip, gates_of, grow, sampled_network

_COMPARED = 64
"""Samples by which networks are compared."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What is asked for."""

    resolution: tuple[int, int] | None
    """Height and width to grow to; None to remove the skip."""
    generator_channels: int | None = None
    discriminator_channels: int | None = None
    freeze_old: int = 0
    """Images for which only new parts train."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class _Origin:
    """How the networks were trained so far."""

    preset: str
    config: TrainingConfig
    data: StoredData
    doublings: Doublings


def grow_file(path: Path, destination: Path, growth: Growth, *, is_file: bool) -> list[str]:
    """Write what ``growth`` asks for, as a file or as a run directory; return what is to be said about it.

    Args:
        path: a run, a checkpoint, a snapshot, or an export.
        destination: where nothing stands that may not be replaced.
        growth: see there.
        is_file: whether a file is written, which ``--init`` takes, or a run directory, which goes on.

    Raises:
        UserError: nothing there to grow, a size that cannot be had, or no run to go on with.
    """
    export, found = read_exportable(path)
    origin = None if is_file else _origin(export, found)
    if growth.freeze_old and is_file:
        raise UserError(
            f"--freeze-old {growth.freeze_old}: DST {one_line(str(destination))} is a file, which says nothing of "
            f"training; give it to the training: biggan train PRESET --init FILE --freeze-old {growth.freeze_old}"
        )
    if growth.resolution is None:
        new = drop_skip(export)
    else:
        new = grow(
            export,
            growth.resolution,
            generator_channels=growth.generator_channels,
            discriminator_channels=growth.discriminator_channels,
            seed=growth.seed,
        )
    step = "grown" if growth.resolution else "skip dropped"
    size = "{}x{}".format(*export.info.architecture.resolution)
    provenance = {**new.info.provenance, step: f"from {size} at {export.info.images_seen:,} images"}
    new = dataclasses.replace(new, info=dataclasses.replace(new.info, provenance=provenance))
    lines = [f"read {one_line(str(found))}", *table(new.info.architecture), *_compared(export, new, origin)]
    if origin is None:
        write_export(destination, new)
        held = ", ".join(new.info.continuation.parts) if new.info.continuation else "G alone"
        return [*lines, f"wrote {one_line(str(destination))} ({held})"]
    until = new.info.images_seen + growth.freeze_old if growth.freeze_old else 0
    config = dataclasses.replace(origin.config, freeze_old=until)
    adopt(new, destination, config, origin.preset, origin.data, origin.doublings)
    clock = format_images(new.info.images_seen)
    return [
        *lines,
        f"wrote the run {one_line(str(destination))}, which stands at {clock} images; go on with: biggan train "
        f"{one_line(origin.preset)} --run-dir {one_line(str(destination))} --duration IMAGES",
        *([f"only new parts train until {format_images(until)} images"] if until else []),
        *(["--freeze-d is off: the first stages of the grown D are new"] if origin.config.freeze_d else []),
    ]


def table(architecture: Architecture) -> list[str]:
    """Return the stages of both networks as lines; what growing added is marked."""
    networks = build_on_meta(architecture)
    new, lines = architecture.grown.stages, []
    last = junction(architecture)  # of D's new stages; a residual D's first block is one of them
    for letter, name, stages in (
        ("G", "generator", architecture.generator_stages()),
        ("D", "discriminator", architecture.discriminator_stages()),
    ):
        network = getattr(networks, name)
        added = sum(p.numel() for key, p in network.named_parameters() if new and is_new(architecture, name, key))
        lines.append(
            f"{letter}: {count_parameters(network):,} parameters" + (f", of which {added:,} are new" if added else "")
        )
        for i, stage in enumerate(stages):
            fresh = last is not None and (i >= len(stages) - new if name == "generator" else i <= last)
            lines.append(f"  stage {i}: {_stage(stage)}" + (", new" if fresh else ""))
    return lines


def _stage(stage: Stage) -> str:
    attention = ", attention" if stage.attention else ""
    return f"{stage.in_channels:5} -> {stage.out_channels:5} channels, {stage.height}x{stage.width}{attention}"


def _origin(export: Export, found: Path) -> _Origin:
    """Return how the networks were trained, which a run directory needs.

    Raises:
        UserError: nobody knows, or a step of one's own added networks that would be lost.
    """
    elsewhere = "name DST FILE.safetensors, and train on from that: biggan train PRESET --init FILE.safetensors"
    stored = RunDirectory(found.parent.parent).started() if (found / STATE_JSON).is_file() else None
    if stored is None:
        raise UserError(
            f"{one_line(str(found))} is no checkpoint in a run directory that could be gone on with; {elsewhere}"
        )
    if export.others or stored.config.step is not None:
        raise UserError(
            f"{one_line(str(found))} was trained by a step of its own, which only knows the old networks; {elsewhere}"
        )
    record = read_checkpoint(found).record
    if record.warm_up is not None and record.warm_up.ended_at is None:
        raise UserError(
            f"{one_line(str(found))}: its D is not ready for G yet, and grown networks would not wait for that; train "
            f"until it is, or {elsewhere}"
        )
    config = from_json(TrainingConfig, record.configuration, f"{found / STATE_JSON}: configuration")
    return _Origin(
        preset=stored.preset,
        config=config,
        data=dataclasses.replace(stored.data, key=""),
        doublings=record.doubling,
    )


@torch.no_grad()
def _compared(old: Export, new: Export, origin: _Origin | None) -> list[str]:
    """Say by how much samples of fixed seeds changed, and what the run's judge says of both."""
    before, after = sampled_network(old), sampled_network(new)
    z = latents(range(_COMPARED), after.architecture.z_size)
    labels = torch.arange(_COMPARED) % max(after.architecture.classes, 1)
    # A prefix of z is what the old networks see; without a change of size both see all of it.
    was, now = [], []
    for first in range(0, _COMPARED, 8):
        rows = slice(first, first + 8)
        was.append(before(z[rows, : before.architecture.z_size], labels[rows]))
        now.append(after(z[rows], labels[rows]))
    one, other = torch.cat(was), torch.cat(now)
    times = other.shape[-1] // one.shape[-1]
    one = one.repeat_interleave(times, 2).repeat_interleave(times, 3)
    gap = (one - other).abs()
    lines = [f"gate of {name}: {value:.4g}" for name, value in gates_of(old).items()]
    lines.append(
        f"images of {_COMPARED} seeds, of -1..1, differ from those before by {gap.mean():.3g} on average, "
        f"{gap.max():.3g} at most"
    )
    if origin is not None and origin.config.log.judge != "none":
        judge = JUDGES[origin.config.log.judge]()
        longer = before.architecture.z_size != after.architecture.z_size
        lines += [
            f"before: {judge.judge(before)}",
            f"after{', of other seeds, because z is longer' if longer else ''}: {judge.judge(after)}",
        ]
    return lines
