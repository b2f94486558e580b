"""A progress bar as a function, made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from biggan.foundation.terminal import one_line


def progress_bar(title: str, unit: str = "img") -> Callable[[int, int], None]:
    """Return a function of (done, total) that shows how far something is, on a terminal only."""
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            from tqdm import tqdm

            bar = tqdm(total=total, initial=done, unit=unit, desc=one_line(title, 60), disable=None, leave=False)
        bar.update(done - bar.n)
        if done >= total:
            bar.close()

    return show
