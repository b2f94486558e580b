"""``--to safetensors``: one file of our own, from which training goes on and every reader of snapshots samples."""

from __future__ import annotations

from pathlib import Path

from biggan.exporting.contract import ExportFormat, ExportRequest
from biggan.models.export_file import Export, write_export


def write(export: Export, path: Path, request: ExportRequest) -> list[str]:  # noqa: ARG001 - one form for all formats
    """Write the file; return what it holds."""
    write_export(path, export)
    info = export.info
    parts = ["the moving average of G" if info.weights == "ema" else "G itself"]
    parts += [] if info.continuation is None else info.continuation.parts
    if info.truncation_bank is not None:
        parts.append(f"statistics for {len(info.truncation_bank.truncations)} truncations")
    return [f"holds {', '.join(parts)}", str(path)]


FORMAT = ExportFormat(name="safetensors", suffix=".safetensors", write=write, optimizers=True, runs=False)
