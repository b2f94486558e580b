"""Terms that act always or never: what D is shown, or from what G learns, must not change from one update to the next.

Most of them are no sum, either, whose parts could be weighed.
"""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.losses.terms import Term


def check_always(term: Term, name: str, why: str) -> None:
    """Check that a term acts in all updates.

    Args:
        term: with its options.
        name: by which it was given.
        why: it must.

    Raises:
        UserError: it is to act in some.
    """
    if term.every != 1:
        raise UserError(f"--terms {name},every={term.every}: {why}; leave it out")


def check_switch(term: Term, name: str, instead: str) -> None:
    """Check that the weight of a term that has no strength is 1, or 0 for absence.

    Args:
        term: with its options.
        name: by which it was given.
        instead: what to do who wants more or less of it.

    Raises:
        UserError: it is another, and would change nothing.
    """
    if term.weight.first != term.weight.last or term.weight.first not in (0, 1):
        raise UserError(
            f"--terms {name},weight={term.weight}: it is there (1) or not (0), and has no weight; {instead}"
        )
