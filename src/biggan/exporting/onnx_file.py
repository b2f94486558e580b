"""``--to onnx``: programs that ONNX Runtime runs, without PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from biggan.exporting.card import KEY, Card, card_text
from biggan.exporting.contract import ExportFormat, ExportRequest
from biggan.exporting.programs import Program, agreed
from biggan.exporting.programs import refuse as refuse_programs
from biggan.exporting.tracing import quiet, traced, write_programs
from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes
from biggan.models.export_file import Export

OPSET = 20
"""Version of ONNX's operators; ONNX Runtime knows it from 1.17."""
LARGEST = 2**31 - 2**24
"""Bytes of weights: one file of protocol buffers holds no more than 2 GiB."""
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""That write and check such a file."""


def refuse(export: Export, request: ExportRequest) -> None:
    """Check that the networks fit into such a file.

    Raises:
        UserError: they do not.
    """
    refuse_programs(export, request)
    wanted = {"generator": export.sampled}
    if request.discriminator and export.discriminator is not None:
        wanted["discriminator"] = export.discriminator
    for name, tensors in wanted.items():
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        if size > LARGEST:
            raise UserError(
                f"--to onnx: the {name} has {format_bytes(size)} of weights, and one ONNX file holds 2 GiB; use --to "
                "torch-export"
            )


def write(export: Export, path: Path, request: ExportRequest) -> list[str]:
    """Write and check the programs."""
    return [*write_programs(export, path, request, write_one), f"ONNX opset {OPSET}, one file each, dynamic batch"]


def write_one(program: Program, card: Card, path: Path) -> str:
    """Write one program and check what was written; return a line to tell.

    Raises:
        UserError: it differs from the network.
    """
    graph = traced(program)
    with quiet():
        made: Any = torch.onnx.export(
            graph,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(program.input_names),
            output_names=[program.output_name],
            verbose=False,
        )
        made.model.metadata_props[KEY] = card_text(card)
        made.model.producer_name, made.model.producer_version = "biggan-torch", card.written_by.rpartition(" ")[2]
        made.save(path, external_data=False)
    return check(program, path)


def check(program: Program, path: Path) -> str:
    """Compare the program in a file, run by ONNX Runtime, with the network, on several batches; return a line to tell.

    Raises:
        UserError: they differ.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(inputs: tuple[torch.Tensor, ...]) -> torch.Tensor:
        feed = {name: value.numpy() for name, value in zip(program.input_names, inputs, strict=True)}
        (found,) = session.run([program.output_name], feed)
        return torch.from_numpy(found)

    return agreed(program, run)


FORMAT = ExportFormat(
    name="onnx",
    suffix=".onnx",
    write=write,
    optimizers=False,
    runs=True,
    refuse=refuse,
    packages=PACKAGES,
)
