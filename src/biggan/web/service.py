"""What the page and the API offer, without HTTP: names and numbers in, bytes and records out."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from torch import Tensor

from biggan.foundation.errors import UserError, nearest
from biggan.web.batching import Batcher
from biggan.web.bounds import Bounds, RequestError
from biggan.web.cache import ByteCache
from biggan.web.drawing import Drawer, Picture, path_of
from biggan.web.models import Loaded, ModelStore
from biggan.web.pictures import SMALLEST_SIDE, check_format, film, png, query_of, record_of
from biggan.web.places import Places
from biggan.web.requests import parse_film, parse_image, possible
from biggan.web.runs import Runs

Result = TypeVar("Result")
MOST_SHOWN = 8
"""Directions that the page offers."""
_AHEAD = 8
"""Pictures of a film that wait at a time, so that others' images come between."""


@dataclass(frozen=True)
class Drawn:
    """An image as it is sent.

    Attributes:
        data: of a PNG file.
        query: that draws it again.
        statistics: of batch norm, a sentence.
    """

    data: bytes
    query: str
    statistics: str


class Service:
    """One server's models, queue, cache and runs.

    Args:
        paths: runs, snapshots, or folders of them.
        device: where to draw.
        bounds: of all that may be asked for.

    Raises:
        UserError: nothing there that can be served, or no model that is not damaged.
    """

    def __init__(self, paths: Sequence[str], device: str = "auto", bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.places = Places(paths, self.bounds.entries)
        self.models = ModelStore(self.places, device, self.bounds)
        self._check()
        self.drawer = Drawer(self.bounds)
        self.cache = ByteCache(self.bounds.cache)
        self.runs = Runs(self.places, self.bounds)
        self._films = 0

    def _check(self) -> None:
        """Read a model: a mistake is told before the server starts, with what clients are not told."""
        try:
            self.models.begin()
        except RequestError as error:
            raise error.__cause__ if isinstance(error.__cause__, UserError) else error from None

    def close(self) -> None:
        """End the drawing thread."""
        self.drawer.close()

    @property
    def batcher(self) -> Batcher[Any, Picture]:
        """The queue."""
        return self.drawer.batcher

    async def model(self, name: str) -> Loaded:
        """Return a generator. Reading one does not keep others waiting.

        Raises:
            RequestError: see :meth:`biggan.web.models.ModelStore.find`.
        """
        return await asyncio.to_thread(self.models.find, name)

    async def image(self, words: Mapping[str, str], *, record: bool = False) -> Drawn:
        """Return the image that the words of a query mean.

        Args:
            words: of the query.
            record: whether it is drawn alone, see :meth:`biggan.web.drawing.Drawer.image`.

        Raises:
            RequestError: it cannot be had; says why.
        """
        loaded = await self.model(words.get("model", ""))
        request = parse_image(words, loaded)
        query = request.query(loaded.entry.name)
        key = loaded.version, query, record
        data = self.cache.get(key)
        if data is None:
            picture = await asyncio.wrap_future(self.drawer.image(loaded, request, record=record))
            data = await asyncio.to_thread(png, picture.image, query, picture.record)
            self.cache.put(key, data)
        return Drawn(data, query, str(loaded.sampler.statistics(request.truncation, request.kind)))

    async def possible(self, pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Return what of a query can be drawn: a query that names all of it, and a sentence about each part left out.

        Raises:
            RequestError: nothing can be drawn.
        """
        said = []
        try:
            loaded = await self.model(next((value for name, value in pairs if name == "model"), ""))
        except RequestError as error:  # what was asked of it means something else in another model
            loaded, pairs = await self.model(""), ()
            said.append(str(error))
        request, others = possible([(name, value) for name, value in pairs if name != "model"], loaded)
        return {"query": request.query(loaded.entry.name), "said": [*said, *others]}

    async def film(self, words: Mapping[str, str]) -> tuple[bytes, str]:
        """Return the film that the words of a query mean, and its format: gif, mp4 or webm.

        Raises:
            RequestError: it cannot be had; says why.
        """
        loaded = await self.model(words.get("model", ""))
        request = parse_film(words, loaded, self.bounds)
        check_format(request)
        self._check_size(loaded, request.pictures)
        key: Hashable = loaded.version, request
        data = self.cache.get(key)
        if data is not None:
            return data, request.form
        if self._films >= self.bounds.films:
            raise RequestError(f"{self._films} films are being made already; ask again in a moment", 503)
        self._films += 1
        try:
            z, embeddings = await asyncio.to_thread(path_of, loaded, request)
            images: list[Tensor] = []
            for start in range(0, len(z), _AHEAD):
                waiting = [
                    asyncio.wrap_future(self.drawer.point(loaded, request, *point))
                    for point in zip(z[start : start + _AHEAD], embeddings[start : start + _AHEAD], strict=True)
                ]
                images += [one.image for one in await asyncio.gather(*waiting)]
            data = await asyncio.to_thread(film, images, request)
        finally:
            self._films -= 1
        self.cache.put(key, data)
        return data, request.form

    async def recreate(self, data: bytes) -> dict[str, str]:
        """Return the query that draws a PNG file again, and a note where another generator drew it.

        Raises:
            RequestError: it does not say how it was made, or the model it names is not here.
        """
        query = await self.in_thread(query_of, data)
        record = await self.in_thread(record_of, data)
        if record is None:
            return {"query": query}
        named = dict(parse_qsl(query)).get("model", "")
        found = await self.in_thread(self.models.drawn_by, record, named)
        if found is None:
            age = f"{record.images_seen:,} images"
            return {
                "query": query,
                "note": f"another generator drew that picture, after {age}; this is what ours draws",
            }
        return {"query": query if found == named else f"{urlencode({'model': found})}&{_without_model(query)}"}

    async def about(self, name: str) -> dict[str, Any]:
        """Return what is known about a model.

        Raises:
            RequestError: it cannot be had; says why.
        """
        loaded = await self.model(name)
        info, bank = loaded.sampler.info, loaded.sampler.bank
        return {
            "model": loaded.entry.name,
            "kind": loaded.entry.kind,
            "family": info.architecture.family,
            "resolution": list(info.architecture.resolution),
            "channels": info.architecture.channels,
            "classes": loaded.classes,
            "class_names": list(loaded.sampler.class_names) or [str(label) for label in range(loaded.classes)],
            "z_size": info.architecture.z_size,
            "levels": loaded.levels,
            "directions": [
                loaded.directions.title(number) for number in range(min(len(loaded.directions), MOST_SHOWN))
            ],
            "directions_by": loaded.directions.label,
            "images_seen": info.images_seen,
            "weights": info.weights,
            "bank": None if bank is None else {"kind": bank.record.kind, "truncations": list(bank.record.truncations)},
        }

    async def search(self, name: str, word: str, most: int) -> list[dict[str, Any]]:
        """Return the classes whose names are nearest to a word, best first.

        Raises:
            RequestError: it cannot be had; says why.
        """
        loaded = await self.model(name)
        names = loaded.sampler.class_names
        found = await self.in_thread(nearest, word[:100], names, most)
        return [{"class": names.index(one), "name": one} for one in found]

    async def in_thread(self, call: Callable[..., Result], *words: Any) -> Result:
        """Return what a function that may take a moment returns, while others are answered."""
        return await asyncio.to_thread(functools.partial(call, *words))

    def _check_size(self, loaded: Loaded, pictures: int) -> None:
        architecture = loaded.sampler.info.architecture
        height, width = architecture.resolution
        factor = max(1, -(-SMALLEST_SIDE // min(height, width)))
        needed = pictures * height * width * factor**2 * 3
        if needed > self.bounds.film_bytes:
            raise RequestError(
                f"frames: {pictures} pictures of this size take more memory than a film may; at most "
                f"{self.bounds.film_bytes * pictures // needed} are possible",
                413,
            )


def _without_model(query: str) -> str:
    return urlencode([(word, value) for word, value in parse_qsl(query) if word != "model"])
