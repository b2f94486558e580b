"""How options are written on a command line, for annotations. Imports no torch.

Only the command line needs tyro. Where it is not installed, a configuration is built in Python alone, and these parts
of annotations mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

try:
    from tyro.conf import arg
    from tyro.constructors import PrimitiveConstructorSpec
except ImportError:
    HAS_COMMAND_LINE = False
else:
    HAS_COMMAND_LINE = True

T = TypeVar("T")


def written(kind: type[T], metavar: str, read: Callable[[str], T], show: Callable[[T], str]) -> object:
    """Return how a value is written as one word.

    Args:
        kind: its type.
        metavar: what help calls it.
        read: from the word; raises :class:`~biggan.foundation.errors.UserError`.
        show: the word that ``read`` understands.
    """
    if not HAS_COMMAND_LINE:
        return metavar
    return PrimitiveConstructorSpec[T](
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [show(value)],
    )


def also_called(name: str) -> object:
    """Return that an option has a second name, for example ``--data``."""
    return arg(aliases=[name]) if HAS_COMMAND_LINE else name
