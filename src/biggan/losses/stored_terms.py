"""Terms as a run stores them: options whose defaults come from the data, or were others once, are written out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields

from biggan.losses.terms import TERMS


def written_out(words: Sequence[str], images: int | None) -> tuple[str, ...]:
    """Return terms with the options written out that are the number of images of the data, or once had no name.

    Where there are no data yet, ``images`` None, those that wait for them stay as they are.
    """
    found = []
    for word in words:
        kind = TERMS[word.partition(",")[0]]
        now = {each.name: str(each.default) for each in fields(kind) if each.name in kind.before}
        of_data = {} if images is None else {key: str(images) for key in kind.of_data}
        found.append(_with(word, of_data | now))
    return tuple(found)


def as_stored(words: Sequence[str]) -> tuple[str, ...]:
    """Return terms as they were meant by a run that stored these words, perhaps before an option had a name."""
    return tuple(_with(word, TERMS[name].before if (name := word.partition(",")[0]) in TERMS else {}) for word in words)


def going_on(words: Sequence[str], stored: Sequence[str]) -> tuple[str, ...]:
    """Return terms of a run that goes on: what ``words`` leave open of such options is as ``stored`` has it."""
    had = {word.partition(",")[0]: _options(word) for word in stored}
    found = []
    for word in words:
        name = word.partition(",")[0]
        settled = TERMS[name].before if name in TERMS and name in had else {}
        found.append(_with(word, {key: had[name][key] for key in settled if key in had[name]}))
    return tuple(found)


def _options(word: str) -> dict[str, str]:
    return {key: value for key, _, value in (option.partition("=") for option in word.split(",")[1:])}


def _with(word: str, more: Mapping[str, str]) -> str:
    given = _options(word)
    return ",".join([word, *(f"{key}={value}" for key, value in more.items() if key not in given)])
