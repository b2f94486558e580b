"""The queue draws together what waits, in order, within its bounds."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from biggan.cli.main import main
from biggan.web.batching import Batcher
from biggan.web.bounds import RequestError
from biggan.web.cache import OVERHEAD, ByteCache
from biggan.web.server import listen
from tests.conftest import HANGS
from tests.snapshots import write


class Worker:
    """Notes its batches; the first one waits until it may go on."""

    def __init__(self) -> None:
        self.started, self.go, self.batches = threading.Event(), threading.Event(), list[list[int]]()

    def __call__(self, jobs: Sequence[int]) -> list[int]:
        self.batches.append(list(jobs))
        self.started.set()
        assert self.go.wait(HANGS)
        if 13 in jobs:
            raise ValueError("13")
        return [job * 10 for job in jobs]


def test_what_waits_is_drawn_together_by_group() -> None:
    worker = Worker()
    batcher: Batcher[int, int] = Batcher(worker, waiting=6, batch=3)
    try:
        first = batcher.submit("a", 0)
        assert worker.started.wait(HANGS)
        answers = [batcher.submit(group, job) for group, job in zip("abaaab", range(1, 7), strict=True)]
        with pytest.raises(RequestError, match="6 images wait") as refused:
            batcher.submit("a", 7)
        assert refused.value.status == 503
        answers[1].cancel()
        worker.go.set()
        assert first.result(HANGS) == 0
        assert [one.result(HANGS) for one in (answers[0], *answers[2:])] == [10, 30, 40, 50, 60]
        assert worker.batches == [[0], [1, 3, 4], [6], [5]]
    finally:
        worker.go.set()
        batcher.close()


def test_an_error_is_told_and_the_others_go_on() -> None:
    worker = Worker()
    worker.go.set()
    batcher: Batcher[int, int] = Batcher(worker, waiting=6, batch=3)
    with pytest.raises(ValueError, match="13"):
        batcher.submit("a", 13).result(HANGS)
    assert batcher.submit("a", 2).result(HANGS) == 20
    batcher.close()
    with pytest.raises(RequestError, match="stopping"):
        batcher.submit("a", 1)


def test_closing_answers_what_waits() -> None:
    worker = Worker()
    batcher: Batcher[int, int] = Batcher(worker, waiting=6, batch=3)
    batcher.submit("a", 0)
    assert worker.started.wait(HANGS)
    waiting = batcher.submit("b", 1)
    closing = threading.Thread(target=batcher.close)
    closing.start()
    with pytest.raises(CancelledError):
        waiting.result(HANGS)
    worker.go.set()
    closing.join(HANGS)
    assert not closing.is_alive()


def test_the_cache_holds_no_more_than_it_may() -> None:
    each = 2000 + OVERHEAD
    cache = ByteCache(5 * each)
    for key in range(8):
        cache.put(key, bytes(2000))
        cache.get(0)
    assert cache.held == 5 * each
    assert [key for key in range(8) if cache.get(key)] == [0, 4, 5, 6, 7], "what is asked for stays"
    cache.put("large", bytes(5 * each // 4 + 1))
    assert cache.get("large") is None
    cache.put(0, bytes(1000))
    assert cache.held == 5 * each - 1000


def test_the_cache_counts_what_small_values_take_beside_their_bytes() -> None:
    """The memory that many small images really take, as Python counts it, is what the cache believes to hold."""
    most = 4 * 2**20
    cache = ByteCache(most)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for seed in range(20_000):
            cache.put(f"model=one&mix=3&seed={seed}&truncation=0.5", bytes(200))
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert cache.held <= most
    assert 0.4 * most < taken <= 1.1 * most


def test_mistakes_on_the_command_line_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = str(write(tmp_path / "one.safetensors"))
    (tmp_path / "empty").mkdir()
    with listen("127.0.0.1", 0).socket as taken:
        port = str(taken.getsockname()[1])
        for words, says in (
            ([], "name a run"),
            ([str(tmp_path / "missing"), "--port", "0"], "there is no such run"),
            ([str(tmp_path / "empty"), "--port", "0"], "no run, checkpoint or snapshot"),
            ([snapshot, "--port", port], "the port is in use"),
            ([snapshot, "--port", "99999"], "0 (any free one) to 65535"),
            ([snapshot, "--port", "0", "--host", "no host"], "there is no such address"),
            ([snapshot, "--rate", "0"], "--rate 0"),
        ):
            assert main(["serve", *words]) == 2, words
            assert says in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from biggan.foundation.errors import UserError
    from biggan.web import server

    monkeypatch.setattr(server, "PACKAGES", ("json", "no_such_package"))
    with pytest.raises(UserError, match=r'needs no_such_package: pip install "biggan-torch\[web\]"'):
        server.check_packages()
