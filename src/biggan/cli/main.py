"""The command ``biggan``: find the sub-command, call it, print errors. Imports nothing heavy."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from biggan.foundation.errors import UserError, nearest

COMMANDS = {
    "train": ("biggan.cli.train:main", "train a preset, or go on with a run"),
    "sample": ("biggan.cli.sample:main", "images of any class and seed, as files"),
    "sheet": ("biggan.cli.sheet:main", "one picture of every class"),
    "interpolate": ("biggan.cli.interpolate:main", "paths between seeds and classes: picture, GIF or film"),
    "evaluate": ("biggan.cli.evaluate:main", "FID, KID, precision, recall ... against real images"),
    "calibrate": ("biggan.cli.calibrate:main", "store batch-norm statistics for a range of truncations"),
    "report": ("biggan.cli.report:main", "a run's metrics beside the published log"),
    "data": ("biggan.cli.data:main", "prepare, inspect or export a data set"),
    "info": ("biggan.cli.info:main", "what a run, checkpoint or snapshot is"),
    "demo": ("biggan.cli.demo:main", "train on digits, sample, and judge, in minutes on a CPU"),
}


def usage() -> str:
    """Return the help of the command itself."""
    from biggan.version import __version__

    lines = "\n".join(f"  {name:12} {what}" for name, (_, what) in COMMANDS.items())
    return (
        f"biggan {__version__}: class-conditional GANs (BigGAN, BigGAN-deep, SAGAN, SNGAN)\n\n"
        f"usage: biggan COMMAND [OPTIONS]\n\ncommands:\n{lines}\n\n"
        "biggan COMMAND --help tells the options of a command."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0, or 2 for a mistake in what was given."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if words else 2
    if words[0] == "--version":
        from biggan.version import __version__

        print(__version__)
        return 0
    if words[0] not in COMMANDS:
        print(
            f"error: unknown command '{words[0]}'; nearest: {', '.join(nearest(words[0], COMMANDS, 3))}",
            file=sys.stderr,
        )
        return 2
    module, _, function = COMMANDS[words[0]][0].partition(":")
    try:
        command: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
        return command(words[1:])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as exit_:  # the option parser's way of leaving, after a message of its own
        return exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 2
    except (PermissionError, FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141


if __name__ == "__main__":
    raise SystemExit(main())
