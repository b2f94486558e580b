"""What a check says. Imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from biggan.foundation.terminal import one_line

State = Literal["ok", "warning", "broken"]


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    state: State
    """broken: training cannot work. warning: something else will not, or not well."""
    text: str
    """What was found; for what is not ok, also what to do."""

    def __str__(self) -> str:
        """Return one line."""
        return f"{self.state:8} {self.name:12} {one_line(self.text, 400)}"


def checked(name: str, check: Callable[[], Finding]) -> Finding:
    """Return what ``check`` finds; a failure of its own is a warning, and the others go on.

    Of an unexpected error the type alone is told: messages of libraries may hold addresses with passwords in them.
    """
    try:
        return check()
    except Exception as error:
        return Finding(name, "warning", f"could not be checked ({type(error).__name__}); please report that")


def shown(path: Path) -> str:
    """Return a path without the parts of it that the environment or the name of the user say."""
    for variable in ("BIGGAN_CACHE", "XDG_CACHE_HOME"):
        value = os.environ.get(variable)
        if value and path.is_relative_to(value):
            return str(Path(f"${variable}") / path.relative_to(value))
    home = Path.home()
    return str(Path("~") / path.relative_to(home)) if path.is_relative_to(home) else str(path)
