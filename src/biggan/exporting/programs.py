"""The networks as programs: what is traced, with example inputs, and by what they are checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from biggan.exporting.banked_program import INPUT, BankedProgram, BankedReference, checked_at, shares_at
from biggan.exporting.contract import ExportRequest
from biggan.foundation.errors import UserError
from biggan.foundation.images import to_bytes
from biggan.foundation.seeding import normals
from biggan.layers.normalization import batch_norms
from biggan.layers.spectral_norm import without_spectral_norm
from biggan.models.architecture import Architecture
from biggan.models.contract import Discriminator, Generator, build_discriminator, build_generator
from biggan.models.export_file import Export
from biggan.models.snapshot import load_exactly
from biggan.sampling.bank import Bank, checked_bank
from biggan.sampling.latents import latents
from biggan.sampling.statistics import NormStatistics, norm_statistics

BATCHES = (1, 2, 5)
"""Sizes of the batches with which a program is checked; it was traced with another one."""
TRACED = 3
TOLERANCE = 1e-3
"""Largest difference in images (which span 2; an eighth of a grey level), and in scores relative to the largest
of a batch if that is above 1."""
GREY = 1.0
"""Largest difference in images of bytes: a number between two of them is rounded either way."""


class GeneratorProgram(nn.Module):
    """z float32 [N, z_size] and labels int64 [N], or weights of classes float32 [N, classes], to images."""

    def __init__(self, generator: Generator, request: ExportRequest) -> None:
        super().__init__()
        self.generator = generator
        self.mixtures, self.uint8 = request.mixtures, request.uint8

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return images float32 [N, C, H, W] in [-1, 1], or uint8; there are no labels without classes."""
        if labels is None:
            images = self.generator.synthesize(z, z.new_zeros(z.shape[0], 0))
        elif self.mixtures:
            table = self.generator.class_embedding
            images = self.generator.synthesize(z, labels if table is None else table(labels))
        else:
            images = self.generator(z, labels)
        return to_bytes(images) if self.uint8 else images


class DiscriminatorProgram(nn.Module):
    """Images float32 [N, C, H, W] in [-1, 1] and labels int64 [N] to scores float32 [N, 1]."""

    def __init__(self, discriminator: Discriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return scores; there are no labels without classes."""
        if labels is None:
            labels = torch.zeros(images.shape[0], dtype=torch.int64, device=images.device)
        scores: Tensor = self.discriminator(images, labels)
        return scores


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """One network, ready to be traced and checked."""

    name: str
    """``generator`` or ``discriminator``."""
    module: nn.Module
    """With plain weights: spectral norm is divided out."""
    reference: nn.Module
    """The same with the layers that training uses, against which the written file is checked."""
    inputs: Callable[[int], tuple[Tensor, ...]]
    """From a batch size to inputs for tracing and checking, one batch always the same."""
    input_names: tuple[str, ...]
    output_name: str
    shared_inputs: int = 0
    """Inputs, the last ones, that are one for all images of a batch."""
    tolerance: float = TOLERANCE
    """Largest difference allowed."""
    statistics: NormStatistics | None = None
    """Of batch norm, in a generator."""


def programs(export: Export, request: ExportRequest) -> list[Program]:
    """Return G and, if asked for, D.

    Raises:
        UserError: a truncation for which the file holds no statistics.
    """
    found = [_generator(export, request)]
    if export.discriminator is not None:
        found.append(_discriminator(export))
    return found


def refuse(export: Export, request: ExportRequest) -> None:
    """Check that the networks can be exported as programs as asked.

    Raises:
        UserError: mixtures of classes that there are not, or a truncation for which there are no statistics.
    """
    model = export.info.architecture
    if request.mixtures and not model.classes:
        raise UserError("--mix-classes: this generator is unconditional; leave it out")
    bank = export.info.truncation_bank
    if request.truncation is not None and (bank is None or bank.kind != request.kind):
        held = "none" if bank is None else f"those of kind {bank.kind}"
        raise UserError(
            f"--truncation {request.truncation:g}: statistics of batch norm by truncation ({request.kind}) are not in "
            f"this file, which holds {held}; make such a file by 'biggan calibrate', or leave the option out"
        )


def _generator(export: Export, request: ExportRequest) -> Program:
    info = export.info
    with torch.device("meta"):
        generator = build_generator(info.architecture)
    load_exactly(generator, dict(export.sampled), "the generator")
    generator.eval().requires_grad_(False)
    record = info.truncation_bank
    if request.truncation is not None and record is not None:
        generator = checked_bank(record, export.bank, generator, "the file").at(generator, request.truncation)
    statistics = norm_statistics(
        batch_norm=bool(batch_norms(generator)),
        standing=info.standing_statistics,
        bank=record,
        truncation=request.truncation,
        kind=request.kind,
    )
    folded = without_spectral_norm(generator)
    assert isinstance(folded, Generator)
    if request.shares and record is not None:
        bank = checked_bank(record, export.bank, generator, "the file")
        return _banked(info.architecture, request, generator, folded, bank, statistics)
    return Program(
        name="generator",
        module=GeneratorProgram(folded, request).eval(),
        reference=GeneratorProgram(generator, request).eval(),
        inputs=lambda count: _generator_inputs(info.architecture, request, count),
        input_names=("z", "labels") if info.architecture.classes else ("z",),
        output_name="images",
        tolerance=GREY if request.uint8 else TOLERANCE,
        statistics=statistics,
    )


def _banked(
    model: Architecture,
    request: ExportRequest,
    generator: Generator,
    folded: Generator,
    bank: Bank,
    statistics: NormStatistics,
) -> Program:
    """Return a generator whose statistics an input mixes, see :mod:`biggan.exporting.banked_program`."""
    at = checked_at(bank, (*BATCHES, TRACED))
    reference = {
        count: GeneratorProgram(generator if t is None else bank.at(generator, t), request) for count, t in at.items()
    }
    return Program(
        name="generator",
        module=BankedProgram(GeneratorProgram(folded, request), bank).eval(),
        reference=BankedReference(dict(reference)).eval(),
        inputs=lambda count: (*_generator_inputs(model, request, count), shares_at(bank, at[count])),
        input_names=("z", "labels", INPUT) if model.classes else ("z", INPUT),
        output_name="images",
        shared_inputs=1,
        tolerance=GREY if request.uint8 else TOLERANCE,
        statistics=statistics,
    )


def _discriminator(export: Export) -> Program:
    model = export.info.architecture
    with torch.device("meta"):
        discriminator = build_discriminator(model)
    load_exactly(discriminator, dict(export.discriminator or {}), "the discriminator")
    discriminator.eval().requires_grad_(False)
    folded = without_spectral_norm(discriminator)
    assert isinstance(folded, Discriminator)
    return Program(
        name="discriminator",
        module=DiscriminatorProgram(folded).eval(),
        reference=DiscriminatorProgram(discriminator).eval(),
        inputs=lambda count: _discriminator_inputs(model, count),
        input_names=("images", "labels") if model.classes else ("images",),
        output_name="scores",
    )


def _generator_inputs(model: Architecture, request: ExportRequest, count: int) -> tuple[Tensor, ...]:
    z = latents(range(count), model.z_size, request.truncation, request.kind)
    if not model.classes:
        return (z,)
    if request.mixtures:
        return z, torch.softmax(torch.from_numpy(normals(0, "check of an export", count, 0, count, model.classes)), 1)
    return z, _labels(model, count)


def _discriminator_inputs(model: Architecture, count: int) -> tuple[Tensor, ...]:
    height, width = model.resolution
    values = normals(0, "check of an export", count, 0, count, model.channels * height * width)
    images = torch.tanh(torch.from_numpy(values)).reshape(count, model.channels, height, width)
    return (images, _labels(model, count)) if model.classes else (images,)


def _labels(model: Architecture, count: int) -> Tensor:
    """Return labels that are spread over all classes, the last included."""
    return torch.linspace(model.classes - 1, 0, count).round().to(torch.int64)


@torch.no_grad()
def agreed(program: Program, run: Callable[[tuple[Tensor, ...]], Tensor]) -> str:
    """Compare what ``run`` gives with the network itself, for several batches; return a line to tell.

    Raises:
        UserError: another shape or type, or a difference beyond what is allowed.
    """
    largest = 0.0
    for count in BATCHES:
        inputs = program.inputs(count)
        expected, found = program.reference(*inputs), run(inputs)
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise UserError(
                f"the exported {program.name} gives {found.dtype} {tuple(found.shape)} for a batch of {count}, not "
                f"{expected.dtype} {tuple(expected.shape)}; it was removed"
            )
        scale = max(1.0, float(expected.abs().max())) if program.name == "discriminator" else 1.0
        apart = (found.double() - expected.double()).abs().max().item() / scale
        largest = largest if apart <= largest else apart  # not max(): what is no number must not be lost
    unit = " levels of grey" if program.tolerance > TOLERANCE else ""
    if not largest <= program.tolerance:
        raise UserError(
            f"the exported {program.name} differs from the network by {largest:.2g}{unit}, and {program.tolerance:g} "
            "is allowed; it was removed. Please report this, with the architecture"
        )
    batches = ", ".join(map(str, BATCHES))
    return (
        f"{program.name}: differs from the network by at most {largest:.2g}{unit} ({program.tolerance:g} allowed), "
        f"over batches of {batches}"
    )
