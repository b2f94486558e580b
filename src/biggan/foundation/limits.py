"""Limits of stored values, written into their annotations: ``Annotated[int, Ge(0), Le(100)]``. Imports nothing.

They are those of annotated-types, which pydantic reads, in the form that its protocol of grouped metadata gives to
others: only reading a record imports it, so that a machine that trains or measures needs neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class _Limit:
    value: Any
    __is_annotated_types_grouped_metadata__: ClassVar[Literal[True]] = True

    def __iter__(self) -> Iterator[object]:
        """Yield the limit of the same name in annotated-types."""
        import annotated_types

        yield getattr(annotated_types, type(self).__name__)(self.value)


class Ge(_Limit):
    """At least."""


class Gt(_Limit):
    """More than."""


class Le(_Limit):
    """At most."""


class Lt(_Limit):
    """Less than."""


class MinLen(_Limit):
    """At least so long."""


class MaxLen(_Limit):
    """At most so long."""
