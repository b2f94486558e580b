"""``biggan export``: networks as files for others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from biggan.cli.parsing import read_options
from biggan.foundation.outputs import OverwriteOption
from biggan.foundation.terminal import say


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OverwriteOption):
    """Write the networks of a run for other programs, or for training to go on from, and check what was written."""

    file: tyro.conf.Positional[str]
    """A run (its newest checkpoint), a checkpoint, a snapshot, or an export."""
    to: Literal["safetensors", "biggan-pytorch", "onnx", "torch-export", "page"]
    """safetensors: G, its average and, if asked for, D and moments, to sample from and to train on from;
    biggan-pytorch: the same as the files that it saves; onnx, torch-export: programs for ONNX Runtime, PyTorch;
    page: a folder that draws in a browser."""
    out: str | None = None
    """File (biggan-pytorch, page: folder) to write; by default beside what was named, after the images seen."""
    with_discriminator: bool = False
    """D as well."""
    with_optimizers: bool = False
    """Adam's moments as well: of G, and of D if that is exported."""
    truncation: float | None = None
    """Fix batch norm to the statistics of this truncation, from the file's bank; by default those of its weights."""
    truncation_kind: Literal["resample", "scale", "clamp", "tfhub"] = "resample"
    """How latents will be truncated."""
    mix_classes: bool = False
    """Labels become weights of classes, float32 [N, classes], so that images between classes can be drawn."""
    uint8: bool = False
    """Images become uint8 in 0..255."""
    runtime: str | None = None
    """ONNX Runtime Web, by which a page draws: the folder dist of the npm package onnxruntime-web, which is copied, or
    an https address of it."""


def main(words: list[str]) -> int:
    """Export."""
    options = read_options(ExportOptions, words, "biggan export")
    from biggan.exporting.contract import ExportRequest
    from biggan.exporting.export import export

    request = ExportRequest(
        discriminator=options.with_discriminator,
        optimizers=options.with_optimizers,
        truncation=options.truncation,
        kind=options.truncation_kind,
        mixtures=options.mix_classes,
        uint8=options.uint8,
        runtime=options.runtime,
    )
    out = None if options.out is None else Path(options.out)
    say("\n".join(export(Path(options.file), options.to, request, out, overwrite=options.overwrite)))
    return 0
