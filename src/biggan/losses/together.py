"""What terms cannot do together, or with a loss."""

from __future__ import annotations

from collections.abc import Mapping

from biggan.foundation.errors import UserError
from biggan.losses.adversarial import pairs
from biggan.losses.terms import Term, acts

BY_ONE = {
    "latents": "what G is given",
    "reals": "what takes the places of reals",
    "chosen": "from which fakes G learns",
}
"""Places at which one term at most may act, and what it decides there."""


def check_together(terms: Mapping[str, Term], loss: str) -> None:
    """Check that no two terms decide the same, and that the ``loss`` can be a mean over what they decide.

    Raises:
        UserError: names the terms.
    """
    for place, what in BY_ONE.items():
        names = [name for name, term in terms.items() if acts(term, place)]
        if len(names) > 1:
            raise UserError(f"--terms {' '.join(names)}: each decides {what}; choose one of them")
        if names and place == "reals" and pairs(loss):
            raise UserError(
                f"--terms {names[0]}: with --loss {loss} a fake in the place of a real would be compared with itself; "
                "choose another loss, or leave it out"
            )
