"""``--to torch-export``: programs of ``torch.export``, which PyTorch runs without this package."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from biggan.exporting.card import Card, card_text
from biggan.exporting.contract import ExportFormat, ExportRequest
from biggan.exporting.programs import Program, agreed, refuse
from biggan.exporting.tracing import quiet, traced, write_programs
from biggan.models.export_file import Export

CARD = "biggan.json"
"""Name of the card among the program's extra files."""


def write(export: Export, path: Path, request: ExportRequest) -> list[str]:
    """Write and check the programs."""
    return write_programs(export, path, request, _write_one)


def _write_one(program: Program, card: Card, path: Path) -> str:
    graph = traced(program)
    content = io.BytesIO()  # on a full disk the library's own writer ends the process
    with quiet():
        torch.export.save(graph, content, extra_files={CARD: card_text(card)})
    path.write_bytes(content.getbuffer())
    return check(program, path)


def check(program: Program, path: Path) -> str:
    """Compare the program in a file with the network, on several batches; return a line to tell.

    Raises:
        UserError: they differ.
    """
    with quiet():  # from memory, as the loader judges a file by its name, which is a temporary one
        again = torch.export.load(io.BytesIO(path.read_bytes())).module()
    return agreed(program, lambda inputs: again(*inputs))


FORMAT = ExportFormat(name="torch-export", suffix=".pt2", write=write, optimizers=False, runs=True, refuse=refuse)
