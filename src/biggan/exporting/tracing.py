"""One way from a program to its graph, for every format that holds graphs."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

from biggan.exporting.card import Card, card
from biggan.exporting.contract import ExportRequest, discriminator_place
from biggan.exporting.programs import TRACED, Program, programs
from biggan.foundation.files import replacing
from biggan.models.export_file import Export


def traced(program: Program) -> torch.export.ExportedProgram:
    """Return the graph of a program, with the batch free from 1."""
    inputs = program.inputs(TRACED)
    batch = torch.export.Dim("batch", min=1)
    free = len(inputs) - program.shared_inputs
    # Where inputs are gathered by one argument (*inputs), so are the shapes.
    shapes = tuple({0: batch} if place < free else {} for place in range(len(inputs)))
    with quiet():
        return torch.export.export(
            program.module, inputs, dynamic_shapes=(shapes,) if program.shared_inputs else shapes, strict=False
        )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries say to their own developers off the terminal."""
    names = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def write_programs(
    export: Export, path: Path, request: ExportRequest, write_one: Callable[[Program, Card, Path], str]
) -> list[str]:
    """Write one file a network, all or none: ``path`` for G, and beside it, with -discriminator in its name, D.

    Args:
        export: what was read.
        path: of the generator's file.
        request: what is asked for.
        write_one: writes one program under a temporary name and checks what it wrote; returns a line to tell.

    Raises:
        UserError: a written file does not do what the network does; nothing is left of it.
    """
    lines: list[str] = []
    with ExitStack() as stack:
        for program in programs(export, request):
            place = path if program.name == "generator" else discriminator_place(path)
            temporary = stack.enter_context(replacing(place))
            if program.statistics is not None:
                lines.append(f"batch norm: {program.statistics}")
            lines.append(write_one(program, card(export, program, request), temporary))
            lines.append(str(place))
    return lines
