"""``--to page``: a folder that a browser opens, in which the generator draws without Python or a server of its own."""

from __future__ import annotations

import base64
import html
import shutil
from pathlib import Path

from biggan.exporting.card import card
from biggan.exporting.contract import ExportFormat, ExportRequest
from biggan.exporting.onnx_file import PACKAGES, write_one
from biggan.exporting.page_runtime import BINARY, FOLDER, GLUE, Runtime, find_runtime, policy
from biggan.exporting.page_settings import MODEL, drawn_by, settings, settings_script
from biggan.exporting.programs import programs
from biggan.exporting.programs import refuse as refuse_programs
from biggan.foundation.errors import UserError
from biggan.foundation.files import format_bytes, replacing_folder, require_space
from biggan.foundation.terminal import typed
from biggan.models.export_file import Export

SOURCES = Path(__file__).with_name("page")
"""The page's own files."""
COPIED = ("page.css", "latents.js", "state.js", "png.js", "drawing.js", "page.js")
EMBEDDED = 2**26
"""Largest generator, in bytes of its file, that also lies there as a script."""
LARGEST = 2**30
"""Bytes of weights: WebAssembly has 4 GiB, for the file, its weights and what an image needs."""


def refuse_request(request: ExportRequest) -> None:
    """Check that a page can have what is asked for, before anything is read.

    Raises:
        UserError: it cannot, or what ``--runtime`` names is no onnxruntime-web.
    """
    for option, given in (
        ("--with-discriminator", request.discriminator),
        ("--mix-classes", request.mixtures),
        ("--uint8", request.uint8),
    ):
        if given:
            raise UserError(f"{option}: a page has its own form of the generator; leave it out, or choose --to onnx")
    find_runtime(request.runtime)


def refuse(export: Export, request: ExportRequest) -> None:
    """Check that a browser can hold the generator.

    Raises:
        UserError: it cannot, or there are no statistics for the truncation.
    """
    refuse_programs(export, request)
    size = _bytes(export)
    if size > LARGEST:
        raise UserError(
            f"--to page: the generator has {format_bytes(size)} of weights, and a page takes {format_bytes(LARGEST)} "
            "of the 4 GiB that WebAssembly has for all that it needs; use --to onnx"
        )


def write(export: Export, path: Path, request: ExportRequest) -> list[str]:
    """Write the folder, whole or not at all, and check its generator; return lines to tell."""
    runtime = find_runtime(request.runtime)
    bank = export.info.truncation_bank if export.bank and request.truncation is None else None
    asked = ExportRequest(
        truncation=request.truncation,
        kind=request.kind,
        mixtures=bool(export.info.architecture.classes),
        shares=bank is not None,
    )
    copied = sum(file.stat().st_size for file in runtime.files)
    require_space(path.parent, 3 * (_bytes(export) + copied), f"the page {path.name}")
    (program,) = programs(export, asked)
    assert program.statistics is not None  # of a generator
    facts = card(export, program, asked)
    with replacing_folder(path) as folder:
        line = write_one(program, facts, folder / MODEL)
        embedded = (folder / MODEL).stat().st_size <= EMBEDDED
        _write_page(folder, runtime, embedded=embedded)
        record = drawn_by(export, program.statistics, runtime)
        script = settings_script(settings(facts, bank, runtime, record, name=request.name, embedded=embedded))
        (folder / "settings.js").write_text(script, encoding="ascii")
    source = f"onnxruntime-web {runtime.version}, copied" if runtime.files else f"ONNX Runtime Web of {runtime.address}"
    opened = (
        f"open {path / 'index.html'} in a browser, or put the folder on any static host"
        if embedded
        else f"put the folder on any static host, or: python -m http.server --directory {typed(path)}"
    )
    statistics = [] if program.statistics is None else [f"batch norm: {program.statistics}"]
    if bank is not None:
        statistics.append(f"truncation by {bank.kind}: statistics for {len(bank.truncations)} values of T, as sampled")
    return [*statistics, line, source, opened, str(path)]


def _write_page(folder: Path, runtime: Runtime, *, embedded: bool) -> None:
    """Write all but the generator and the settings."""
    for name in COPIED:
        shutil.copyfile(SOURCES / name, folder / name)
    page = (SOURCES / "index.html").read_text(encoding="utf-8")
    filled = page.replace("@POLICY@", html.escape(policy(runtime, embedded=embedded)))
    (folder / "index.html").write_text(filled, encoding="utf-8", newline="\n")
    if runtime.files:
        (folder / FOLDER).mkdir()
    for file in runtime.files:
        shutil.copyfile(file, folder / FOLDER / file.name)
    if embedded:
        (folder / "embedded").mkdir()
        found = [folder / MODEL, *(file for file in runtime.files if file.name in (GLUE, BINARY))]
        for file in found:
            text = base64.b64encode(file.read_bytes()).decode()
            (folder / "embedded" / f"{file.name}.js").write_text(f'BIGGAN_FILES["{file.name}"] = "{text}";\n')


def _bytes(export: Export) -> int:
    tensors = [*export.sampled.values(), *export.bank.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


FORMAT = ExportFormat(
    name="page",
    suffix="",
    write=write,
    optimizers=False,
    runs=True,
    refuse=refuse,
    refuse_request=refuse_request,
    runtime=True,
    packages=PACKAGES,
)
