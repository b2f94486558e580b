"""What a page is told about its generator: a script with one JSON value, of text that is never HTML."""

from __future__ import annotations

import json
from typing import Any

from biggan.exporting.card import Card
from biggan.exporting.page_runtime import Runtime
from biggan.foundation.config import to_json
from biggan.foundation.terminal import one_line
from biggan.models.export_file import Export
from biggan.models.norm_records import TruncationBank
from biggan.sampling.identity import tensors_hash
from biggan.sampling.latents import TRUNCATION_KINDS
from biggan.sampling.picture_record import VERSION, Machine
from biggan.sampling.statistics import NormStatistics
from biggan.version import __version__

_LONGEST_NAME = 300
MODEL = "generator.onnx"
"""Within a page's folder."""


def drawn_by(export: Export, statistics: NormStatistics, runtime: Runtime) -> dict[str, Any]:
    """Return what every image of a page says in its file; ``png.js`` adds class, seed and truncation.

    The form is that of :class:`biggan.sampling.picture_record.PictureRecord`.

    Args:
        export: whose generator draws.
        statistics: of batch norm, of images whose truncation they do not follow.
        runtime: by which the page draws.
    """
    release = f"ONNX Runtime Web {runtime.version}".strip()
    machine = Machine(device="cpu", threads=1, channels_last=False, compiled=False, torch=release, biggan=__version__)
    bank = {"bank": tensors_hash(export.bank)} if export.bank else {}
    return {
        "version": VERSION,
        "generator": tensors_hash(export.sampled),
        "images_seen": export.info.images_seen,
        "statistics": {name: value for name, value in to_json(statistics).items() if value is not None},
        **bank,
        "batch": 1,
        "machine": to_json(machine),
    }


def settings(
    card: Card,
    bank: TruncationBank | None,
    runtime: Runtime,
    record: dict[str, Any],
    *,
    name: str = "",
    embedded: bool,
) -> dict[str, Any]:
    """Return what ``page.js`` reads, see there.

    Args:
        card: of the generator's program.
        bank: of whose statistics the program takes shares; None if it has one set of statistics alone.
        runtime: by which the page draws.
        record: see :func:`drawn_by`.
        name: of the run or file, the page's title.
        embedded: whether generator and runtime also lie there as scripts, for a page that is opened as a file.
    """
    height, width = card.resolution
    kinds, note = _truncations(card, bank)
    average = "moving average of the generator" if card.weights == "ema" else "generator itself"
    classes = f", {card.classes} class{'es' * (card.classes != 1)}" if card.classes else ""
    return {
        "title": one_line(name, _LONGEST_NAME) or f"Images by {_family(card.family)}",
        "about": (
            f"{width} x {height} pixels{classes}, by {_family(card.family)}. Drawn in this browser; nothing is sent "
            "anywhere."
        ),
        "provenance": (
            f"{average[0].upper()}{average[1:]} after {card.images_seen:,} images; batch norm: {card.norm_statistics}. "
            f"A seed means the same image as in “biggan sample”. Written by {card.written_by}."
        ),
        "height": height,
        "width": width,
        "channels": card.channels,
        "classes": card.classes,
        # Characters that command or reorder are written out.
        "classNames": [one_line(name, _LONGEST_NAME) for name in card.class_names],
        "latentSize": card.latent_size,
        "kinds": kinds,
        "truncation": card.truncation,
        "truncationNote": note,
        "bank": None if bank is None else _bank(bank),
        "record": record,
        "model": MODEL,
        "embedded": embedded,
        "runtime": runtime.address,
        "runtimeIsLocal": bool(runtime.files),
    }


def settings_script(values: dict[str, Any]) -> str:
    """Return the script: ASCII alone, so that no character ends a line, a string or the script."""
    text = json.dumps(values, ensure_ascii=True, allow_nan=False, indent=1).replace("<", "\\u003c")
    return f'"use strict";\nglobalThis.BIGGAN = {text};\n'


def _truncations(card: Card, bank: TruncationBank | None) -> tuple[list[str], str]:
    """Return which truncations give our images by this graph, whose statistics are fixed, and a sentence."""
    if card.truncation is not None and card.truncation_kind is not None:
        how = TRUNCATION_KINDS[card.truncation_kind]
        return [card.truncation_kind], (
            f"T = {card.truncation:g}, {card.truncation_kind} ({how}), for which alone the generator has statistics."
        )
    kinds, note = ["none", *TRUNCATION_KINDS], "A smaller T gives more typical images, and less variety."
    if bank is None:
        return kinds, note
    return kinds, f"{note} By “{bank.kind}” the statistics of batch norm follow T, as in “biggan sample”."


def _bank(bank: TruncationBank) -> dict[str, Any]:
    """Return what ``state.js`` mixes statistics by."""
    return {
        "kind": bank.kind,
        "truncations": list(bank.truncations),
        "reversed": bank.compatibility == "pytorch-pretrained-biggan",
        "batches": bank.batches,
        "batch": bank.batch,
    }


def _family(family: str) -> str:
    known = {"biggan": "BigGAN", "biggan-deep": "BigGAN-deep", "sagan": "SAGAN", "sngan": "SNGAN", "r3gan": "R3GAN"}
    return known.get(family, family)
