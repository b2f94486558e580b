"""From foreign files to one file of ours, with everything that was assumed, left over or missing on record."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biggan.convert.checking import RAW, SHOWN, refuse_negative_variances, refuse_what_does_not_fit, shapes
from biggan.convert.contract import Imported, import_networks
from biggan.convert.facts import Facts, settle
from biggan.convert.gathering import ForeignAdam, ForeignWeights, parameter_names
from biggan.convert.translation import Translation
from biggan.foundation.config import to_json
from biggan.foundation.errors import UserError
from biggan.foundation.files import digest
from biggan.models.class_names import IMAGENET_CLASSES, imagenet_class_names
from biggan.models.continuation import AdamRecord, Continuation
from biggan.models.contract import build
from biggan.models.export_file import Export, checked
from biggan.models.norm_records import StandingStatistics, TruncationBank
from biggan.models.snapshot import SnapshotInfo
from biggan.version import __version__


@dataclass(frozen=True, kw_only=True)
class Converted:
    """What became of foreign weights."""

    export: Export
    imported: Imported
    weights: ForeignWeights
    fresh: tuple[str, ...]
    """Tensors of ours that theirs do not fill, and that were drawn anew because that was asked for."""
    ignored: tuple[str, ...]
    """Tensors of theirs that were left aside because that was asked for."""
    assumed: tuple[str, ...]


def convert(
    weights: ForeignWeights,
    facts: Facts,
    *,
    class_names: Sequence[str] | None = None,
    ignore: Sequence[str] = (),
    fresh: Sequence[str] = (),
) -> Converted:
    """Return foreign weights as one export of ours.

    Args:
        weights: what was found in files.
        facts: what the user states; it comes before what stored options say.
        class_names: by class index; None gives a thousand classes ImageNet's names, and others their numbers.
        ignore: patterns of their keys that may be left aside.
        fresh: patterns of our names (``discriminator: stages.5.1.gamma``) that may be drawn anew where theirs are
            missing.

    Raises:
        UserError: not the layout that it was taken for, keys that are left over or missing and were not named, a number
            of names that is not that of the classes.
    """
    if weights.generator is None and weights.average is None:
        raise UserError("there is no generator among the files; a discriminator alone draws nothing")
    family = weights.family
    stored, _ = settle(facts, family.facts_from_options(weights.options), set())
    main = weights.generator if weights.average is None else weights.average
    imported = import_networks(family, _all_float32(main), _all_float32(weights.discriminator), stored)
    imported.architecture.validate()
    raw = None
    if weights.average is not None and weights.generator is not None:
        raw = import_networks(family, _all_float32(weights.generator), None, stored)
    unused, missing = imported.unused, imported.missing
    if raw is not None:  # what holds for its average as well is named once
        unused += tuple(f"{RAW}{key}" for key in raw.unused if key not in imported.unused)
        missing += tuple(
            f"{RAW}{name.removeprefix('generator: ')}" for name in raw.missing if name not in imported.missing
        )
    refuse_what_does_not_fit(family.title, unused, missing, ignore, fresh)
    imported = _completed(imported) if imported.missing else imported
    raw = _completed(raw) if raw is not None and raw.missing else raw
    if raw is not None and shapes(raw.generator) != shapes(imported.generator):
        differing = sorted(dict(shapes(raw.generator) ^ shapes(imported.generator)))
        raise UserError(f"G and its average are not the same network; they differ in {', '.join(differing[:SHOWN])}")
    refuse_negative_variances({"G": imported.generator, "G itself": None if raw is None else raw.generator})
    names, assumed = _class_names(imported, class_names)
    export = _export(imported, weights, names, None if raw is None else raw.generator, missing)
    return Converted(
        export=checked(export, "what was converted"),
        imported=imported,
        weights=weights,
        fresh=missing,
        ignored=unused,
        assumed=(*imported.assumed, *assumed),
    )


def _completed(imported: Imported) -> Imported:
    """Fill what is missing with fresh weights, and drop what has no place."""
    networks = build(imported.architecture)
    filled: dict[str, dict[str, Tensor] | None] = {}
    for name, network in (("generator", networks.generator), ("discriminator", networks.discriminator)):
        theirs = imported.generator if name == "generator" else imported.discriminator
        own = network.state_dict()
        filled[name] = (
            None
            if theirs is None
            else {
                key: theirs[key] if key in theirs and theirs[key].shape == value.shape else value
                for key, value in own.items()
            }
        )
    return dataclasses.replace(imported, generator=filled["generator"], discriminator=filled["discriminator"])


def _class_names(imported: Imported, given: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    classes = imported.architecture.classes
    if given is not None:
        if len(given) != classes:
            raise UserError(
                f"--class-names: the file has {len(given)} names, one a line; the network has {classes} classes"
            )
        return tuple(given), ()
    if classes == IMAGENET_CLASSES:
        return imagenet_class_names(), ("assumed that the 1,000 classes are ImageNet's",)
    return tuple(str(label) for label in range(classes)), ()


def _export(
    imported: Imported,
    weights: ForeignWeights,
    names: tuple[str, ...],
    own: Mapping[str, Tensor] | None,
    fresh: Sequence[str],
) -> Export:
    """Put everything under our names; ``own`` are the tensors of G itself beside its average."""
    generator = imported.generator
    assert generator is not None
    raw = None if own is None else {key: _float32(value) for key, value in own.items()}
    states = {"generator": weights.generator, "discriminator": weights.discriminator}
    moments: dict[str, dict[str, Tensor]] = {}
    adam: dict[str, AdamRecord] = {}
    for network, found in weights.adam.items():
        state = states.get(network)
        of_network = {} if state is None else _moments(imported.translations[network], found, state, network)
        if of_network:  # an optimizer that never made a step has none
            moments[network] = of_network
            adam[network] = _adam_record(found, network)
    discriminator = imported.discriminator
    further = raw is not None or discriminator is not None or bool(moments)
    info = SnapshotInfo(
        architecture=imported.architecture,
        class_names=names,
        weights="generator" if weights.average is None else "ema",
        images_seen=images_seen(weights),
        iterations=weights.iterations or 0,
        provenance=_provenance(imported, weights, fresh),
        standing_statistics=_standing(imported.truncation_bank),
        truncation_bank=imported.truncation_bank,
        continuation=Continuation(
            generator=raw is not None,
            discriminator=discriminator is not None,
            generator_adam=adam.get("generator"),
            discriminator_adam=adam.get("discriminator"),
        )
        if further
        else None,
    )
    plain = {key: _float32(value) for key, value in generator.items()}
    return Export(
        info=info,
        sampled=plain,
        bank={key: _float32(value) for key, value in imported.bank.items()},
        raw=raw,
        discriminator=None if discriminator is None else {key: _float32(value) for key, value in discriminator.items()},
        moments=moments,
    )


def _standing(bank: TruncationBank | None) -> StandingStatistics | None:
    """Return what the generator's own statistics are: those of the bank's highest truncation."""
    if bank is None:
        return None
    return StandingStatistics(batches=None, batch=None, truncation=bank.truncations[-1], kind=bank.kind)


def _float32(tensor: Tensor) -> Tensor:
    """Return a copy of its own: what is written apart must not lie in the same memory."""
    return tensor.to(torch.float32, copy=True).contiguous() if tensor.is_floating_point() else tensor.clone()


def _all_float32(state: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    return None if state is None else {key: _float32(value) for key, value in state.items()}


def images_seen(weights: ForeignWeights) -> int:
    """Return the clock of foreign weights: real images seen by D, as far as their files tell."""
    options = weights.options
    sizes = [options.get(name, 1) for name in ("batch_size", "num_D_accumulations", "num_D_steps")]
    whole = all(type(size) is int and 0 < size < 2**31 for size in sizes) and "batch_size" in options
    if weights.iterations is None or not whole:
        return 0
    batch, accumulations, steps = sizes
    return int(weights.iterations) * batch * accumulations * steps


def _moments(
    translation: Translation, adam: ForeignAdam, state: Mapping[str, Tensor], network: str
) -> dict[str, Tensor]:
    """Return moments under our names: theirs are known by the order of the network's parameters alone."""
    names = parameter_names(state)
    if len(names) != len(adam.moments):
        raise UserError(
            f"the optimizer of the {network} holds {len(adam.moments)} parameters, its network has {len(names)}: "
            "they do not belong together"
        )
    found: dict[str, Tensor] = {}
    for name, of_parameter in zip(names, adam.moments, strict=True):
        entry = translation.entries.get(name)
        if entry is None or not entry.ours or not of_parameter:
            continue
        for kind, value in of_parameter.items():
            if kind != "step" and value.shape != state[name].shape:
                raise UserError(
                    f"the optimizer of the {network} has moments {list(value.shape)} where '{name}' is "
                    f"{list(state[name].shape)}: they do not belong together"
                )
            found[f"{entry.ours}/{kind}"] = value if kind == "step" else _float32(entry.form.to_ours(value))
    return found


def _adam_record(adam: ForeignAdam, network: str) -> AdamRecord:
    group = adam.group
    try:
        beta1, beta2 = group["betas"]
        return AdamRecord(
            learning_rate=float(group["lr"]), beta1=float(beta1), beta2=float(beta2), eps=float(group["eps"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the optimizer of the {network} does not say how Adam was set ({error})") from error


def _provenance(imported: Imported, weights: ForeignWeights, fresh: Sequence[str]) -> dict[str, object]:
    return {
        "converted": {
            "family": weights.family.name,
            "files": {file.name: digest(file) for file in weights.files},
            "facts": {key: value for key, value in to_json(imported.facts).items() if value is not None},
            "assumed": list(imported.assumed),
            "fresh": list(fresh),
            "iterations": weights.iterations,
            "biggan": __version__,
            "torch": str(torch.__version__),
        }
    }
