"""Files as a run writes them, without the run."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from biggan.evaluation.records import MetricRecord, append_records
from tests.rooms.evaluation.test_report import measured, record

VOID = {"meta", "img", "br"}


def write_run(folder: Path, *, lines: int = 6, classes: tuple[str, ...] = ("cat", "dog"), **config: Any) -> Path:
    """Write a run that has everything a report shows, but numbers by evaluation."""
    folder.mkdir(parents=True)
    model = {"family": "biggan", "resolution": [16, 16], "classes": len(classes)}
    stored = {
        "format": 1,
        "preset": "digits",
        "config": {"duration": 600, "batch": 10, "device": "cpu", "run_dir": str(folder), "model": model, **config},
        "used": {"ranks": 1, "precision": "float32"},
        "versions": {"biggan": "0.1.0", "torch": "2.8"},
        "data": {"source": "pictures", "images": 90, "class_names": list(classes), "key": "0" * 64},
    }
    (folder / "config.json").write_text(json.dumps(stored))
    (folder / "log.txt").write_text(
        "2026-01-02 03:04:05 data: pictures\n2026-01-02 03:04:05   90 images\n2026-01-02 03:09:00 finished: 600\n"
    )
    with (folder / "stats.jsonl").open("w") as file:
        for number in range(1, lines + 1):
            line: dict[str, Any] = {"images_seen": 100 * number, "iterations": 10 * number, "G_loss": 1 / number}
            line |= {"D_loss_real": 0.5, "images_per_second": 50.0, "data_wait": 0.1}
            file.write(json.dumps(line | {"singular_values": {"G.linear": [number], "D.linear": [2.0]}}) + "\n")
            look = {"images_seen": 100 * number, "health": {"separation": 0.9}, "findings": {}}
            file.write(json.dumps(look) + "\n")
    (folder / "samples" / "600").mkdir(parents=True)
    for name in ("samples/600/fixed.png", "samples/600/classes.png", "data_card.png", "memorisation.png"):
        write_picture(folder / name)
    return folder


def write_picture(path: Path, size: tuple[int, int] = (8, 8)) -> None:
    """Write noise, which no format makes small."""
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, compress_level=1)


def evaluated(folder: Path, name: str, value: float | None, images: int, **values: Any) -> MetricRecord:
    """Add a number by the protocol of the published log, but for ``values``; return its record."""
    found = record(measured(name, **values), 0.0 if value is None else value, images)
    append_records(folder, [found])
    return found


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
