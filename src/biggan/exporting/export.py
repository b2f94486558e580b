"""From a run, a checkpoint, a snapshot or an export to files for others."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from biggan.exporting.contract import FORMATS, ExportFormat, ExportRequest, discriminator_place
from biggan.foundation.errors import UserError
from biggan.foundation.files import require_space
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS
from biggan.foundation.outputs import output_file, output_folder, refuse_source
from biggan.foundation.terminal import one_line
from biggan.models.continuation import Continuation
from biggan.models.export_file import Export
from biggan.models.norm_records import check_range
from biggan.training.exportable import read_exportable

_BESIDE_TENSORS = 2**22
"""Bytes of graph, header and metadata, in the estimate of what an export needs."""


def check_request(name: str, request: ExportRequest) -> ExportFormat:
    """Return the format ``name``, if what is asked of it can be asked, before anything is read.

    Raises:
        UserError: no such format, an option that it does not have, or a package that is not installed.
    """
    chosen = FORMATS[name]
    check_range(request.truncation, "--truncation")
    if request.optimizers and not chosen.optimizers:
        able = ", ".join(other for other in FORMATS if FORMATS[other].optimizers)
        raise UserError(f"--with-optimizers: {name} holds no optimizers; leave it out, or choose --to {able}")
    for option, given in (
        ("--truncation", request.truncation is not None),
        ("--mix-classes", request.mixtures),
        ("--uint8", request.uint8),
    ):
        if given and not chosen.runs:
            raise UserError(f"{option}: {name} holds weights, not a program; leave it out, or choose --to onnx")
    if request.runtime is not None and not chosen.runtime:
        raise UserError(f"--runtime: {name} is run by programs of others; leave it out, or choose --to page")
    chosen.refuse_request(request)
    missing = [package for package in chosen.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f'--to {name} needs {", ".join(missing)}: pip install "biggan-torch[export]"')
    return chosen


def export(source: Path, name: str, request: ExportRequest, out: Path | None, *, overwrite: bool = False) -> list[str]:
    """Write the networks at ``source`` for others; return lines to tell.

    Args:
        source: a run (its newest checkpoint), a checkpoint, a snapshot or an export.
        name: of the format.
        request: what of them, and how.
        out: the file or folder to write; by default beside the run or file, after the images seen.
        overwrite: whether what is there may be replaced.

    Raises:
        UserError: what is asked for is not there, cannot be expressed in the format, or cannot be written; nothing was.
    """
    chosen = check_request(name, request)
    if out is not None:
        _check_places(out, chosen, request, overwrite=overwrite)  # before anything is read
    found, where = read_exportable(source)
    _check_there(found, request, where)
    chosen.refuse(found, request)
    path = out or _beside(source) / f"{found.info.images_seen}-{'export' if chosen.suffix else name}{chosen.suffix}"
    _check_places(path, chosen, request, overwrite=overwrite)
    refuse_source(path, [where])
    taken = _taken(found, request)
    require_space(path.parent, _bytes(taken), f"the export {path.name}")
    lines = [f"from {one_line(str(where))}, weights {found.info.age}"]
    if found.others:
        lines.append(f"left out, as no other program knows them: {one_line(', '.join(found.others))}")
    return [*lines, *chosen.write(taken, path, dataclasses.replace(request, name=name_of(source)))]


def _check_places(path: Path, chosen: ExportFormat, request: ExportRequest, *, overwrite: bool) -> None:
    if not chosen.suffix:
        output_folder(path, overwrite=overwrite)
        return
    output_file(path, overwrite=overwrite)
    if chosen.runs and request.discriminator:
        output_file(discriminator_place(path), overwrite=overwrite)


def _beside(source: Path) -> Path:
    """Return the run that ``source`` is or belongs to, else its own folder."""
    for path in (source, *source.absolute().parents):
        if path.name in (CHECKPOINTS, SNAPSHOTS):
            return path.parent
    return source if source.is_dir() else source.parent


def name_of(source: Path) -> str:
    """Return what people call ``source``: the run that it is or belongs to, else the file."""
    place = _beside(source).resolve()
    belongs = source.is_dir() or any((place / inner).is_dir() for inner in (CHECKPOINTS, SNAPSHOTS))
    return place.name if belongs else source.stem


def _check_there(export: Export, request: ExportRequest, where: Path) -> None:
    shown = one_line(str(where))
    if request.discriminator and export.discriminator is None:
        raise UserError(f"--with-discriminator: {shown} holds G alone; name the run or a checkpoint of it")
    if request.optimizers and "generator" not in export.moments:
        raise UserError(
            f"--with-optimizers: {shown} holds no moments of optimizers; name the run or a checkpoint of it"
        )


def _taken(export: Export, request: ExportRequest) -> Export:
    """Return the parts of ``export`` that were asked for, described as such: always what is sampled, and G itself."""
    had = export.info.continuation or Continuation()
    moments = {
        name: found
        for name, found in export.moments.items()
        if request.optimizers and (name == "generator" or request.discriminator)
    }
    continuation = Continuation(
        generator=export.raw is not None,
        discriminator=request.discriminator,
        generator_adam=had.generator_adam if "generator" in moments else None,
        discriminator_adam=had.discriminator_adam if "discriminator" in moments else None,
    )
    plain = continuation == Continuation()
    return dataclasses.replace(
        export,
        info=dataclasses.replace(export.info, continuation=None if plain else continuation),
        discriminator=export.discriminator if request.discriminator else None,
        moments=moments,
    )


def _bytes(export: Export) -> int:
    """Return how many bytes an export takes at most."""
    parts = (export.sampled, export.bank, export.raw or {}, export.discriminator or {}, *export.moments.values())
    return sum(t.numel() * t.element_size() for part in parts for t in part.values()) + _BESIDE_TENSORS
