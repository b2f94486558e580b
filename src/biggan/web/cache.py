"""What was drawn lately, so that what many look at is drawn once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

OVERHEAD = 400
"""Bytes that an entry takes beside its value: key, objects and their places (measured: 310 to 330 with short keys)."""


class ByteCache:
    """Bytes by key; what was asked for longest ago goes when there are too many. For several threads.

    Args:
        most: bytes that are kept in all, :data:`OVERHEAD` included. What has more than a quarter of them is not kept.
    """

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._found: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> bytes | None:
        """Return what was put under ``key``, or None."""
        with self._lock:
            value = self._found.get(key)
            if value is not None:
                self._found.move_to_end(key)
            return value

    def put(self, key: Hashable, value: bytes) -> None:
        """Keep ``value``."""
        if len(value) > self._most // 4:
            return
        with self._lock:
            self._bytes += len(value) - len(self._found.pop(key, b""))
            self._found[key] = value
            while self.held > self._most:
                self._bytes -= len(self._found.popitem(last=False)[1])

    @property
    def held(self) -> int:
        """Bytes that are kept, with what entries take beside their values."""
        return self._bytes + OVERHEAD * len(self._found)
