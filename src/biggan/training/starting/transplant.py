"""Tensors of one network out of those of another that differs in classes or channels.

Letters: K classes, C image channels, W a weight, u and v the vectors of its spectral norm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from biggan.layers.further_heads import ClassRows
from biggan.layers.normalization import AffineNorm, ConditionalNorm
from biggan.layers.spectral_norm import ClassTable, SpectrallyNormalized
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator, Generator, build_generator
from biggan.training.starting.record import ClassOrigin, Listing

_SETTLING = 100
"""Power iterations after which the vectors of a resized weight stand."""
_FIRST_OF_D = ("stem", "stages.0.0.conv1", "stages.0.0.shortcut")


@dataclass(frozen=True, kw_only=True)
class Change:
    """How the new networks differ from those of the file."""

    old: Architecture
    new: Architecture
    classes: tuple[ClassOrigin, ...]

    @property
    def same_classes(self) -> bool:
        """Whether every class stays the one it was."""
        return self.old.classes == self.new.classes and all(
            origin.old == index for index, origin in enumerate(self.classes)
        )

    @property
    def same_channels(self) -> bool:
        """Whether images have as many channels as before, and the last convolution as many outputs."""
        return (self.old.channels, self.old.output_width) == (self.new.channels, self.new.output_width)


class ClassAxis(NamedTuple):
    """Where a tensor has entries of classes."""

    axis: int
    each: int = 1
    """Entries for each class, class by class."""
    rest: int = 0
    """Entries of none, behind those of the classes."""

    def entries(self, tensor: Tensor) -> Tensor:
        """Return those of classes as a view [K, ...]."""
        rows = tensor.movedim(self.axis, 0)
        rows = rows[: len(rows) - self.rest]
        return rows if self.each == 1 else rows.view(-1, self.each, *rows.shape[1:])


def class_axes(network: nn.Module, *, dense: bool) -> dict[str, ClassAxis]:
    """Return the tensors of ``network`` that have entries of classes, with the axis along which these lie.

    A class table has classes as rows, and the left vector of its spectral norm an entry for each; a dense table has
    them as columns, and so has its right vector. Heads of D may have several rows a class, and rows of none.
    """
    axes: dict[str, ClassAxis] = {}
    for name, module in network.named_modules():
        if isinstance(module, ClassTable):
            axes |= {f"{name}.weight": ClassAxis(0), f"{name}.u": ClassAxis(1)}
        elif isinstance(module, ClassRows):
            for part, axis in (("weight", 0), ("bias", 0), ("u", 1)):
                axes[f"{name}.linear.{part}"] = ClassAxis(axis, module.each, module.rest)
        elif dense and isinstance(module, ConditionalNorm):
            for part in ("gain", "bias"):
                axes |= {f"{name}.{part}.weight": ClassAxis(1), f"{name}.{part}.v": ClassAxis(1)}
    return axes


def gather(old: Tensor, fresh: Tensor, origins: Sequence[ClassOrigin], axis: ClassAxis) -> Tensor:
    """Return entries of ``old`` in the order of the new classes; means of all, and entries of ``fresh``."""
    result = fresh.clone()
    rows, into = axis.entries(old), axis.entries(result)
    if axis.rest:
        result.movedim(axis.axis, 0)[-axis.rest :] = old.movedim(axis.axis, 0)[-axis.rest :].to(result.dtype)
    mapped = [(index, origin.old) for index, origin in enumerate(origins) if origin.old is not None]
    if mapped:
        into[[index for index, _ in mapped]] = rows[[source for _, source in mapped]].to(into.dtype)
    means = [index for index, origin in enumerate(origins) if origin.how == "mean"]
    if means:
        into[means] = rows.mean(dim=0).to(into.dtype)
    return result


def transplant(
    network: nn.Module, given: Mapping[str, Tensor], fresh: Mapping[str, Tensor], change: Change
) -> tuple[dict[str, Tensor], Listing]:
    """Return every tensor of ``network``, and where each is from.

    Args:
        network: the new one, for its structure; it may be on no device.
        given: tensors of the old one.
        fresh: those that the new one would begin with at random, on the CPU or on no device.
        change: how the two differ.
    """
    axes = {} if change.same_classes else class_axes(network, dense=change.new.dense_class_tables)
    result: dict[str, Tensor] = {}
    kinds: dict[str, list[str]] = {"loaded": [], "resized": [], "fresh": []}
    for name, target in fresh.items():
        found, kind = _made(name, target, given.get(name), axes.get(name), network, change)
        result[name] = found
        kinds[kind].append(name)
    used = {*kinds["loaded"], *kinds["resized"]}
    unused = tuple(name for name in given if name not in used)
    return result, Listing(
        loaded=tuple(kinds["loaded"]), resized=tuple(kinds["resized"]), fresh=tuple(kinds["fresh"]), unused=unused
    )


def _made(
    name: str, target: Tensor, old: Tensor | None, axis: ClassAxis | None, network: nn.Module, change: Change
) -> tuple[Tensor, str]:
    if old is None:
        return target, "fresh"
    on_device = target if target.device.type != "meta" else torch.empty(target.shape, dtype=target.dtype)
    if axis is not None and change.old.classes and _fits_but(old, target, axis.axis):
        return gather(old, on_device, change.classes, axis), "resized"
    if not change.same_channels:
        made = _other_channels(name, old, network, change)
        if made is not None and made.shape == target.shape:
            return made.to(target.dtype), "resized"
    return (old, "loaded") if old.shape == target.shape else (target, "fresh")


def _fits_but(old: Tensor, target: Tensor, axis: int) -> bool:
    return old.ndim == target.ndim and all(
        a == b for place, (a, b) in enumerate(zip(old.shape, target.shape, strict=True)) if place != axis
    )


def _other_channels(name: str, old: Tensor, network: nn.Module, change: Change) -> Tensor | None:
    """Return what a convolution that makes or reads images becomes: every new channel is the mean of the old ones."""
    layer, _, kind = name.rpartition(".")
    channels = change.new.channels
    if isinstance(network, Generator) and layer == "output_conv" and kind in ("weight", "bias"):
        mean = old[: change.old.channels].mean(dim=0, keepdim=True)
        return mean.expand(channels, *mean.shape[1:]).clone()
    if isinstance(network, Discriminator) and layer in _FIRST_OF_D and kind == "weight":
        total = old.sum(dim=1, keepdim=True) / channels
        return total.expand(-1, channels, *total.shape[2:]).clone()
    return None


def transplant_moments(
    network: nn.Module, moments: Mapping[str, Tensor], listing: Listing, change: Change
) -> dict[str, Tensor]:
    """Return Adam's moments of all parameters that were loaded or have rows of classes.

    A new row has no first moment, and the mean of the old rows as its second: with none its first update would be
    thirty times too large.
    """
    axes = {} if change.same_classes else class_axes(network, dense=change.new.dense_class_tables)
    taken: dict[str, Tensor] = {}
    for full, value in moments.items():
        name, _, kind = full.rpartition("/")
        if name in listing.loaded or (name in listing.resized and kind == "step" and name in axes):
            taken[full] = value
        elif name in listing.resized and name in axes:
            axis = axes[name]
            rows = value.movedim(axis.axis, 0)
            filler = torch.zeros_like(rows[0]) if kind == "exp_avg" else rows.mean(dim=0)
            count = len(change.classes) * axis.each + axis.rest
            all_new = filler.expand(count, *filler.shape).movedim(0, axis.axis)
            old_only = [origin if origin.old is not None else ClassOrigin(how="fresh") for origin in change.classes]
            taken[full] = gather(value, all_new, old_only, axis)
    return taken


@torch.no_grad()
def settle(network: nn.Module, names: Sequence[str]) -> None:
    """Let the spectral-norm vectors of the resized weights among ``names`` converge, in place."""
    for name, layer in network.named_modules():
        if isinstance(layer, SpectrallyNormalized) and f"{name}.weight" in names:
            mode = layer.training
            layer.train()
            for _ in range(_SETTLING):
                layer.normalized_weight()
            layer.train(mode)


@torch.no_grad()
def keep_contrast(generator: Generator, given: Mapping[str, Tensor], old: Architecture) -> None:
    """Scale what enters the last convolution, in place, so that its output is exactly the mean of the old channels.

    Spectral norm divides the resized weight by another number than it did the old one; relu and the convolution are
    positively homogeneous, so that the gain and bias before them can make up for that.
    """
    original = build_generator(old).to(next(iter(given.values())).dtype)
    original.load_state_dict(dict(given))
    before, after = original.eval().output_conv, generator.output_conv
    norm = getattr(generator, "output_norm", None)
    if norm is None:  # a family that normalises nothing in G, convolutions neither
        return
    assert isinstance(norm, AffineNorm)
    mode = generator.training
    generator.eval()
    wanted = _effective(before)[: old.channels].mean(dim=0).to(norm.gain.device)
    found = _effective(after)[0]
    generator.train(mode)
    factor = (wanted * found).sum() / found.square().sum()
    norm.gain.mul_(factor)
    norm.bias.mul_(factor)


def _effective(layer: object) -> Tensor:
    if isinstance(layer, SpectrallyNormalized):
        return layer.normalized_weight()
    assert isinstance(layer, nn.Conv2d)
    return layer.weight
