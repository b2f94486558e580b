"""All that a run, a checkpoint, a snapshot or an export knows of its networks, read the same way."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import Tensor

from biggan.foundation.config import from_json, to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.tensor_files import read_tensors
from biggan.models.continuation import AdamRecord, Continuation
from biggan.models.export_file import NETWORKS, Export, checked, read_export
from biggan.models.snapshot import IN_CHECKPOINT, find_snapshot
from biggan.training.batches import schedules
from biggan.training.checkpoint import STATE_JSON, STATE_TENSORS, Checkpoint, CheckpointStore, read_checkpoint
from biggan.training.configuration import AdamConfig, CheckpointConfig, TrainingConfig
from biggan.training.run_directory import RunDirectory
from biggan.training.state import SCALE

_BATCHES = ("batch", "generator_batch", "batch_schedule", "generator_batch_schedule")
"""What says how large the batches of a run are."""


def read_exportable(path: Path) -> tuple[Export, Path]:
    """Return all that is known of the networks at ``path``, and the file or folder that it was read from.

    Args:
        path: a run (its newest checkpoint, or its newest snapshot if it has none), a checkpoint, a snapshot, an export.

    Raises:
        UserError: nothing there, damaged, or tensors that do not fit the architecture.
    """
    checkpoint = _checkpoint(path)
    if checkpoint is None:
        found = find_snapshot(path)
        return read_export(found), found
    return of_checkpoint(checkpoint), checkpoint.path


def _checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint that ``path`` is or, as a run, goes on from."""
    if (path / STATE_JSON).is_file():
        return read_checkpoint(path)
    if path.is_dir() and RunDirectory(path).has_checkpoint():
        return CheckpointStore(path, CheckpointConfig()).newest()
    return None


def of_checkpoint(checkpoint: Checkpoint) -> Export:
    """Return all that a checkpoint knows of G, its average, D and their optimizers.

    Networks that a step of one's own has added are named in :attr:`Export.others` and otherwise left out.

    Raises:
        CorruptFileError: its tensors do not fit the architecture.
    """
    snapshot = read_export(checkpoint.path / IN_CHECKPOINT)
    networks: dict[str, dict[str, Tensor]] = {}
    moments: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_tensors(checkpoint.path / STATE_TENSORS).items():
        if name.startswith(SCALE):
            continue
        network, _, inner = name.removeprefix("optimizer/").partition("/")
        (moments if name.startswith("optimizer/") else networks).setdefault(network, {})[inner] = tensor
    if missing := [name for name in NETWORKS if name not in networks]:
        raise CorruptFileError(f"{checkpoint.path / STATE_TENSORS}: without the {missing[0]}")
    adam = {name: _adam(checkpoint, name) for name in NETWORKS if name in moments}
    averaged = snapshot.info.weights == "ema"
    continuation = Continuation(
        generator=averaged,
        discriminator=True,
        generator_adam=adam.get("generator"),
        discriminator_adam=adam.get("discriminator"),
    )
    export = Export(
        info=dataclasses.replace(snapshot.info, continuation=continuation),
        sampled=snapshot.sampled,
        raw=networks["generator"] if averaged else None,
        discriminator=networks["discriminator"],
        moments={name: moments[name] for name in adam},
        others=tuple(sorted(networks.keys() - set(NETWORKS))),
    )
    return checked(export, str(checkpoint.path))


def _adam(checkpoint: Checkpoint, network: str) -> AdamRecord:
    """Return how the optimizer of a network was set when a checkpoint was saved."""
    where, stored = f"{checkpoint.path / STATE_JSON}: {network}_adam", checkpoint.record.configuration
    try:
        config = from_json(AdamConfig, stored.get(f"{network}_adam"), where)
        known = {field.name: getattr(config, field.name) for field in dataclasses.fields(AdamConfig)}
        if config.reference_batch is not None:
            batches = {name: stored[name] for name in _BATCHES if name in stored}
            of = schedules(from_json(TrainingConfig, batches, where), checkpoint.record.doubling)
            known["batch"] = of[network].at(checkpoint.images_seen)
        return from_json(AdamRecord, to_json(AdamRecord(**known)), where)
    except UserError as error:
        raise CorruptFileError(f"{error}; the moments of {network} are of no use without") from error
