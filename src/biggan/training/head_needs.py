"""Whether D has the heads that terms and the loss read, and whether somebody teaches each of its heads."""

from __future__ import annotations

from biggan.foundation.errors import UserError
from biggan.layers.head_kinds import HEADS, option, without
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.terms import TERMS, parse_terms
from biggan.training.configuration import TrainingConfig


def check_needed_heads(config: TrainingConfig) -> None:
    """Check that heads of D, terms and the loss fit together.

    Raises:
        UserError: a head that is read and not there, or one that nobody teaches; says what to write.
    """
    heads = config.model.discriminator_heads
    readers = {term.head: f"--terms {name}" for name, term in parse_terms(config.terms).items() if term.head}
    of_loss = head_of_loss(config.loss)
    readers |= {of_loss: f"--loss {config.loss}"} if of_loss else {}
    for head, reader in readers.items():
        if head not in heads:
            raise UserError(
                f"{reader}: reads the head {head}, and D has {' '.join(heads)}; {_way(head, heads)}, which a new run "
                "can choose, or leave it out"
            )
    if config.step is not None:  # which may read what it likes
        return
    for head in heads:
        teachers = _teachers(head)
        if teachers and head not in readers:
            off = " (with weight=0 it rests)" if teachers[0].startswith("--terms") else ""
            raise UserError(
                f"{option(heads)}: nothing would teach the head {head}; add {' or '.join(teachers)}{off}, or begin "
                f"with {option(without(heads, [head]))}"
            )


def head_of_loss(name: str) -> str:
    """Return the head of D that the loss called ``name`` reads; empty for none."""
    return str(getattr(ADVERSARIAL_LOSSES[name], "head", ""))


def _teachers(head: str) -> list[str]:
    """Return what can be given that teaches a head."""
    terms = [f"--terms {name}" for name in TERMS if TERMS[name].head == head]
    return terms + [f"--loss {name}" for name in ADVERSARIAL_LOSSES if head_of_loss(name) == head]


def _way(head: str, heads: tuple[str, ...]) -> str:
    if HEADS[head].scores:
        return f"write {option([head, *(name for name in heads if not HEADS[name].scores)])}"
    return f"write {option([*heads, head])}"
