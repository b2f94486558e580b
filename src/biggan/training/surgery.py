"""All that a run knows of its networks, grown to larger images, or without the skip that growing left."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.layers.normalization import RUNNING_STATISTICS
from biggan.layers.spectral_norm import spectrally_normalized
from biggan.models.architecture import Architecture
from biggan.models.contract import Generator, build, build_on_meta
from biggan.models.export_file import Export, checked
from biggan.models.growth import grown_architecture, moved, with_vectors, without_skip

_GATE, _OUTPUT = "gate.g", ("output_norm.gain", "output_norm.bias", "output_conv.weight", "output_conv.bias")


def grow(
    export: Export,
    resolution: tuple[int, int],
    *,
    generator_channels: int | None = None,
    discriminator_channels: int | None = None,
    seed: int = 0,
) -> Export:
    """Return ``export`` with networks for larger images that compute, at first, what the old ones do.

    Weights, statistics, singular vectors and Adam's moments of what is old go along under their new names. New
    layers have the initial weights of their family, the same in G and its average, and no moments yet, so that Adam
    begins with them as with any.

    Args:
        export: of the networks to grow; D and moments only where there are any.
        resolution: height and width, the old ones times a power of two.
        generator_channels: of G's new stages; by default as its last.
        discriminator_channels: of D's new first layers; by default as its first.
        seed: of the weights of new layers.

    Raises:
        UserError: a size or channels that cannot be had; see :func:`biggan.models.growth.grown_architecture`.
    """
    old = export.info.architecture.resolved()
    plan = grown_architecture(
        old, resolution, generator_channels=generator_channels, discriminator_channels=discriminator_channels
    )
    before = build_on_meta(old)._asdict()
    layers = {name: spectrally_normalized(network).keys() for name, network in before.items()}
    architecture = with_vectors(plan, old, layers)
    fresh = {name: network.state_dict() for name, network in build(architecture, seed)._asdict().items()}
    new = dataclasses.replace(export.info, architecture=architecture)

    def network(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        moved = {_moved(old, plan, name, key): value for key, value in tensors.items()}
        # G, its average and the levels of a bank begin alike, each with tensors of its own.
        return {key: moved[key] if key in moved else value.clone() for key, value in fresh[name].items()}

    def statistics(level: str) -> dict[str, Tensor]:
        own = {key: value for key, value in fresh["generator"].items() if key.endswith(RUNNING_STATISTICS)}
        prefix = f"{level}/"
        return {f"{prefix}{key}": value.clone() for key, value in own.items()} | {
            prefix + _moved(old, plan, "generator", key.removeprefix(prefix)): value
            for key, value in export.bank.items()
            if key.startswith(prefix)
        }

    levels = sorted({key.partition("/")[0] for key in export.bank})
    grown = dataclasses.replace(
        export,
        info=new,
        sampled=network("generator", export.sampled),
        raw=None if export.raw is None else network("generator", export.raw),
        discriminator=None if export.discriminator is None else network("discriminator", export.discriminator),
        moments={
            name: {_moved(old, plan, name, key): value for key, value in of.items()}
            for name, of in export.moments.items()
        },
        bank={key: value for level in levels for key, value in statistics(level).items()},
        digest="",
    )
    return checked(grown, "what was grown")


def drop_skip(export: Export) -> Export:
    """Return ``export`` without the skip of networks that were grown: what is new is on its own.

    G's gate g goes into its last layers, which is exact: relu(|g| x) is |g| relu(x), and a normalised weight may change
    its sign. In D, whose layers are all normalised, it stays, as the number that it is.

    Raises:
        UserError: there is no skip, or a gate is still 0, so that nothing would be left.
    """
    architecture = without_skip(export.info.architecture)
    shut = [
        name
        for name, tensors in {"G": export.sampled, "G itself": export.raw}.items()
        if tensors is not None and not float(tensors[_GATE])
    ]
    opened = [f"gates.{stage}.g" for stage in architecture.grown.scaled]
    if export.discriminator is not None and not all(float(export.discriminator[gate]) for gate in opened):
        shut.append("D")
    if shut:
        raise UserError(
            f"--drop-skip: the gate of {' and of '.join(shut)} is still 0, so that nothing would be left without the "
            "skip; train on first"
        )
    gate = float((export.raw if export.raw is not None else export.sampled)[_GATE])
    moments = {name: _without_skip(of) for name, of in export.moments.items()}
    if "generator" in moments:
        moments["generator"] = _folded_moments(moments["generator"], gate, normed=_OUTPUT[0] in export.sampled)
    dropped = dataclasses.replace(
        export,
        info=dataclasses.replace(export.info, architecture=architecture),
        sampled=_folded(export.sampled),
        raw=None if export.raw is None else _folded(export.raw),
        discriminator=None if export.discriminator is None else _without_skip(export.discriminator),
        moments=moments,
        bank={key: value for key, value in export.bank.items() if not key.partition("/")[2].startswith("skip.")},
        digest="",
    )
    return checked(dropped, "what is left without the skip")


def gates_of(export: Export) -> dict[str, float]:
    """Return the numbers by which new parts are multiplied, by network; those of dropped skips as well."""
    found = {"G": export.sampled.get(_GATE)}
    for name, value in (export.discriminator or {}).items():
        if name.startswith("gates."):
            found[f"D, stage {name.split('.')[1]}"] = value
    return {name: float(value) for name, value in found.items() if value is not None}


def _moved(old: Architecture, grown: Architecture, network: str, name: str) -> str:
    return moved(old, grown.grown.stages, network, name)


def _without_skip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.startswith(("skip.", "gate."))}


def _factors(gate: float, *, normed: bool) -> dict[str, float]:
    """Return by what each tensor of the last layers is multiplied when the gate goes into them.

    A convolution before which no norm has a gain takes the gate whole: such families divide no weights of G.
    """
    if not normed:
        return dict.fromkeys(_OUTPUT, gate)
    size, sign = abs(gate), 1.0 if gate > 0 else -1.0
    return dict(zip(_OUTPUT, (size, size, sign, gate), strict=True))


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    factors = _factors(float(tensors[_GATE]), normed=_OUTPUT[0] in tensors)
    return {name: value * factors[name] if name in factors else value for name, value in _without_skip(tensors).items()}


def _folded_moments(moments: Mapping[str, Tensor], gate: float, *, normed: bool) -> dict[str, Tensor]:
    """Return moments of the gradients as they are after the gate went into the weights: divided by its factors."""
    factors, powers = _factors(gate, normed=normed), {"exp_avg": 1, "exp_avg_sq": 2, "step": 0}
    found = {}
    for name, value in moments.items():
        parameter, _, kind = name.rpartition("/")
        found[name] = value / factors.get(parameter, 1.0) ** powers[kind]
    return found


def sampled_network(export: Export) -> Generator:
    """Return the generator that is sampled, in evaluation mode."""
    generator = build_on_meta(export.info.architecture).generator
    generator.load_state_dict(dict(export.sampled), assign=True)
    return generator.eval().requires_grad_(False)
