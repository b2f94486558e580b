"""What clients ask for: words of a query to checked records, and back. Every number has bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlencode

from biggan.foundation.errors import UserError, unknown
from biggan.foundation.terminal import one_line
from biggan.models.norm_records import TruncationKind
from biggan.sampling.latents import LARGEST_SEED, TRUNCATION_KINDS
from biggan.web.bounds import LARGEST_MOVE, LARGEST_T, MOST_MIXED, MOST_POINTS, SMALLEST_T, Bounds, RequestError
from biggan.web.models import Loaded

IMAGE_WORDS = ("model", "class", "mix", "seed", "truncation", "kind", "other", "levels", "directions")
FILM_WORDS = ("model", "points", "truncation", "kind", "frames", "curve", "loop", "format", "rate")
_TOGETHER = (("class", "mix"), ("seed",), ("truncation",), ("kind",), ("other", "levels"), ("directions",))
"""Words of an image that are possible, or not, whatever the others are."""
FilmFormat = Literal["gif", "mp4", "webm"]


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """One image of one model.

    Attributes:
        mixture: class indices and their shares, which sum to 1; empty without classes.
        seed: of the latent.
        truncation: T; None for the whole prior.
        kind: how to truncate.
        other: seed of the latent that levels go towards; None if none does.
        levels: for each chunk of the latent how far it goes, in [0, 1].
        moves: numbers of directions, and how far along each, in deviations of the prior.
    """

    mixture: tuple[tuple[int, float], ...]
    seed: int
    truncation: float | None = None
    kind: TruncationKind = "resample"
    other: int | None = None
    levels: tuple[float, ...] = ()
    moves: tuple[tuple[int, float], ...] = ()

    @property
    def plain(self) -> bool:
        """Whether it is of one class and one seed, as ``biggan sample`` draws them."""
        return len(self.mixture) < 2 and not any(self.levels) and not self.moves

    def query(self, model: str) -> str:
        """Return the query that means this image; without the ``model`` if that is empty."""
        words = {"model": model} if model else {}
        if self.mixture:
            several = ",".join(f"{label}:{share:g}" for label, share in self.mixture)
            words["mix"] = several if len(self.mixture) > 1 else str(self.mixture[0][0])
        words["seed"] = str(self.seed)
        if self.truncation is not None:
            words |= {"truncation": f"{self.truncation:g}", "kind": self.kind}
        if self.other is not None:
            words |= {"other": str(self.other), "levels": ",".join(f"{level:g}" for level in self.levels)}
        if self.moves:
            words["directions"] = ",".join(f"{number}:{amount:g}" for number, amount in self.moves)
        return urlencode(words)


@dataclass(frozen=True, kw_only=True)
class FilmRequest:
    """A path through key points, each a class and a seed, as a film."""

    points: tuple[tuple[int, int], ...]
    frames: int
    """Pictures a segment."""
    curve: Literal["linear", "spherical"]
    loop: bool
    form: FilmFormat
    rate: int
    """Pictures a second."""
    truncation: float | None
    kind: TruncationKind

    @property
    def pictures(self) -> int:
        """Pictures in all."""
        return self.frames * (len(self.points) if self.loop else len(self.points) - 1) + (not self.loop)


def words_of(pairs: Iterable[tuple[str, str]], known: Iterable[str]) -> dict[str, str]:
    """Return a query as a mapping.

    Raises:
        RequestError: a word that is not known, or one twice.
    """
    found: dict[str, str] = {}
    names = list(known)
    for name, value in pairs:
        if name not in names:
            raise RequestError(str(unknown("word", one_line(name, 40), names)))
        if name in found:
            raise RequestError(f"{name}: given twice")
        found[name] = value
    return found


def parse_image(words: Mapping[str, str], loaded: Loaded) -> ImageRequest:
    """Return the image that a query means.

    Raises:
        RequestError: says which word is wrong, and what is possible.
    """
    truncation, kind = _truncation(words)
    other = whole("other", words["other"], 0, LARGEST_SEED) if words.get("other") else None
    levels = [real("levels", part, 0.0, 1.0, 0.5) for part in _parts(words.get("levels", ""))]
    if other is None and any(levels):
        raise RequestError("levels: name the seed that they go towards as well, for example other=5")
    if other is not None and len(levels) != loaded.levels:
        raise RequestError(f"levels: {len(levels)} numbers, where this model has {loaded.levels} levels")
    return ImageRequest(
        mixture=_mixture(words.get("class", ""), words.get("mix", ""), loaded),
        seed=whole("seed", words.get("seed") or "0", 0, LARGEST_SEED),
        truncation=truncation,
        kind=kind,
        other=other,
        levels=tuple(levels) if other is not None else (),
        moves=_moves(words.get("directions", ""), loaded),
    )


def possible(pairs: Iterable[tuple[str, str]], loaded: Loaded) -> tuple[ImageRequest, list[str]]:
    """Return the image that a query means once all that is impossible in it is left out, and a sentence about each."""
    found: dict[str, str] = {}
    said: list[str] = []
    for pair in pairs:
        try:
            found |= words_of([*found.items(), pair], IMAGE_WORDS)
        except RequestError as error:
            said.append(str(error))
    kept: dict[str, str] = {}
    for together in _TOGETHER:
        part = {name: found[name] for name in together if name in found}
        try:
            parse_image(part, loaded)
        except RequestError as error:
            said.append(str(error))
        else:
            kept |= part
    return parse_image(kept, loaded), said


def parse_film(words: Mapping[str, str], loaded: Loaded, bounds: Bounds) -> FilmRequest:
    """Return the film that a query means.

    Raises:
        RequestError: says which word is wrong, and what is possible.
    """
    truncation, kind = _truncation(words)
    points = []
    for part in _parts(words.get("points", "")):
        label, colon, seed = part.partition(":")
        if not colon:
            raise RequestError("points: write class:seed for each, for example 7:3,8:4")
        points.append((_label(label, loaded), whole("points", seed, 0, LARGEST_SEED)))
    if not 2 <= len(points) <= MOST_POINTS:
        raise RequestError(f"points: {len(points)}, where a film goes through 2 to {MOST_POINTS}")
    film = FilmRequest(
        points=tuple(points),
        frames=whole("frames", words.get("frames") or "24", 1, bounds.frames),
        curve=cast(Literal["linear", "spherical"], one_of("curve", words, ("spherical", "linear"))),
        loop=one_of("loop", words, ("0", "1")) == "1",
        form=cast(FilmFormat, one_of("format", words, ("gif", "mp4", "webm"))),
        rate=whole("rate", words.get("rate") or "24", 1, 50),
        truncation=truncation,
        kind=kind,
    )
    if film.pictures > bounds.frames:
        raise RequestError(f"frames: the film has {film.pictures} pictures, where {bounds.frames} are possible", 413)
    return film


def whole(name: str, text: str, low: int, high: int) -> int:
    """Return a whole number within bounds.

    Raises:
        RequestError: it is none, or beyond.
    """
    if not re.fullmatch("[0-9]{1,19}", text) or not low <= int(text) <= high:
        raise RequestError(f"{name} '{one_line(text, 40)}': a whole number from {low} to {high}")
    return int(text)


def real(name: str, text: str, low: float, high: float, example: float) -> float:
    """Return a number within bounds, written with digits and a point.

    Raises:
        RequestError: it is none, or beyond.
    """
    if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,18})?", text) or not low <= float(text) <= high:
        raise RequestError(f"{name} '{one_line(text, 40)}': a number from {low:g} to {high:g}, for example {example:g}")
    return float(text)


def _parts(text: str) -> list[str]:
    return text.split(",", MOST_POINTS + 1) if text else []


def one_of(name: str, words: Mapping[str, str], known: tuple[str, ...]) -> str:
    """Return what ``name`` is, the first of ``known`` where it is not said.

    Raises:
        RequestError: it is none of them.
    """
    value = words.get(name) or known[0]
    if value not in known:
        raise RequestError(f"{name} '{one_line(value, 40)}': one of {', '.join(known)}")
    return value


def _truncation(words: Mapping[str, str]) -> tuple[float | None, TruncationKind]:
    text = words.get("truncation", "")
    truncation = real("truncation", text, SMALLEST_T, LARGEST_T, 0.7) if text else None
    return truncation, cast(TruncationKind, one_of("kind", words, tuple(TRUNCATION_KINDS)))


def _label(text: str, loaded: Loaded) -> int:
    return whole("class index", text, 0, max(loaded.classes, 1) - 1)


def _moves(text: str, loaded: Loaded) -> tuple[tuple[int, float], ...]:
    """Return how far an image goes along directions: ``0:2.5,3:-1``."""
    found: dict[int, float] = {}
    for part in _parts(text):
        number, _, amount = part.partition(":")
        known = loaded.directions.find(number[:80])
        if known is None:
            raise RequestError(f"directions '{one_line(number, 40)}': there are {len(loaded.directions)}, from 0")
        found[known] = found.get(known, 0.0) + real("directions", amount, -LARGEST_MOVE, LARGEST_MOVE, 2.5)
    return tuple((number, amount) for number, amount in sorted(found.items()) if amount)


def _mixture(name: str, mix: str, loaded: Loaded) -> tuple[tuple[int, float], ...]:
    """Return class indices and their shares: one class by name, ``id:7`` or index, or several as ``7:0.6,3:0.4``."""
    if not loaded.classes:
        if name or mix:
            raise RequestError("class: this generator is unconditional; leave out class and mix")
        return ()
    if name and mix:
        raise RequestError("class and mix: give one of them")
    if mix:
        return _shares(mix, loaded)
    if not name:
        return ((0, 1.0),)
    if loaded.sampler.named(name) is None and re.fullmatch("[0-9]+", name):
        return ((_label(name, loaded), 1.0),)
    try:
        return ((loaded.sampler.class_index(name[:200]), 1.0),)
    except UserError as error:
        raise RequestError(str(error), 404) from error


def _shares(mix: str, loaded: Loaded) -> tuple[tuple[int, float], ...]:
    """Return class indices and their shares, which sum to 1."""
    parts = _parts(mix)
    if len(parts) > MOST_MIXED:
        raise RequestError(f"mix: at most {MOST_MIXED} classes in an image")
    shares: dict[int, float] = {}
    for part in parts:
        label, colon, share = part.partition(":")
        index = _label(label, loaded)
        shares[index] = shares.get(index, 0.0) + (real("mix", share, 0.0, 1000.0, 0.5) if colon else 1.0)
    total = sum(shares.values())
    if total <= 0:
        raise RequestError("mix: at least one share must be above 0")
    return tuple((label, share / total) for label, share in shares.items() if share)
