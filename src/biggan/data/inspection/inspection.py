"""``biggan data inspect``: what lies in a data set, and what looks wrong about it, before a GPU is rented."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from biggan.data.contract import ImageSource, UnreadableImageError
from biggan.data.inspection import card
from biggan.data.preparation.fitting import to_picture
from biggan.data.sources.image_files import LOOK_AT_ALL, SAMPLE
from biggan.foundation.captions import draw_caption

SIDE = 64
"""Pixels a side at which images are looked at."""
_ONE_COLOUR = 1.0
"""Standard deviation of all values, of 255, below which an image counts as one colour."""
_HAMMING = 3
"""Differing bits of 64, up to which two images may be the same motif."""
_THUMBNAIL_RMS = 6.0
"""Gray levels by which the 8x8 thumbnails of near duplicates may differ."""
_SHOWN = 20
_MOST_PAIRS = 1_000


def inspect(source: ImageSource, progress: Callable[[int, int], object] = lambda *_: None) -> dict[str, Any]:
    """Return the data card and what reading the images tells, as plain values.

    Args:
        source: opened at :data:`SIDE` pixels.
        progress: called with the number of images read and to be read.
    """
    count = len(source)
    chosen = np.arange(count) if count <= LOOK_AT_ALL else np.linspace(0, count - 1, SAMPLE).astype(np.int64)
    looks: list[_Look | str] = []
    with ThreadPoolExecutor() as pool:
        for look in pool.map(lambda index: _look(source, int(index)), chosen):
            looks.append(look)
            progress(len(looks), len(chosen))
    seen = [(int(index), look) for index, look in zip(chosen, looks, strict=True) if isinstance(look, _Look)]
    corrupt = {
        source.name(int(index)): look for index, look in zip(chosen, looks, strict=True) if isinstance(look, str)
    }
    exact = _exact(seen)
    near = _near(seen, exact)
    found = card.describe(source)
    found |= {
        "read": len(chosen),
        "corrupt": corrupt,
        "brightness": _brightness(seen),
        "one_colour": [source.name(index) for index, look in seen if look.std < _ONE_COLOUR],
        "exact_duplicates": [[source.name(i) for i in group] for group in exact],
        "near_duplicates": [[source.name(i) for i in pair] for pair in near],
        "suspicions": [*found["suspicions"], *_duplicate_suspicions(source, exact)],
        "suggestions": card.suggestions(source),
    }
    if len(near) >= _MOST_PAIRS:
        found["remarks"].append(f"there are more near duplicates than the first {len(near):,} pairs")
    # Its own working size is nothing to report.
    found["remarks"] = [remark for remark in found["remarks"] if "and are enlarged" not in remark]
    if len(chosen) < count:
        found["remarks"].append(f"read {len(chosen):,} of {count:,} images; duplicates were looked for among those")
    return found


def text(found: dict[str, Any]) -> str:
    """Return what was found as lines for a person."""
    lines = [card.text(found).replace(f", used as {found['channels']} x {SIDE} x {SIDE}", "")]
    bright = found["brightness"]
    if bright:
        lines.append(
            f"  brightness: mean {bright['mean']:.1f}, spread {bright['std']:.1f} of 255; darkest image "
            f"{bright['darkest']:.1f}, brightest {bright['brightest']:.1f}; {bright['uniform']} of one colour"
        )
    lines += _first(found["one_colour"])
    exact, near = found["exact_duplicates"], found["near_duplicates"]
    lines.append(f"  exact duplicates: {sum(len(group) - 1 for group in exact)} in {len(exact)} groups")
    lines += _first([" = ".join([*group[:4], *(["..."] if len(group) > 4 else [])]) for group in exact])
    lines.append(f"  near duplicates: {len(near)} pair{'' if len(near) == 1 else 's'}")
    lines += _first([f"{one} ~ {other}" for one, other in near])
    if found["corrupt"]:
        lines.append(f"  corrupt: {len(found['corrupt'])}")
        lines += _first([f"{name}: {reason}" for name, reason in found["corrupt"].items()], _SHOWN)
    lines += [f"  {suggestion}" for suggestion in found["suggestions"]]
    return "\n".join(lines)


def _first(entries: list[str], shown: int = 5) -> list[str]:
    """Return lines of the first of ``entries``, and one that says how many more there are, and how all are seen."""
    more = [f"    and {len(entries) - shown:,} more (--json lists all)"] if len(entries) > shown else []
    return [f"    {entry}" for entry in entries[:shown]] + more


def picture(source: ImageSource) -> Image.Image:
    """Return labelled images above a histogram of the classes."""
    images, bars = card.picture(source), _histogram(source)
    joined = Image.new("RGB", (max(images.width, bars.width), images.height + bars.height), "white")
    joined.paste(images, (0, 0))
    joined.paste(bars, (0, images.height))
    return joined


class _Look:
    """What is kept of an image that was read."""

    def __init__(self, encoded: bytes, array: npt.NDArray[np.uint8]) -> None:
        self.digest = hashlib.blake2b(encoded, digest_size=16).digest()
        planes = array.astype(np.float64)
        self.mean, self.std = float(planes.mean()), float(planes.std())
        gray = to_picture(array if array.shape[0] in (1, 3) else array[:1]).convert("L")
        small = np.asarray(gray.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
        # The signs of the differences of neighbours: the same for the same motif at another size or brightness.
        self.bits = np.packbits(small[:, 1:] > small[:, :-1])
        self.thumbnail = np.asarray(gray.resize((8, 8), Image.Resampling.BOX), dtype=np.float32).ravel()


def _look(source: ImageSource, index: int) -> _Look | str:
    try:
        return _Look(source.encoded(index), source.read(index))
    except UnreadableImageError as error:
        return str(error)


def _brightness(seen: list[tuple[int, _Look]]) -> dict[str, float]:
    if not seen:
        return {}
    means = np.array([look.mean for _, look in seen])
    return {
        "mean": float(means.mean()),
        "std": float(np.mean([look.std for _, look in seen])),
        "darkest": float(means.min()),
        "brightest": float(means.max()),
        "uniform": sum(look.std < _ONE_COLOUR for _, look in seen),
    }


def _exact(seen: list[tuple[int, _Look]]) -> list[list[int]]:
    """Return groups of images that are stored as the same bytes."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, look in seen:
        groups[look.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def _near(seen: list[tuple[int, _Look]], exact: list[list[int]]) -> list[tuple[int, int]]:
    """Return pairs that show the same but are stored as different bytes."""
    repeated = {index for group in exact for index in group[1:]}
    kept = [(index, look) for index, look in seen if index not in repeated and look.std >= 1.0]
    if len(kept) < 2:
        return []
    bits = np.stack([look.bits for _, look in kept]).view(np.uint64).ravel()
    thumbnails = np.stack([look.thumbnail for _, look in kept])
    pairs: list[tuple[int, int]] = []
    for i in range(len(kept) - 1):
        if len(pairs) >= _MOST_PAIRS:
            break
        close = np.flatnonzero(np.bitwise_count(bits[i + 1 :] ^ bits[i]) <= _HAMMING) + i + 1
        if len(close):
            distance = np.sqrt(np.mean((thumbnails[close] - thumbnails[i]) ** 2, axis=1))
            pairs += [(kept[i][0], kept[j][0]) for j in close[distance <= _THUMBNAIL_RMS]]
    return pairs


def _duplicate_suspicions(source: ImageSource, exact: list[list[int]]) -> list[str]:
    """Return images that are stored more than once under different classes."""
    if not source.class_names:
        return []
    found = []
    for group in exact:
        classes = sorted({source.class_names[source.labels[index]] for index in group})
        if len(classes) > 1:
            found.append(f"the same image is in {' and '.join(classes)}: {source.name(group[0])}")
    more = [f"and {len(found) - _SHOWN} more images in several classes"] if len(found) > _SHOWN else []
    return found[:_SHOWN] + more


def _histogram(source: ImageSource, rows: int = 40) -> Image.Image:
    """Return a bar for each class, the largest first, or for the largest and smallest if there are many."""
    names = source.class_names or ("all images",)
    counts = source.class_counts()
    order = np.argsort(-counts, kind="stable")
    if len(order) > rows:
        order = np.concatenate([order[: rows // 2], order[-rows // 2 :]])
    height, left, width = 14, 170, 420
    image = Image.new("RGB", (left + width + 80, height * len(order) + 8), "white")
    draw = ImageDraw.Draw(image)
    for row, label in enumerate(order):
        top = 4 + row * height
        length = round(width * counts[label] / max(int(counts.max()), 1))
        draw_caption(draw, (4, top), names[label], 26)
        draw.rectangle((left, top + 1, left + length, top + height - 3), fill="steelblue")
        draw.text((left + length + 4, top), f"{counts[label]:,}", fill="black")
    return image
