"""What a picture says of images at points that no seed names: the points themselves. Imports no torch."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from biggan.foundation.limits import Ge, Le, MaxLen, MinLen
from biggan.foundation.records import LIMIT
from biggan.models.bounds import MOST_CLASSES

LONGEST_TITLE = 200
_MOST = 100_000
_Title = Annotated[str, MaxLen(LONGEST_TITLE)]
_Place = Annotated[int, Ge(0), Le(_MOST)]
_Label = Annotated[int, Ge(0), Le(MOST_CLASSES)]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Rows of numbers, little-endian, in base64."""

    type: Literal["float32", "float64"] = "float32"
    width: Annotated[int, Ge(0), Le(_MOST)]
    """Numbers a row."""
    values: Annotated[str, MaxLen(LIMIT)]

    def __post_init__(self) -> None:
        try:
            data = base64.b64decode(self.values, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("not in base64") from error
        bytes_a_row = self.width * np.dtype(self.type).itemsize
        if len(data) % bytes_a_row if bytes_a_row else data:
            raise ValueError(f"{len(data):,} bytes are no rows of {self.width:,} numbers")
        if not np.isfinite(self.rows()).all():
            raise ValueError("a number that is not finite")

    def rows(self) -> npt.NDArray[np.floating]:
        """Return them, [N, width]; of rows without numbers none."""
        data = np.frombuffer(base64.b64decode(self.values), np.dtype(self.type).newbyteorder("<"))
        return data.reshape(-1, self.width) if self.width else data.reshape(0, 0)


def numbers(rows: npt.NDArray[np.floating]) -> Numbers:
    """Return the record of rows, float32 or float64 [N, width].

    Raises:
        ValueError: of another type.
    """
    if rows.dtype.name not in ("float32", "float64"):
        raise ValueError(f"{rows.dtype.name} is neither float32 nor float64")
    data = np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).tobytes()
    kind: Literal["float32", "float64"] = "float32" if rows.dtype.itemsize == 4 else "float64"
    return Numbers(type=kind, width=rows.shape[1], values=base64.b64encode(data).decode("ascii"))


@dataclass(frozen=True, kw_only=True)
class PointsShown:
    """The picture shows images at points: moved along a direction, bred, mixed, or found. See ``PointSheet``."""

    z: Numbers
    """Of each image; where parts of an image come from two latents both, one after the other."""
    conditions: Numbers = Numbers(width=0, values="")
    """Embeddings of classes, or mixtures of them; each once."""
    mixtures: Annotated[tuple[tuple[tuple[_Label, float], ...], ...], MaxLen(_MOST)] = ()
    """In the place of these: of each the classes and their shares. Without classes there are neither."""
    condition_of: Annotated[tuple[_Place, ...], MinLen(1), MaxLen(_MOST)]
    """Which of these each image has."""
    titles: Annotated[tuple[_Title, ...], MaxLen(_MOST)] = ()
    """Where the points come from, for people: seeds and classes, or parents."""
    about: _Title = ""
    """What was done, for people."""
    columns: Annotated[int, Ge(1), Le(_MOST)]
    row_names: Annotated[tuple[_Title, ...], MaxLen(_MOST)] = ()
    """What stands beside the rows."""
    column_names: Annotated[tuple[_Title, ...], MaxLen(_MOST)] = ()
    """What stands above the columns."""
    blank: Annotated[tuple[_Place, ...], MaxLen(_MOST)] = ()
    """Cells, counted from 0 and rising, that no generator drew."""
    single: bool = False
    """Whether the picture is the one image, not a sheet."""
    coarse: Annotated[int, Ge(1), Le(100)] | None = None
    """Of two latents: how many parts the first is for."""

    def __post_init__(self) -> None:
        count = len(self.condition_of)
        if len(self.z.rows()) != count:
            raise ValueError(f"{len(self.z.rows()):,} latents for {count:,} images")
        if self.conditions.width and self.mixtures:
            raise ValueError("conditions, and mixtures in their place")
        conditions = len(self.mixtures) or len(self.conditions.rows())
        if conditions and max(self.condition_of) >= conditions:
            raise ValueError(f"condition {max(self.condition_of)} of {conditions}, counted from 0")
        cells = count + len(self.blank)
        if any(one >= other for one, other in zip((-1, *self.blank), (*self.blank, cells), strict=True)):
            raise ValueError(f"blank cells that do not rise within 0 to {cells - 1}")
        rows = -(-cells // self.columns)
        for names, wanted, what in ((self.row_names, rows, "rows"), (self.column_names, self.columns, "columns")):
            if names and len(names) != wanted:
                raise ValueError(f"{len(names)} names of {wanted} {what}")
        if self.single and cells > 1:
            raise ValueError(f"{cells} cells of one image")
