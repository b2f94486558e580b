"""What is said of a word that an option does not take: a sentence, and nothing of Python."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from typing import Any

import pytest

from biggan.cli.main import main
from biggan.cli.option_names import kind_of, kinds
from biggan.cli.parsing import read_options

INTERNALS = ("<function", "<class", "<locals>", "typing.", "Got errors", "no type matching", "invalid literal")


def options_of(kind: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the annotation of each option of a dataclass, nested ones included."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from options_of(hints[field.name], f"{prefix}{field.name}_")
        elif "Positional" not in repr(hints[field.name]):
            yield f"{prefix}{field.name}", hints[field.name]


def test_no_refusal_of_an_option_tells_of_python(capsys: pytest.CaptureFixture[str]) -> None:
    refused, seen = set(), set()
    for command in kinds():
        for name, hint in options_of(kind_of(command), ""):
            if (name, repr(hint)) in seen or hint is bool:
                continue
            seen.add((name, repr(hint)))
            alone = dataclasses.make_dataclass("Alone", [(name, hint)])
            for words in (["zzz"], ["1.5.5", "zzz"], ["0x"]):
                said, option = "", f"--{name.replace('_', '-')}"
                try:
                    read_options(alone, [option, *words], "biggan")
                except SystemExit:
                    said = capsys.readouterr().err
                    refused.add(name)
                assert not any(one in said for one in INTERNALS), said
    assert {
        "resolution",
        "micro_batch",
        "duration",
        "batch",
        "generator_adam_learning_rate",
        "ema_half_life",
    } <= refused
    assert len(refused) > 60


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--resolution 50", "--resolution 50x50 cannot be built"),
        ("--resolution abc", "write 128 for a square or 256x64"),
        ("--micro-batch foo", "'foo' is none of: a whole number, auto, None"),
        ("--batch foo", "'foo' is not a whole number"),
        ("--duration foo", "'foo' is not a number of images; write for example"),
        ("--evaluation.every foo", "'foo' is not a number of images; write for example"),
    ],
)
def test_the_sentence_is_the_options_own(words: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "digits", *words.split()]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert f"Error parsing {words.split()[0]}: " in said
    assert sentence in said


def test_what_unions_take_is_still_read() -> None:
    @dataclasses.dataclass(frozen=True)
    class Options:
        one: int | None = 3
        other: int | typing.Literal["auto"] | None = None
        several: tuple[float, ...] | None = None
        pair: tuple[int, int] | None = None

    assert read_options(Options, "--one None --other auto --several 1 2.5 --pair 3 4".split(), "x") == Options(
        None, "auto", (1.0, 2.5), (3, 4)
    )
    assert read_options(Options, "--other 7 --several None".split(), "x", default=Options(pair=(1, 2))) == Options(
        3, 7, None, (1, 2)
    )
