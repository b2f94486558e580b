"""The data card: what the labels and images were understood to be, before any training."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from biggan.data.configuration import DataConfig
from biggan.data.contract import ImageSource, UnreadableImageError
from biggan.data.preparation.fitting import to_picture
from biggan.foundation.captions import draw_caption

SHOWN_CLASSES = 12
IMBALANCE = 20
_CELL = 96
_FEW_IMAGES = 100
_AUGMENTED_BELOW = 20_000
_FOR_FEW = "--terms r1,weight=0.1,every=16 or --terms diffaugment,policy=translation+cutout"
"""As ``auto`` chooses for few images; the second is of Zhao et al. 2020."""
_DOMINANT = 0.95
_SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev"}
_SHOWN_SUSPICIONS = 20


def describe(source: ImageSource, config: DataConfig | None = None) -> dict[str, Any]:
    """Return the card as plain values; with ``config`` also what is done to the images, and when."""
    notes, counts = source.notes(), source.class_counts()
    return {
        "source": notes.kind,
        "images": len(source),
        "channels": source.channels,
        "resolution": list(source.resolution),
        "classes": {name: int(n) for name, n in zip(source.class_names, counts, strict=False)},
        "stored_sizes": {f"{h}x{w}": n for (h, w), n in notes.sizes.items()},
        "stored_modes": notes.modes,
        "examined": notes.examined,
        "handling": [] if config is None else _handling(config),
        "suspicions": _label_suspicions(source),
        "remarks": [*source.remarks, *_warnings(source), *([] if config is None else _doubts(config))],
    }


def suggestions(source: ImageSource) -> list[str]:
    """Return what is worth a try in training on these images; nothing follows from it by itself."""
    if len(source) >= _AUGMENTED_BELOW:
        return []
    return [
        f"suggestion: fewer than {_AUGMENTED_BELOW:,} images; worth a comparison, since they helped with photographs "
        f"(here, and in a paper), though none was shown to with 179 digits: {_FOR_FEW}"
    ]


def text(card: dict[str, Any]) -> str:
    """Return the card as lines for a person."""
    height, width = card["resolution"]
    lines = [
        f"data: {card['source']}",
        f"  {card['images']:,} images, used as {card['channels']} x {height} x {width}",
        f"  stored sizes: {_listing(card['stored_sizes'])}; colour modes: {_listing(card['stored_modes'])}",
    ]
    classes: dict[str, int] = card["classes"]
    if classes:
        shown = list(classes.items())[:SHOWN_CLASSES]
        more = f", and {len(classes) - SHOWN_CLASSES} more" if len(classes) > SHOWN_CLASSES else ""
        listed = ", ".join(f"{name} {count:,}" for name, count in shown)
        lines.append(f"  {len(classes)} class{'es' * (len(classes) != 1)}: {listed}{more}")
    else:
        lines.append("  no classes: unconditional")
    lines += [f"  {sentence}" for sentence in card["handling"]]
    lines += [f"  note: {remark}" for remark in card["remarks"]]
    lines += [f"  suspicious: {sentence}" for sentence in card["suspicions"]]
    return "\n".join(lines)


def _handling(config: DataConfig) -> list[str]:
    """Return what is done to the images."""
    crops = {
        "center": "cropped about the center to the aspect",
        "top": "cropped at the top to the aspect",
        "random": "cropped to the aspect at a place of each image's own",
        "none": "squeezed to the aspect",
        "pad": f"padded with {config.background} to the aspect",
    }
    once = f"images of another size: {crops[config.crop]}, resized by {config.filter}"
    anew = ["mirrored by half"] if config.flip else []
    anew += ["cut at a random place"] if config.random_crop else []
    said = [once, f"anew at each access: {' and '.join(anew) or 'nothing'}"]
    if config.label_sampling != "data":
        ways = {"uniform": "all alike", "sqrt": "by the square root of their number"}
        said.append(f"real images of the classes are shown {ways[config.label_sampling]}")
    return said


def _doubts(config: DataConfig) -> list[str]:
    """Return what harmed others."""
    if config.random_crop or config.crop == "random":
        return ["random crops have harmed runs on centred subjects, whose generators learn to cut them off"]
    return []


def _warnings(source: ImageSource) -> list[str]:
    """Return what looks odd about the labels."""
    counts, names = source.class_counts(), source.class_names
    found: list[str] = []
    if len(source) < _FEW_IMAGES:
        found.append(f"only {len(source)} images: a GAN will learn them by heart; thousands are a beginning")
    if not names:
        return found
    empty = [name for name, n in zip(names, counts, strict=False) if n == 0]
    if empty:
        found.append(f"{_classes(empty)} no image, for example {empty[0]}")
    few = [name for name, n in zip(names, counts, strict=False) if 0 < n < 10]
    if few:
        found.append(f"{_classes(few)} fewer than 10 images, for example {few[0]}")
    present = counts[counts > 0]
    if len(present) > 1 and present.max() / present.min() > IMBALANCE:
        found.append(
            f"classes are imbalanced: the largest has {present.max():,} images, the smallest {present.min():,}; "
            "--data.label-sampling sqrt or uniform shows the small ones more often, --data.min-per-class drops them"
        )
    if len(names) == 1:
        found.append(f"one class only ('{names[0]}')")
    return found


def _label_suspicions(source: ImageSource) -> list[str]:
    """Return what is odd about the labels themselves."""
    names, counts = source.class_names, source.class_counts()
    found: list[str] = []
    if len(names) > 1 and counts.max() >= _DOMINANT * counts.sum():
        largest = int(counts.argmax())
        found.append(f"class '{names[largest]}' holds {counts[largest]:,} of {counts.sum():,} images")
    splits = [name for name in names if name.lower() in _SPLITS]
    if splits:
        found.append(f"classes are called like splits: {', '.join(splits)}")
    folded: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folded["".join(c for c in name.casefold() if c.isalnum()) or name].append(name)
    alike = [group for group in folded.values() if len(group) > 1]
    found += [
        f"classes differ by spelling only: {', '.join(repr(name) for name in group)}"
        for group in alike[:_SHOWN_SUSPICIONS]
    ]
    return found


def _classes(names: list[str]) -> str:
    return "1 class has" if len(names) == 1 else f"{len(names)} classes have"


def picture(source: ImageSource, rows: int = 4, columns: int = 8) -> Image.Image:
    """Return images of as many classes as fit, each above its class name."""
    chosen = _spread(source, rows * columns)
    height, width = source.resolution
    scale = max(1, -(-_CELL // max(height, width)))
    cell_width, cell_height = max(width * scale, _CELL), height * scale + 14
    columns = min(columns, max(len(chosen), 1))
    rows = -(-max(len(chosen), 1) // columns)
    sheet = Image.new("RGB", (columns * (cell_width + 4) + 4, rows * (cell_height + 4) + 4), "white")
    draw = ImageDraw.Draw(sheet)
    for place, index in enumerate(chosen):
        left = 4 + (place % columns) * (cell_width + 4)
        top = 4 + (place // columns) * (cell_height + 4)
        try:
            array = source.read(index)
        except UnreadableImageError:
            draw.text((left, top), "unreadable", fill="red")
            continue
        shown = to_picture(array if array.shape[0] in (1, 3) else array[:1])
        sheet.paste(shown.resize((width * scale, height * scale), Image.Resampling.NEAREST), (left, top))
        name = source.class_names[source.labels[index]] if source.class_names else ""
        draw_caption(draw, (left, top + height * scale), name, cell_width // 6)
    return sheet


def _spread(source: ImageSource, count: int) -> list[int]:
    """Return up to ``count`` images, as evenly over the classes as they allow, in order of class."""
    by_class = [np.flatnonzero(source.labels == label) for label in np.unique(source.labels)[:count]]
    chosen: list[int] = []
    depth = 0
    while len(chosen) < min(count, len(source)) and any(depth < len(members) for members in by_class):
        chosen += [int(members[depth]) for members in by_class if depth < len(members)]
        depth += 1
    return sorted(chosen[:count])


def _listing(counts: dict[str, int], most: int = 5) -> str:
    shown = [f"{name} ({n:,})" for name, n in list(counts.items())[:most]]
    return ", ".join(shown) + (f" and {len(counts) - most} more" if len(counts) > most else "")
