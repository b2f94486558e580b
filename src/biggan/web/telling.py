"""What the terminal says of files that cannot be read: each once, and not more than so many."""

from __future__ import annotations

import threading
from pathlib import Path

from biggan.foundation.terminal import complain, one_line

MOST = 20


class Telling:
    """Files of which the terminal was told. For several threads."""

    def __init__(self) -> None:
        self._told: set[Path] = set()
        self._lock = threading.Lock()

    def knows(self, path: Path) -> bool:
        """Tell whether nothing more is said of a file."""
        return path in self._told or len(self._told) > MOST

    def tell(self, path: Path, why: Exception) -> None:
        """Say once that nothing can be drawn from a file, and why."""
        with self._lock:
            if self.knows(path):
                return
            self._told.add(path)
            if len(self._told) > MOST:
                complain(f"more than {MOST} files cannot be read; the others are not named")
            else:
                complain(f"cannot be drawn from: {one_line(str(why))}")
