"""The HTTP API: small, documented in docs/serving.md, and what the page itself uses."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import one_line
from biggan.report.charts import Chart, Line, draw
from biggan.web.bounds import MOST_RUNS, RequestError
from biggan.web.requests import FILM_WORDS, IMAGE_WORDS, one_of, whole, words_of
from biggan.web.service import Service

Answer = Callable[[Request], Awaitable[Response]]
_TYPES = {"gif": "image/gif", "mp4": "video/mp4", "webm": "video/webm"}
_MOST_FIELDS = 32


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of the API."""

    async def models(request: Request) -> Response:
        _words(request, ())
        found = await service.in_thread(service.places.entries)
        return _json({"models": [{"name": e.name, "kind": e.kind, "trains": e.trains} for e in found.values()]})

    async def model(request: Request) -> Response:
        return _json(await service.about(_words(request, ("model",)).get("model", "")))

    async def classes(request: Request) -> Response:
        words = _words(request, ("model", "search", "limit"))
        limit = whole("limit", words.get("limit") or "20", 1, 100)
        return _json({"classes": await service.search(words.get("model", ""), words.get("search", ""), limit)})

    async def image(request: Request) -> Response:
        words = _words(request, (*IMAGE_WORDS, "record"))
        record = one_of("record", words, ("0", "1")) == "1"
        drawn = await service.image(words, record=record)
        headers = {"x-biggan-query": drawn.query, "x-biggan-statistics": _ascii(drawn.statistics)}
        return Response(drawn.data, media_type="image/png", headers={**headers, "cache-control": "no-cache"})

    async def possible(request: Request) -> Response:
        return _json(await service.possible(_pairs(request)))

    async def film(request: Request) -> Response:
        data, form = await service.film(_words(request, FILM_WORDS))
        headers = {"content-disposition": f'inline; filename="film.{form}"', "cache-control": "no-cache"}
        return Response(data, media_type=_TYPES[form], headers=headers)

    async def recreate(request: Request) -> Response:
        _words(request, ())
        data = b""
        async for part in request.stream():
            data += part
            if len(data) > service.bounds.upload:
                raise RequestError(f"at most {service.bounds.upload:,} bytes can be sent", 413)
        return _json(await service.recreate(data))

    async def runs(request: Request) -> Response:
        _words(request, ())
        return _json({"runs": await service.in_thread(service.runs.listed)})

    async def curve(request: Request) -> Response:
        names, wanted = _runs(request)
        found = await service.in_thread(service.runs.curve, names, wanted)
        points = {name: [(p.clock, p.mean) for p in series.points() if p] for name, series in found.items()}
        return _json({"curve": wanted, "runs": points})

    async def curve_picture(request: Request) -> Response:
        names, wanted = _runs(request)
        found = await service.in_thread(service.runs.curve, names, wanted)
        lines = tuple(Line(name=name, series=series) for name, series in found.items())
        picture = draw(Chart(name="curve", title=wanted, lines=lines), 0, alone=True)
        return Response(picture, media_type="image/svg+xml", headers={"cache-control": "no-cache"})

    async def sheet(request: Request) -> Response:
        words = _words(request, ("run", "images", "sheet"))
        clock = whole("images", words.get("images", ""), 0, 10**17)
        name = words.get("sheet", "fixed")
        data = await service.in_thread(service.runs.sheet, words.get("run", ""), clock, name)
        return Response(data, media_type="image/png", headers={"cache-control": "no-cache"})

    answers = {
        "/api/models": models,
        "/api/model": model,
        "/api/classes": classes,
        "/api/image": image,
        "/api/possible": possible,
        "/api/film": film,
        "/api/runs": runs,
        "/api/curve": curve,
        "/api/curve.svg": curve_picture,
        "/api/sheet": sheet,
    }

    async def missing(_: Request) -> Response:
        raise RequestError("there is no such page; the API is described in docs/serving.md", 404)

    found = [Route(path, _in_sentences(answer), methods=["GET"]) for path, answer in answers.items()]
    found.append(Route("/api/recreate", _in_sentences(recreate), methods=["POST"]))
    return [*found, Route("/api/{rest:path}", _in_sentences(missing))]


def _in_sentences(answer: Answer) -> Answer:
    """Return an answer that tells errors as a sentence, with their status."""

    async def tell(request: Request) -> Response:
        try:
            return await answer(request)
        except RequestError as error:
            status, sentence = error.status, str(error)
        except UserError as error:
            status, sentence = 400, str(error)
        except MemoryError:
            status, sentence = 503, "this machine has not enough memory for that; ask for less"
        headers = {"retry-after": "1"} if status == 503 else {}
        return _json({"error": one_line(sentence)}, status, headers)

    return tell


def _json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps(_finite(value), allow_nan=False)
    return Response(body, status, {"cache-control": "no-cache", **(headers or {})}, media_type="application/json")


def _finite(value: Any) -> Any:
    """Return ``value`` with what JSON cannot say as null."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pairs(request: Request) -> list[tuple[str, str]]:
    try:
        text = request.scope["query_string"].decode("ascii")
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise RequestError("the query is not written as one: word=value&word=value, in UTF-8") from error


def _words(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    pairs = _pairs(request)
    if pairs and not known:
        raise RequestError(f"{one_line(pairs[0][0], 40)}: nothing is asked here; leave the query out")
    return words_of(pairs, known)


def _runs(request: Request) -> tuple[list[str], str]:
    """Return the runs and the curve that a query names."""
    pairs = _pairs(request)
    names = [value for name, value in pairs if name == "run"]
    rest = words_of([pair for pair in pairs if pair[0] != "run"], ("curve",))
    if len(names) > MOST_RUNS:
        raise RequestError(f"run: {len(names)} runs, where a plot shows 1 to {MOST_RUNS}")
    return names or [""], rest.get("curve", "")


def _ascii(text: str) -> str:
    return one_line(text, 500).encode("ascii", "backslashreplace").decode("ascii")
