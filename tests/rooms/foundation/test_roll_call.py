"""The roll call: whatever earlier processes left in the store, those of now find each other, and nobody else."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from biggan.foundation.errors import LostRankError
from biggan.foundation.roll_call import roll_call


class Shelf:
    """A store that many threads share, and that is slow now and then."""

    def __init__(self, seed: int) -> None:
        self.kept: dict[str, str] = {}
        self._lock, self._draw = threading.Lock(), random.Random(seed)

    def set(self, key: str, value: str) -> None:
        self._linger()
        with self._lock:
            self.kept[key] = value

    def get(self, key: str) -> bytes:
        self._linger()
        with self._lock:
            return self.kept[key].encode()

    def check(self, keys: list[str]) -> bool:
        with self._lock:
            return all(key in self.kept for key in keys)

    def _linger(self) -> None:
        with self._lock:
            pause = self._draw.choice([0.0, 0.0, 0.002])
        time.sleep(pause)


def meet(shelf: Shelf, ranks: int, draw: random.Random, seconds: float = 20.0) -> list[str]:
    """Let so many processes come, in any order and at any time."""
    order = draw.sample(range(ranks), ranks)

    def come(rank: int) -> str:
        time.sleep(0.02 * order[rank] * draw.random())
        return roll_call(shelf, rank, ranks, seconds)

    with ThreadPoolExecutor(ranks) as pool:
        return list(pool.map(come, range(ranks)))


def test_every_time_has_one_name_of_its_own() -> None:
    """Starts of one job, with more and fewer processes, some of which died on the way."""
    draw, shelf = random.Random(1), Shelf(2)
    names = []
    for ranks in (2, 4, 4, 3, 1, 2, 4):
        if ranks > 2:  # a start in which the last one never came: the others wrote what they had to write
            with pytest.raises(LostRankError), ThreadPoolExecutor(ranks) as pool:
                list(pool.map(lambda rank, count=ranks: roll_call(shelf, rank, count, 0.1), range(ranks - 1)))
        found = meet(shelf, ranks, draw)
        assert len(set(found)) == 1, "all have the same name"
        names += found[:1]
    assert len(set(names)) == len(names), "and never one of before"


def test_a_late_one_is_waited_for_though_its_predecessor_left_a_word() -> None:
    shelf = Shelf(3)
    meet(shelf, 2, random.Random(4))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(roll_call, shelf, 0, 2, 20.0)
        time.sleep(0.3)
        assert not first.done(), "what lies there of rank 1 is of another time"
        second = pool.submit(roll_call, shelf, 1, 2, 20.0)
        assert first.result() == second.result()


def test_who_does_not_come_is_named() -> None:
    with pytest.raises(LostRankError, match="rank 1, 2 of 3 did not come in time"):
        roll_call(Shelf(5), 0, 3, 0.05)
