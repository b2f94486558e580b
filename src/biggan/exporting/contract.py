"""What every export format offers, which there are, and what may be asked of them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biggan.foundation.registry import Registry
from biggan.models.norm_records import TruncationKind

if TYPE_CHECKING:
    from biggan.models.export_file import Export


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is to be exported."""

    discriminator: bool = False
    """D as well."""
    optimizers: bool = False
    """Adam's moments as well."""
    truncation: float | None = None
    """T whose statistics of batch norm G is given, by the file's bank; None for those of its weights."""
    kind: TruncationKind = "resample"
    """How latents are truncated."""
    mixtures: bool = False
    """Labels are weights of classes, float32 [N, classes], in place of indices."""
    uint8: bool = False
    """Images are uint8 in 0..255, in place of float32 in [-1, 1]."""
    shares: bool = False
    """G takes shares of the file's statistics of batch norm as a further input, see
    :mod:`biggan.exporting.banked_program`."""
    runtime: str | None = None
    """Folder or address of the program that runs the generator where the export is opened."""
    name: str = ""
    """Of the run or file that is exported, for people."""


@dataclass(frozen=True, kw_only=True)
class ExportFormat:
    """One way of writing networks for others."""

    name: str
    suffix: str
    """Of its file; empty if it writes a folder."""
    write: Callable[[Export, Path, ExportRequest], list[str]]
    """Write to a place that may be written to, all or nothing; return lines to tell."""
    optimizers: bool
    """Whether it can hold moments."""
    runs: bool
    """Whether it holds programs, which fix truncation, labels and pixels, and not only tensors."""
    refuse: Callable[[Export, ExportRequest], None] = lambda _export, _request: None
    """Raise ``UserError`` for what the format cannot express, before anything is written."""
    refuse_request: Callable[[ExportRequest], None] = lambda _request: None
    """Raise ``UserError`` for what the format never has, before anything is read."""
    runtime: bool = False
    """Whether it carries the program that runs it."""
    packages: tuple[str, ...] = ()
    """What must be installed."""


FORMATS: Registry[ExportFormat] = Registry(
    "--to",
    {
        "safetensors": "biggan.exporting.whole_file:FORMAT",
        "biggan-pytorch": "biggan.exporting.original_files:FORMAT",
        "onnx": "biggan.exporting.onnx_file:FORMAT",
        "torch-export": "biggan.exporting.torch_program:FORMAT",
        "page": "biggan.exporting.page_folder:FORMAT",
    },
)


def discriminator_place(path: Path) -> Path:
    """Return where the program of D goes if that of G goes to ``path``."""
    return path.with_name(f"{path.stem}-discriminator{path.suffix}")
