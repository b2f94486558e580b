"""A training step of the user's own: ``--step FILE.py:function``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from biggan.foundation.errors import UserError
from biggan.training.run import StepFunction
from biggan.training.state import TrainState


@dataclass(frozen=True)
class OwnStep:
    """What the user's file holds."""

    step: StepFunction
    """Called as ``biggan.training.step.train_step`` is."""
    prepare: Callable[[TrainState], None] | None
    """The file's function ``prepare(state)``, if any: called once, before weights are loaded, with the run's
    own random numbers, to add networks."""


def load_own_step(location: str) -> OwnStep:
    """Return what ``FILE.py:function`` names.

    Raises:
        UserError: no such file or function, or the file fails.
    """
    file, separator, name = location.rpartition(":")
    if not separator or not name.isidentifier():
        raise UserError(f"--step {location}: write FILE.py:function")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"--step {location}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"biggan_own_step_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"--step {location}: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"--step {location}: {path} fails: {type(error).__name__}: {error}") from error
    step = getattr(module, name, None)
    if not callable(step):
        found = [n for n, value in vars(module).items() if callable(value) and value.__module__ == module.__name__]
        raise UserError(f"--step {location}: no function '{name}' in {path}; it has {', '.join(found) or 'none'}")
    return OwnStep(step, getattr(module, "prepare", None))
