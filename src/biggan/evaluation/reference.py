"""The real side of an evaluation: computed at first need, cached under everything that decides it, or given."""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from biggan.data.contract import ImageSource
from biggan.evaluation.collecting import OF_FEATURES, collect
from biggan.evaluation.protocol import FeatureProtocol, ReferenceProtocol, feature_reasons
from biggan.evaluation.statistics_files import (
    GivenStatistics,
    StatisticsMark,
    read_own,
    write_statistics,
)
from biggan.evaluation.streams import Progress, RealStream
from biggan.foundation import distributed
from biggan.foundation.caching import keep_in_cache
from biggan.foundation.downloads import cache_folder
from biggan.foundation.errors import UserError
from biggan.foundation.seeding import permutation
from biggan.metrics.collected import CLASS_ROWS, MOMENTS, ROWS, THUMBNAILS, Choice, Collected
from biggan.metrics.definitions import FEWEST_PER_CLASS
from biggan.metrics.features import Extractor
from biggan.metrics.moments import Gaussian

FORMAT = 2
ALL_ROWS = 50_000
"""Of so many images rows are kept of all, for what is computed a class at a time."""
_unkept: dict[Path, Collected] = {}
"""The last statistics that could not be written anywhere, so that a run need not compute them at every interval."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The real side."""

    protocol: ReferenceProtocol
    collected: Collected | None
    """On the first process, which computes the numbers; None on the others."""
    class_names: tuple[str, ...] = ()
    from_cache: bool = False
    rows_per_class: int | None = None
    """Most rows of a class that were kept for what is computed a class at a time; None for all."""
    notes: tuple[str, ...] = ()


def feature_protocol(extractor: Extractor, dimensions: int | None = None) -> FeatureProtocol:
    """Return what is to be said of an extractor."""
    return FeatureProtocol(
        name=extractor.name, text=extractor.protocol, weights=extractor.weights_hash, dimensions=dimensions
    )


def rows_per_class(count: int, classes: int, rows: int) -> int | None:
    """Return how many rows of each class are kept; None for all.

    Args:
        count: real images.
        classes: K; 0 without.
        rows: of how many images single rows are kept anyway.
    """
    if count <= max(rows, ALL_ROWS):
        return None
    return max(rows // max(classes, 1), 2 * FEWEST_PER_CLASS)


def choose_rows(source: ImageSource, rows: int) -> Choice:
    """Return of which real images single rows are kept: ``rows`` of all, evenly drawn, and so many of each class."""
    order = torch.from_numpy(permutation(0, "reference rows", 0, len(source)).copy())
    some, of_classes = (torch.zeros(len(source), dtype=torch.bool) for _ in range(2))
    some[order[:rows]] = True
    most = rows_per_class(len(source), len(source.class_names), rows)
    if most is None:
        return Choice(rows=some, of_classes=~of_classes)
    labels = torch.from_numpy(source.labels)[order]
    for label in range(max(len(source.class_names), 1)):
        of_classes[order[labels == label][:most]] = True
    return Choice(rows=some, of_classes=of_classes)


def reference_of(
    source: ImageSource,
    extractor: Extractor | None,
    needs: frozenset[str],
    *,
    rows: int,
    handling: str,
    block: int,
    device: torch.device | None = None,
    progress: Progress = lambda *_: None,
) -> Reference:
    """Return statistics of all images of ``source``, from the cache or computed and put there.

    The first process decides whether they are cached, by its own cache; the others follow. Images that cannot be read
    are left out and counted.

    Args:
        source: the real images.
        extractor: of features; None if only images themselves are needed.
        needs: what the metrics ask for.
        rows: of how many images single rows are kept, evenly drawn.
        handling: how images were prepared; part of the key.
        block: images at a time.
        device: where features are computed.
        progress: called with the number of images done and of all.
    """
    most = rows_per_class(len(source), len(source.class_names), rows) if CLASS_ROWS in needs else None
    protocol = ReferenceProtocol(
        data=source.key(),
        title="all",
        count=len(source),
        resolution=source.resolution,
        channels=source.channels,
        handling=handling,
        classes=len(source.class_names),
    )
    reference = Reference(protocol=protocol, collected=None, class_names=source.class_names, rows_per_class=most)
    if needs & OF_FEATURES and extractor is not None and THUMBNAILS not in needs:
        statistics = needs & {CLASS_ROWS} | {MOMENTS, ROWS}
        path = _place(protocol, extractor, statistics, rows)
        cached = distributed.on_primary_only(lambda: _from_cache(path), "reading cached statistics")
        if distributed.broadcast_object(cached is not None):
            return _finished(reference, cached, from_cache=True)
        found = _finished(reference, _collect(source, extractor, statistics, rows, block, device, progress))
        distributed.on_primary(lambda: _keep(path, found, mark_of(found, extractor, source)), "keeping statistics")
        return found
    if not needs:
        return _finished(reference, Collected(count=len(source)) if distributed.is_primary() else None)
    # Images themselves are read again; they are no statistics.
    wanted = needs | ({MOMENTS, ROWS} if needs & OF_FEATURES else frozenset())
    return _finished(reference, _collect(source, extractor, wanted, rows, block, device, progress))


def mark_of(reference: Reference, extractor: Extractor, source: ImageSource) -> StatisticsMark:
    """Return what the statistics of ``source`` say about themselves in a file; for the first process."""
    gaussian = reference.collected.gaussian if reference.collected else None
    return StatisticsMark(
        reference=reference.protocol,
        features=feature_protocol(extractor, gaussian.dimensions if gaussian else None),
        class_names=source.class_names,
        class_counts=tuple(map(int, source.class_counts())),
        unreadable=reference.collected.unreadable if reference.collected else (),
    )


def given_reference(
    given: GivenStatistics, features: FeatureProtocol, resolution: tuple[int, int] | None
) -> tuple[Reference, list[str]]:
    """Return statistics that were given in place of the real images, and why they do not fit, if they do not.

    Args:
        given: what the file holds; for the first process.
        features: what judged images are turned into, with its dimensions.
        resolution: (height, width) of the judged images.
    """
    notes: tuple[str, ...] = ()
    mark, dimensions = given.mark, cast(Gaussian, given.collected.gaussian).dimensions
    if mark is None:
        protocol = ReferenceProtocol(data=None, title=given.title, file=given.file)
        notes = (
            f"{given.title} does not say by which features, and of which images, it was made; it is taken for "
            f"{features.text}",
        )
        marked = dataclasses.replace(features, dimensions=dimensions)
    else:
        protocol = dataclasses.replace(mark.reference, title=given.title, file=given.file)
        marked = mark.features
    reasons = feature_reasons(marked, features)
    if resolution is not None and protocol.resolution is not None and protocol.resolution != resolution:
        sizes = [f"{height}x{width}" for height, width in (protocol.resolution, resolution)]
        reasons.append(f"size of the images: {sizes[0]}, and {sizes[1]}")
    names = mark.class_names if mark else ()
    return Reference(protocol=protocol, collected=given.collected, class_names=names, notes=notes), reasons


def _collect(
    source: ImageSource,
    extractor: Extractor | None,
    needs: frozenset[str],
    rows: int,
    block: int,
    device: torch.device | None,
    progress: Progress,
) -> Collected | None:
    choice = choose_rows(source, rows)
    return collect(RealStream(source), extractor, needs, block=block, device=device, choice=choice, progress=progress)


def _finished(reference: Reference, collected: Collected | None, *, from_cache: bool = False) -> Reference:
    """Return the reference with what was found, and with the counts of what was really used, on every process.

    Raises:
        UserError: none of the images can be read.
    """
    counts = None if collected is None else (collected.count, collected.unreadable)
    count, unreadable = cast("tuple[int, tuple[str, ...]]", distributed.broadcast_object(counts))
    if not count:
        raise UserError(f"none of the real images can be read: {unreadable[0] if unreadable else 'there are none'}")
    protocol = dataclasses.replace(reference.protocol, count=count, unreadable=len(unreadable))
    notes = reference.notes
    if unreadable:
        notes += (f"{len(unreadable)} real images cannot be read and are left out, such as {unreadable[0]}",)
    return dataclasses.replace(reference, protocol=protocol, collected=collected, from_cache=from_cache, notes=notes)


def _place(protocol: ReferenceProtocol, extractor: Extractor, needs: frozenset[str], rows: int) -> Path:
    what = f"{FORMAT} {protocol} {extractor.key} {rows} {sorted(needs)}"
    name = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:40]
    return cache_folder() / "references" / f"{name}.safetensors"


def _from_cache(path: Path) -> Collected | None:
    """Return what was kept; None if it is not there, or damaged, and must be made again."""
    if path in _unkept:
        return _unkept[path]
    try:
        return read_own(path)[0]
    except (UserError, OSError):
        return None


def _keep(path: Path, reference: Reference, mark: StatisticsMark) -> None:
    """Put statistics where the next evaluation finds them."""
    collected = cast(Collected, reference.collected)
    if not keep_in_cache(path, lambda: write_statistics(path, collected, mark)):
        _unkept.clear()
        _unkept[path] = collected
