"""Pickles that hold nothing but plain values and NumPy arrays: the only place that reads any.

A pickle is a program. This reader knows the few names that an array needs, and refuses a file that asks for any other
before anything of it is called.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from biggan.foundation.errors import CorruptFileError, UserError

_ALLOWED = frozenset(
    [
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    ]
)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UserError(f"asks for {module}.{name}, which plain data have no need of; it was not opened")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def load_plain(data: bytes, where: str, encoding: str = "bytes") -> Any:
    """Return what a pickle of plain values and arrays holds.

    Args:
        data: the file's bytes.
        where: how to call it in messages.
        encoding: of strings that Python 2 wrote.

    Raises:
        UserError: it asks for anything else.
        CorruptFileError: it is no whole pickle.
    """
    try:
        return _Reader(io.BytesIO(data), encoding=encoding).load()
    except UserError as error:
        raise UserError(f"{where}: {error}") from error
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(f"{where}: not a whole pickle of plain data ({error}); get it again") from error
