"""What is said at the start of a run, before any of it is acted on."""

from __future__ import annotations

from biggan.data.contract import ImageSource
from biggan.data.inspection import card
from biggan.foundation import distributed, terminal
from biggan.models.contract import build_on_meta, count_parameters
from biggan.training.configuration import TrainingConfig
from biggan.training.planning import BatchPlan
from biggan.training.run_directory import CARD, RunDirectory


def introduce(
    directory: RunDirectory,
    config: TrainingConfig,
    source: ImageSource,
    plans: dict[str, BatchPlan],
    *,
    new: bool,
) -> None:
    """Say what was understood, before any of it is acted on."""
    if not distributed.is_primary():
        return
    described = card.describe(source, config.data)
    say(directory, card.text(described))
    if new or not (directory.path / CARD).exists():
        card.picture(source).save(directory.path / CARD)
    networks = build_on_meta(config.model)
    say(
        directory,
        f"{config.model.family}: G {count_parameters(networks.generator):,}, "
        f"D {count_parameters(networks.discriminator):,} parameters; D batch {plans['discriminator']}, "
        f"G batch {plans['generator']}; {config.precision}; run directory {directory.path}",
    )


def say(directory: RunDirectory, *messages: str) -> None:
    """Print and log, on the first process."""
    if distributed.is_primary():
        for message in messages:
            terminal.say(message)
            directory.log(message)
