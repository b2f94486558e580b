"""``biggan explore directions | list | name | sheet | breed | mix | project``."""

from __future__ import annotations

from collections.abc import Callable

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.terminal import one_line, say


def main(words: list[str]) -> int:
    """Find the sub-command."""
    from biggan.cli import explore_directions, explore_points

    commands: dict[str, Callable[[list[str]], int]] = {
        "directions": explore_directions.directions,
        "list": explore_directions.show,
        "name": explore_directions.rename,
        "sheet": explore_directions.show_sheets,
        "breed": explore_points.breed,
        "mix": explore_points.mix,
        "project": explore_points.project,
    }
    if not words or words[0] in ("-h", "--help"):
        say(
            "usage: biggan explore COMMAND FILE [OPTIONS]\n\ncommands:\n"
            "  directions FILE         find the directions along which images change most\n"
            "  list FILE               which have been found, and what they are called\n"
            "  name FILE NUMBER NAME   give a direction a name\n"
            "  sheet FILE              what a direction does: seeds by steps along it\n"
            "  breed FILE              children of latents and classes\n"
            "  mix FILE                coarse parts of one latent, fine parts of another\n"
            "  project FILE PICTURE    the latent of a picture\n\n"
            "biggan explore COMMAND --help tells the options of a command."
        )
        return 0 if words else 2
    if words[0] in ("sefa", "ganspace"):
        raise UserError(f"'{words[0]}' is a way to find directions: biggan explore directions FILE --by {words[0]}")
    if words[0] not in commands:
        near = ", ".join(nearest(words[0], commands, 3))
        raise UserError(f"unknown command 'explore {one_line(words[0], 80)}'; nearest: {near}")
    return commands[words[0]](words[1:])
