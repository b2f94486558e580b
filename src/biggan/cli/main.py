"""The command ``biggan``: find the sub-command, call it, print errors. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from biggan.cli.commands import COMMANDS
from biggan.foundation.errors import LostRankError, UserError, nearest
from biggan.foundation.files import FULL
from biggan.foundation.terminal import complain, one_line, open_standard_streams, say

TRY_AGAIN = 75
"""Status where another process of the command is gone; EX_TEMPFAIL of sysexits.h."""


def usage() -> str:
    """Return the help of the command itself."""
    from biggan.version import __version__

    lines = "\n".join(f"  {name:12} {what}" for name, (_, what) in COMMANDS.items())
    return (
        f"biggan {__version__}: class-conditional GANs (BigGAN, BigGAN-deep, SAGAN, SNGAN, R3GAN)\n\n"
        f"usage: biggan COMMAND [OPTIONS]\n\ncommands:\n{lines}\n\n"
        "biggan COMMAND --help tells the options of a command."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status.

    0: done. 1: a bug of this program, told with its traceback. 2: a mistake in what was given, or something that this
    machine does not have. 3: training ended because the networks collapsed (--on-collapse). 75: another process of the
    command is gone, and the same again may well succeed. 129: the terminal was closed; 130: interrupted; 143:
    terminated; 141: nobody reads the output any more.
    """
    open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if os.environ.get("NO_COLOR"):
        os.environ["TERM"] = "dumb"  # which the option parser heeds, and NO_COLOR not
    try:
        with _leaving_in_order():
            return _run(words)
    except SystemExit as exit_:  # the option parser's way of leaving, after a message of its own
        if exit_.code == 2:
            _tell_nearest_options(words)
        return exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 2
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:
        return 141
    except Exception as error:
        return _explain(error, words)


def _tell_nearest_options(words: list[str]) -> None:
    """Say of each option that a command does not have which it has that are spelt most alike."""
    from biggan.cli.option_names import command_of, options_of

    found = command_of(words)
    if found is None:
        return
    known = options_of(found[0])
    for word in dict.fromkeys(itertools.takewhile(lambda word: word != "--", found[1])):
        option = word.partition("=")[0].replace("_", "-")
        if option.startswith("--") and option not in known and option != "--help":
            near = ", ".join(nearest(option, known, 3))
            complain(f"error: 'biggan {found[0]}' has no option {one_line(option, 80)}; nearest: {near}")
    if found[0] == "train":
        _tell_misplaced_preset(found[1])


def _tell_misplaced_preset(words: list[str]) -> None:
    """Say where a preset stands if one is there behind something else; behind an option that is its value."""
    from biggan.presets.registry import PRESETS

    names = (*PRESETS, "auto")
    for before, word in itertools.pairwise(words):
        if word in names and not before.startswith("--"):
            first = f"{words[0]} is one already" if words[0] in names else f"biggan train {word} [OPTIONS]"
            complain(f"error: '{word}': one preset, and before all options: {first}")


@contextlib.contextmanager
def _leaving_in_order() -> Iterator[None]:
    """Let SIGTERM, and SIGHUP, end a command by the way on which half-written files are removed.

    Handlers that are there already stay.
    """
    main_one = threading.current_thread() is threading.main_thread()
    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in known if main_one and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        say(usage())
        return 0 if words else 2
    if words[0] == "--version":
        from biggan.version import __version__

        say(__version__)
        return 0
    if words[0] not in COMMANDS:
        raise UserError(
            f"unknown command '{one_line(words[0], 80)}'; nearest: {', '.join(nearest(words[0], COMMANDS, 3))}"
        )
    module, _, function = COMMANDS[words[0]][0].partition(":")
    command: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
    return command(words[1:])


def _explain(error: Exception, words: list[str]) -> int:
    """Tell what went wrong and return the exit status."""
    if isinstance(error, LostRankError):
        complain(f"error: {error}")
        return TRY_AGAIN
    reason = str(error) if isinstance(error, UserError) else _of_this_machine(error)
    if reason is not None:
        complain(f"error: {reason}")
        return 2
    from biggan.version import __version__

    complain("".join(traceback.format_exception(error)))
    complain(
        f"error: 'biggan {one_line(words[0], 80)}' met a case that it does not know "
        f"({type(error).__name__}: {one_line(str(error), 200)}). This is a mistake in biggan-torch {__version__}: "
        "please report it with the lines above."
    )
    return 1


def _of_this_machine(error: Exception) -> str | None:
    """Say what this machine lacks or forbids, with the way out; None if the error is of another kind."""
    if isinstance(error, OSError):
        place = one_line(f"{error.filename}: ") if error.filename else ""
        if error.errno in FULL:
            return f"{place}{error.strerror}; free some space, or write to another disk"
        if isinstance(error, PermissionError):
            return f"{place}{error.strerror or error}; choose a place where you may read and write"
        return f"{place}{error.strerror or error}"
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)):
        return "this machine has not enough memory for that; take fewer images at a time (--batch) or in all"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return (
            f"the GPU has not enough memory for that ({one_line(str(error), 200)}); take fewer images at a time "
            "(--batch; in training --micro-batch), or --device cpu"
        )
    return None


if __name__ == "__main__":
    raise SystemExit(main())
