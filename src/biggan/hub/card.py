"""The card of published weights: what they are, what was measured and how, and how to load them."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from biggan.evaluation.records import METRICS_FILE, MetricRecord, read_records
from biggan.foundation.errors import UserError
from biggan.foundation.names import CHECKPOINTS, SNAPSHOTS
from biggan.foundation.terminal import one_line
from biggan.models.snapshot import SnapshotInfo, flat_facts

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,59}")
_NAMES_SHOWN = 1000
_RUN_DEPTH = 3  # run/checkpoints/<clock>/snapshot.safetensors


def check_licence(licence: str | None) -> None:
    """Check that a licence is written as the Hub writes them.

    Raises:
        UserError: it is not.
    """
    if licence is not None and not _LICENCE.fullmatch(licence):
        raise UserError(
            f"--licence '{one_line(licence, 80)}': write its short name in small letters, for example mit, apache-2.0, "
            "cc-by-nc-4.0 or other"
        )


def numbers_of(snapshot: Path, info: SnapshotInfo) -> list[MetricRecord]:
    """Return what was measured of a snapshot: the newest number of each protocol, in the order of the file.

    Numbers are looked for in the ``metrics.jsonl`` of the run that it lies in, and in one beside the file. One counts
    if it is of these very weights: as many images and iterations, the same kind of weights, and outside of a run a file
    of the same name.

    Raises:
        CorruptFileError: such a file is damaged.
    """
    newest: dict[tuple[str, str], MetricRecord] = {}
    for depth, place in enumerate(list(snapshot.absolute().parents)[:_RUN_DEPTH]):
        of_run = any((place / part).is_dir() for part in (CHECKPOINTS, SNAPSHOTS))
        if not (depth == 0 or of_run) or not (place / METRICS_FILE).is_file():
            continue
        for record in read_records(place / METRICS_FILE):
            same_file = record.file is not None and Path(record.file).name == snapshot.name
            if record.value is not None and _is_of(record, info) and (of_run or same_file):
                newest[record.protocol, record.conditions.digest] = record
    return list(newest.values())


def _is_of(record: MetricRecord, info: SnapshotInfo) -> bool:
    judged = record.conditions.judged
    return (
        judged.kind == "generator"
        and judged.weights in (None, info.weights)
        and (record.images_seen, record.iterations) == (info.images_seen, info.iterations)
    )


def model_card(info: SnapshotInfo, numbers: Sequence[MetricRecord], *, licence: str | None, name: str) -> str:
    """Return the README.md of published weights, in the form that the Hub reads.

    Args:
        info: of the snapshot.
        numbers: what was measured of it.
        licence: as :func:`check_licence` allows it; None says that none is stated.
        name: folder or repository, for the lines that load it.
    """
    model = info.architecture
    height, width = model.resolution
    kind = "moving average of the generator" if info.weights == "ema" else "generator"
    classes = f"{model.classes} class{'es' * (model.classes != 1)}" if model.classes else "unconditional"
    return "\n".join(
        [
            *_front(licence, model.family),
            "",
            f"# {_text(name)}",
            "",
            f"Generator of a {_text(model.family)} GAN: {model.channels} x {height} x {width} images, {classes}. "
            f"Weights: {kind}, {info.age}.",
            *_besides(info),
            "",
            "## Load",
            "",
            *_loading(info, name),
            "",
            "## Numbers",
            "",
            *_numbers(numbers),
            "",
            "## Classes",
            "",
            *_classes(info.class_names, model.classes),
            "",
            "## Licence",
            "",
            licence or "Not stated.",
            "",
            "## Where the weights come from",
            "",
            *(f"- {_text(key)}: {_text(value)}" for key, value in flat_facts(info.provenance)),
            *([] if info.provenance else ["Not recorded."]),
            "",
        ]
    )


def _front(licence: str | None, family: str) -> list[str]:
    tags = ["gan", "image-generation", *([family] if re.fullmatch(r"[a-z0-9-]+", family) else [])]
    stated = [f"license: {licence}"] if licence else []
    return ["---", "library_name: biggan", *stated, "tags:", *(f"- {tag}" for tag in tags), "---"]


def _besides(info: SnapshotInfo) -> list[str]:
    if info.continuation is None:
        return []
    return ["", f"The file also holds, for training to go on from: {_text(', '.join(info.continuation.parts))}."]


def _loading(info: SnapshotInfo, name: str) -> list[str]:
    shown = one_line(name, 200).replace("\\", "\\\\").replace('"', '\\"').replace("`", "'")
    chosen = "classes=[0], " if info.architecture.classes else ""
    return [
        "```python",
        "import biggan",
        "",
        f'model = biggan.from_pretrained("{shown}")',
        f"images = model.sample({chosen}seeds=range(16))  # uint8 [16, C, H, W]",
        "```",
    ]


def _numbers(numbers: Sequence[MetricRecord]) -> list[str]:
    if not numbers:
        return ["None was measured of these weights."]
    lines = ["| metric | value | protocol |", "|---|---|---|"]
    for record in numbers:
        assert record.value is not None
        lines.append(f"| {_text(record.metric)} | {record.value:.6g} | `{_code(record.protocol)}` |")
    notes = dict.fromkeys(note for record in numbers for note in record.notes)
    return [*lines, "", "Numbers compare only where the protocol is the same.", *(f"- {_text(note)}" for note in notes)]


def _classes(names: Sequence[str], classes: int) -> list[str]:
    if not classes:
        return ["None: it is unconditional."]
    if not names:
        return [f"{classes}, without names; an index is written `id:7`."]
    lines = [f"{index}. {_text(name)}" for index, name in enumerate(names[:_NAMES_SHOWN])]
    return [*lines, *([f"\nand {len(names) - _NAMES_SHOWN:,} more, in the file"] if len(names) > _NAMES_SHOWN else [])]


def _text(word: str) -> str:
    """Return ``word`` so that it is read as it stands, whatever it holds: one line, no markup."""
    return re.sub(r"([\\`*_{}\[\]()#|~!])", r"\\\1", html.escape(one_line(word, 300), quote=False))


def _code(word: str) -> str:
    return one_line(word, 1000).replace("`", "'").replace("|", "\\|")
