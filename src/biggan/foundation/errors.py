"""Errors that a person can act on: the option, the value, the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from biggan.foundation.terminal import one_line

_ALIKE = 0.5
"""Likeness from which a name may be what was meant: with less, half of the letters are others."""


class UserError(ValueError):
    """A mistake in what the user gave. The message names the option, the value and the fix.

    The command line prints the message without a traceback and exits with status 2.
    """


class CorruptFileError(UserError):
    """A file that exists but does not hold what it should; the message names the file."""


class NotDownloadedError(UserError):
    """What lies at an address could not be had, mostly for want of a network; the message names the address."""


class LostRankError(RuntimeError):
    """Another process of this command ended, or did not answer in time; nothing was wrong with what the user gave.

    The command line prints the message without a traceback and exits with status 75, by which mail programs have long
    meant: try again.
    """


def nearest(word: str, known: Iterable[str], count: int = 5) -> list[str]:
    """Return the ``count`` names of ``known`` most similar to ``word``, best first."""
    names = list(dict.fromkeys(known))
    return sorted(names, key=lambda name: _likeness(word, name), reverse=True)[:count]


def suggested(word: str, known: Iterable[str], first: str, count: int = 5) -> str:
    """Return ``nearest: `` and the names most similar to ``word``; where none is similar, the first ones there are.

    Args:
        word: what was typed.
        known: the names that there are, at least one.
        first: what leads in the first ones, for example ``classes are ``.
        count: how many are named.
    """
    names = list(dict.fromkeys(known))
    near = nearest(word, names, count)
    if _likeness(word, near[0]) >= _ALIKE:
        return f"nearest: {', '.join(map(one_line, near))}"
    return first + ", ".join([*map(one_line, names[:count]), *(["..."] if len(names) > count else [])])


def _likeness(word: str, name: str) -> float:
    lowered, other = word.casefold(), name.casefold()
    # A name that begins with, or contains, what was typed is what the person means more often
    # than one of a similar length: "retriever" is "golden retriever", not "reliever".
    contained = 0.5 * (lowered in other or other in lowered) if lowered else 0.0
    return contained + difflib.SequenceMatcher(None, lowered, other).ratio()


def unknown(kind: str, word: str, known: Iterable[str]) -> UserError:
    """Return the error for a name that is not registered, with the nearest ones that are."""
    names = list(known)
    shown = f"{len(names)} known" if len(names) > 12 else f"known: {', '.join(names)}"
    return UserError(
        f"unknown {kind} '{word}'; nearest: {', '.join(nearest(word, names)) or 'none'}"
        + (f" ({shown})" if len(names) > 5 else "")
    )
