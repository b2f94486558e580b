"""``--init``: read what a run begins from, decide what becomes of every tensor, and put it in place."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from biggan.data.contract import ImageSource
from biggan.data.order.epochs import class_frequencies, real_frequencies
from biggan.foundation.errors import UserError
from biggan.foundation.groups import Share
from biggan.layers.normalization import RUNNING_STATISTICS, batch_norms
from biggan.losses.stored_terms import going_on
from biggan.models.contract import Generator, build_on_meta
from biggan.models.export_file import Export
from biggan.sampling.standing import BATCH, StandingEstimate
from biggan.training.configuration import TrainingConfig
from biggan.training.draws import FakeDraws
from biggan.training.exportable import read_exportable
from biggan.training.run_directory import StoredRun
from biggan.training.starting.classes import describe_classes, match_classes
from biggan.training.starting.nearest import nearest_classes
from biggan.training.starting.record import InitRecord, Listing
from biggan.training.starting.transplant import Change, keep_contrast, settle, transplant, transplant_moments
from biggan.training.state import TrainState

_BATCHES = 100
_WARM_UP_SHARE = 4


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """What a new run begins from."""

    export: Export
    place: Path

    def chosen(self, weights: str) -> Mapping[str, Tensor]:
        """Return the weights that G begins with."""
        raw = self.export.generator if weights == "raw" else None
        return self.export.sampled if raw is None else raw


def begin(config: TrainingConfig, stored: StoredRun | None) -> tuple[TrainingConfig, Beginning | None]:
    """Return the configuration with the architecture of what it begins from, and that; of a run that goes on, neither.

    Raises:
        UserError: nothing to begin from at that place, or not what was asked of it; or the run began elsewhere.
    """
    path = config.init.path
    if stored is not None:
        return _going_on(config, stored), None
    if path is None:
        if config.freeze_d:
            raise UserError(f"--freeze-d {config.freeze_d}: nothing has been learnt yet; name weights with --init")
        return config, None
    export, place = read_exportable(Path(path))
    found = Beginning(export=export, place=place)
    model = export.info.architecture
    _check(config, found)
    if config.d_warmup is None and export.discriminator is None:
        config = dataclasses.replace(config, d_warmup=max(config.duration // _WARM_UP_SHARE, 1))
    if config.d_warmup is not None and config.d_warmup >= config.duration:
        raise UserError(
            f"--d-warmup {config.d_warmup}: with --duration {config.duration} nothing is left for G; choose a longer "
            "duration, or a shorter warm-up"
        )
    return dataclasses.replace(config, model=model), found


def _going_on(config: TrainingConfig, stored: StoredRun) -> TrainingConfig:
    if config.init.path is not None and config.init.path != stored.config.init.path:
        began = stored.config.init.path or "random weights"
        raise UserError(
            f"--init {config.init.path}: the run in this directory began from {began} and has its own weights by now. "
            "Leave the option out to continue it, or choose another --run-dir."
        )
    if config.d_warmup and not stored.config.d_warmup:
        raise UserError(
            f"--d-warmup {config.d_warmup}: D warms up at the start of a run, and this one began without. Leave the "
            "option out, or begin another --run-dir"
        )
    config = dataclasses.replace(config, terms=going_on(config.terms, stored.config.terms))
    if stored.config.init.path is None:
        return config
    warm_up = stored.config.d_warmup if config.d_warmup is None else config.d_warmup
    return dataclasses.replace(config, model=stored.config.model, d_warmup=warm_up)


def _check(config: TrainingConfig, beginning: Beginning) -> None:
    export, path, model = beginning.export, config.init.path, beginning.export.info.architecture
    if config.resolution is not None and config.resolution != model.resolution:
        asked, there = ("x".join(map(str, size)) for size in (config.resolution, model.resolution))
        raise UserError(
            f"--resolution {asked}: {path} makes images of {there}. Leave the option out, or enlarge the networks "
            f"first: biggan grow {path} DST --resolution {asked}"
        )
    if config.init.weights == "raw" and export.generator is None:
        raise UserError(
            f"--init.weights raw: {path} holds the moving average of G only; leave the option out, or name a checkpoint"
        )
    if config.init.optimizers and not export.moments:
        raise UserError(f"--init.optimizers: {path} holds no moments of Adam; leave it out, or name a checkpoint")
    if export.discriminator is None:
        if config.init.classes == "nearest" or config.init.others == "nearest":
            raise UserError(f"nearest classes are found by D, and {path} holds none; use mean, fresh, or a file")
        if config.freeze_d:
            raise UserError(f"--freeze-d {config.freeze_d}: {path} holds no D, and a new one has nothing to keep")
    stages = len(model.discriminator_stages())
    if config.freeze_d > stages:
        raise UserError(f"--freeze-d {config.freeze_d}: D has {stages} stages; choose at most {stages}")


def plan_beginning(beginning: Beginning, config: TrainingConfig, source: ImageSource) -> InitRecord:
    """Return what becomes of every tensor and class; ``config`` is resolved.

    Raises:
        UserError: a class that does not exist, or classes that cannot be found by their images.
    """
    export, init = beginning.export, config.init
    info = export.info
    origins = match_classes(
        init,
        source.class_names,
        info.class_names,
        (config.model.classes, info.architecture.classes),
        lambda wanted: nearest_classes(export, source, wanted),
    )
    change = Change(old=info.architecture, new=config.model, classes=origins)
    if not change.same_channels and info.architecture.grown.stages:
        raise UserError(
            f"--init {init.path}: of {info.architecture.channels} channels, the data of {config.model.channels}; "
            "and a grown network has its old output beside the new one, which cannot change; remove that first by "
            "biggan grow --drop-skip, or bring the data to as many channels by --data.channels"
        )
    networks = build_on_meta(config.model)
    _, generator = transplant(
        networks.generator, beginning.chosen(init.weights), networks.generator.state_dict(), change
    )
    discriminator = Listing(fresh=tuple(networks.discriminator.state_dict()))
    if export.discriminator is not None:
        fresh = networks.discriminator.state_dict()
        discriminator = transplant(networks.discriminator, export.discriminator, fresh, change)[1]
    batches = init.recalibrate
    if batches is None:
        standing = info.standing_statistics
        as_before = change.same_classes and change.same_channels and (standing is None or standing.truncation is None)
        as_before = as_before and not _statistics_were_drawn(info.provenance)
        batches = 0 if as_before else _BATCHES
    return InitRecord(
        path=str(init.path),
        read_from=str(beginning.place),
        digest=export.digest,
        images_seen=info.images_seen,
        weights=init.weights if info.weights == "ema" else "raw",
        classes=origins,
        generator=generator,
        discriminator=discriminator,
        moments=tuple(name for name in ("generator", "discriminator") if init.optimizers and name in export.moments),
        recalibrated=batches if batch_norms(networks.generator) else 0,
        provenance=info.provenance,
    )


def _statistics_were_drawn(provenance: Mapping[str, object]) -> bool:
    """Tell whether statistics of batch norm were missing where weights came from: those in the file are none then."""
    converted = provenance.get("converted")
    fresh = converted.get("fresh") if isinstance(converted, Mapping) else None
    return isinstance(fresh, list) and any(str(name).endswith(RUNNING_STATISTICS) for name in fresh)


def describe(record: InitRecord, beginning: Beginning, config: TrainingConfig, source: ImageSource) -> list[str]:
    """Return what is said about where a run begins."""
    old, new = beginning.export.info.architecture, config.model
    weights = "its moving average" if record.weights == "ema" else "itself, not its average"
    seen = f"{record.images_seen:,} images seen" if record.images_seen else "of unknown age"
    lines = [f"begin from {record.read_from}, {seen}; G as {weights}"]
    lines += record.generator.lines("G") + record.discriminator.lines("D")
    if not record.discriminator.loaded:
        lines.append(f"    D is new, and trained alone for at most {config.d_warmup or 0:,} images")
        if not config.d_warmup:
            lines.append("    --d-warmup 0: a G that learns from a D that knows nothing forgets what it could")
    lines += describe_classes(record.classes, source.class_names, beginning.export.info.class_names)
    if (old.channels, old.output_width) != (new.channels, new.output_width):
        lines.append(
            f"  channels: {old.channels} -> {new.channels}; every new one that G makes is the mean of the old ones, "
            "and D sees the mean of the new ones in place of each old one"
        )
    moments = ", ".join(record.moments)
    lines.append(f"  Adam's moments: {f'taken over of {moments}' if moments else 'fresh'}")
    again = f"estimated anew over {record.recalibrated} batches of {BATCH}" if record.recalibrated else "as they were"
    lines.append(f"  statistics of batch norm: {again}")
    return lines


def put_in_place(
    state: TrainState, beginning: Beginning, record: InitRecord, config: TrainingConfig, source: ImageSource
) -> None:
    """Overwrite networks, average and moments of ``state`` as ``record`` says."""
    export = beginning.export
    change = Change(old=export.info.architecture, new=config.model, classes=record.classes)
    given: dict[str, tuple[nn.Module, Mapping[str, Tensor]]] = {
        "generator": (state.generator, beginning.chosen(config.init.weights))
    }
    if state.average.network is not None:
        given["ema"] = (state.average.network, export.sampled)
    if export.discriminator is not None:
        given["discriminator"] = (state.discriminator, export.discriminator)
    tensors = {name: tensor.detach().cpu() for name, tensor in state.tensors().items()}
    for name, (network, old) in given.items():
        fresh = {key: value.detach().cpu() for key, value in network.state_dict().items()}
        made, listing = transplant(network, old, fresh, change)
        tensors |= {f"{name}/{key}": value for key, value in made.items()}
        if name in record.moments:
            moments = transplant_moments(network, export.moments[name], listing, change)
            tensors |= {f"optimizer/{name}/{key}": value for key, value in moments.items()}
    state.load_tensors(tensors)
    for name, (network, old) in given.items():
        settle(network, (record.discriminator if name == "discriminator" else record.generator).resized)
        if isinstance(network, Generator):
            if not change.same_channels:
                keep_contrast(network, old, change.old)
            _recalibrate(network, record.recalibrated, config, source)


def _recalibrate(generator: Generator, batches: int, config: TrainingConfig, source: ImageSource) -> None:
    """Estimate the running statistics anew over latents and labels as training will draw them, in place."""
    if not batches:
        return
    weights = (
        real_frequencies(source, config.data)
        if config.fake_labels == "data"
        else class_frequencies(source.class_counts(), config.fake_labels)
    )
    draws = FakeDraws(seed=config.seed, z_size=config.model.z_size, class_weights=weights)
    working = copy.deepcopy(generator)  # its spectral-norm vectors move
    standing = StandingEstimate(working)
    device = next(generator.parameters()).device
    for batch in range(batches):
        z, labels = draws.draw("recalibration", batch * BATCH, Share(BATCH))
        standing.add(z.to(device), labels.to(device))
    standing.apply()
    with torch.no_grad():
        for name, norm in batch_norms(generator).items():
            estimated = batch_norms(working)[name]
            norm.running_mean.copy_(estimated.running_mean)
            norm.running_var.copy_(estimated.running_var)
