"""Keeping what can be computed again: nothing fails because it cannot be kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.foundation.terminal import complain

_complained: set[Path] = set()


def keep_in_cache(path: Path, write: Callable[[], object]) -> bool:
    """Call ``write``, which writes ``path``; tell whether it is there now.

    A folder that cannot be written to is told once in the life of a process, and work goes on.
    """
    try:
        write()
    except (OSError, UserError) as error:
        if path.parent not in _complained:
            _complained.add(path.parent)
            complain(f"nothing can be kept in {path.parent}, so it is computed again each time: {error}")
        return False
    return True
