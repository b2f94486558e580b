"""What an exported program says about itself, as JSON that travels inside the file. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from biggan.foundation.config import to_json
from biggan.foundation.files import finite
from biggan.foundation.records import parse_record
from biggan.version import __version__

if TYPE_CHECKING:
    from biggan.exporting.contract import ExportRequest
    from biggan.exporting.programs import Program
    from biggan.models.export_file import Export

KEY = "biggan"
"""Of the metadata of an ONNX file."""
FORMAT = 1
SEEDS = (
    "z of seed s: key = first 16 bytes (little-endian) of SHA-256 of 'biggan:0:sample:0', as two uint64, both rounded "
    "to float64 (as numpy does to lists) if one of them alone is 2^63 or more; words = the uint64 stream of "
    "Philox4x64-10 with that key, its counter starting at s * ceil(2p/4) (numpy.random.Philox), p = ceil(z_size/2); "
    "u = (words >> 11) / 2^53, 2p of them; r = sqrt(-2 log(1 - u[:p])), a = 2 pi u[p:]; z = the first z_size of "
    "(r cos a, r sin a), in float64, rounded to float32. Truncation: see the documentation"
)
"""How seeds become latents, for programs without this package."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A program, its inputs and outputs, and where it comes from."""

    format: int
    network: str
    """generator or discriminator."""
    family: str
    resolution: tuple[int, int]
    """Height and width."""
    channels: int
    classes: int
    class_names: tuple[str, ...]
    """By label; empty if there are none."""
    latent_size: int
    """Length of z."""
    inputs: dict[str, str]
    """By name: type, shape, meaning."""
    outputs: dict[str, str]
    """The same."""
    weights: str
    """ema: the moving average of G; generator: G itself; discriminator: D."""
    images_seen: int
    norm_statistics: str
    """Which statistics of batch norm G carries, and for which truncation; empty for a discriminator."""
    truncation: float | None
    """T at which latents should be drawn; None for the whole prior."""
    truncation_kind: str | None
    seeds: str
    """How seeds become latents."""
    provenance: dict[str, Any]
    written_by: str


def card(export: Export, program: Program, request: ExportRequest) -> Card:
    """Return the card of one program."""
    model, generator = export.info.architecture, program.name == "generator"
    height, width = model.resolution
    shape = f"[N, {model.channels}, {height}, {width}]"
    images = f"uint8 {shape}, 0 to 255" if generator and request.uint8 else f"float32 {shape}, -1 to 1"
    images += ", RGB" if model.channels == 3 else ""
    mixed = generator and request.mixtures
    labels = f"float32 [N, {model.classes}]: weights of the classes" if mixed else f"int64 [N], below {model.classes}"
    first = {"z": f"float32 [N, {model.z_size}]: latents"} if generator else {"images": images}
    inputs = {**first, "labels": labels} if model.classes else first
    bank = export.info.truncation_bank
    if generator and request.shares and bank is not None:
        inputs["shares"] = (
            f"float32 [{1 + len(bank.truncations)}]: how much of each set of batch-norm statistics is taken: of the "
            f"weights' own, then of those for {bank.kind} {', '.join(f'{t:g}' for t in bank.truncations)}"
        )
    outputs = {"images": images} if generator else {"scores": "float32 [N, 1]"}
    return Card(
        format=FORMAT,
        network=program.name,
        family=model.family,
        resolution=model.resolution,
        channels=model.channels,
        classes=model.classes,
        class_names=export.info.class_names,
        latent_size=model.z_size,
        inputs=inputs,
        outputs=outputs,
        weights=export.info.weights if generator else "discriminator",
        images_seen=export.info.images_seen,
        norm_statistics="" if program.statistics is None else str(program.statistics),
        truncation=request.truncation if generator else None,
        truncation_kind=request.kind if generator and request.truncation is not None else None,
        seeds=SEEDS,
        provenance=export.info.provenance,
        written_by=f"biggan-torch {__version__}",
    )


def card_text(one: Card) -> str:
    """Return a card as JSON."""
    return json.dumps(finite(to_json(one)), allow_nan=False)


def read_card(text: str, where: str) -> Card:
    """Return the card that :func:`card_text` wrote.

    Raises:
        CorruptFileError: it is none.
    """
    return parse_record(Card, text, where)
