"""What is said at the start of a run, before any of it is acted on, and at its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from biggan.data.contract import ImageSource
from biggan.data.inspection import card
from biggan.foundation.files import write_picture
from biggan.foundation.terminal import typed
from biggan.models.contract import build_on_meta, count_parameters
from biggan.sampling.sheets import most_classes
from biggan.training.assembly import make_backends
from biggan.training.batches import BatchPlan, Doublings
from biggan.training.configuration import TrainingConfig
from biggan.training.live_line import newest_sheet
from biggan.training.resolving import batches, rates, remarks, terms
from biggan.training.run_directory import CARD, RunDirectory


def introduce(
    directory: RunDirectory,
    config: TrainingConfig,
    source: ImageSource,
    plans: dict[str, BatchPlan],
    sharing: int,
    doublings: Doublings,
    device: torch.device,
    *,
    new: bool,
) -> None:
    """Say what was understood; on the first process.

    Args:
        directory: of the run.
        config: the run.
        source: its images.
        plans: how batches are divided now.
        sharing: ranks that share the moments of batch norm.
        doublings: how far batches have come that follow the noise scale.
        device: where it computes.
        new: nothing has been saved yet.
    """
    described = card.describe(source, config.data)
    directory.tell(card.text(described))
    if new or not (directory.path / CARD).exists():
        write_picture(directory.path / CARD, card.picture(source))
    shown = most_classes(config.model.resolution, config.log.sheet_columns)
    if config.model.classes > shown:
        directory.tell(
            f"sheets show the first {shown:,} of {config.model.classes:,} classes; more would take too many pages"
        )
    networks = build_on_meta(config.model)
    directory.tell(
        f"{config.model.family}: G {count_parameters(networks.generator):,}, "
        f"D {count_parameters(networks.discriminator):,} parameters; D batch {plans['discriminator']}, "
        f"G batch {plans['generator']}; {config.precision}; run directory {directory.path}",
        *batches(config, doublings),
        *rates(config),
        *terms(config),
        *remarks(config),
    )
    if device.type == "cuda":
        directory.tell(f"{torch.cuda.get_device_name(device)}: {make_backends(config)}")
    if config.statistics == "exact":
        directory.tell(f"batch norm takes its moments over the whole batch, {plans['generator'].batch} images")
    elif sharing > 1:
        images = plans["generator"].micro_batch * sharing
        directory.tell(f"batch norm takes its moments over micro-batches of {sharing} ranks, {images} images")


def conclusion(run_dir: Path, images_seen: int) -> Iterator[str]:
    """Yield what is said of a run that has done all: its clock, the newest sheet, and how more is drawn."""
    yield f"finished: {images_seen:,} images, {run_dir}"
    sheet = newest_sheet(run_dir)
    if sheet is not None:
        run = typed(run_dir)
        yield f"newest sheet: {sheet}; draw more of them: biggan sample {run} --out pictures --seeds 0-15"
