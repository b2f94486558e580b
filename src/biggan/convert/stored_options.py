"""The options that BigGAN-PyTorch stores with a training state, read without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biggan.convert.configurations import plain
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.records import read_bounded
from biggan.foundation.torch_files import read_torch_file

_LARGEST = 2**30


def read_options(path: Path | str) -> dict[str, Any]:
    """Return the options stored in a pickled training state, plain values only; no code is run.

    The reference's ``state_dict.pth`` holds activation modules and NumPy numbers beside numbers and strings. Those
    few harmless types are known by name; a file that asks for anything else is refused. Only values of plain type
    are returned, the activations as their class name and whether they work in place.

    Raises:
        UserError: no such file, or it holds no options.
        CorruptFileError: damaged, or it asks for a type that is not known.
    """
    path = Path(path)
    data = read_bounded(path, _LARGEST)
    try:
        stored = read_torch_file(data, str(path)).value
    except UserError as error:
        raise CorruptFileError(f"{path} is damaged or asks for types that are not opened here: {error}") from error
    options = stored.get("config", stored) if isinstance(stored, Mapping) else None
    if not isinstance(options, Mapping):
        raise UserError(f"{path} holds no options")
    return {str(name): found for name, value in options.items() if (found := plain(value)) is not None}
