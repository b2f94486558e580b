"""What terms and the loss need of a run: a real for each fake, fakes of a micro-batch."""

from __future__ import annotations

from collections.abc import Iterable

from biggan.foundation.errors import UserError, nearest
from biggan.foundation.terminal import one_line
from biggan.losses.adversarial import pairs
from biggan.losses.orthogonal import Orthogonal
from biggan.losses.terms import Term, parse_terms
from biggan.losses.together import check_together
from biggan.models.architecture import Architecture
from biggan.models.contract import build_on_meta
from biggan.training.batches import SCHEDULES, doubling_batches, schedules
from biggan.training.configuration import TrainingConfig


def check_terms(config: TrainingConfig) -> None:
    """Check that terms and the loss get what they need: a real for each fake, fakes of a micro-batch.

    Raises:
        UserError: batches of D and G differ, classes of fakes are drawn where those of reals decide, G sees whole
            batches only, or two terms decide the same.
    """
    terms = {name: term for name, term in parse_terms(config.terms).items() if not term.weight.nothing}
    calling = [name for name, term in terms.items() if term.calls_generator]
    if calling and config.statistics == "exact":
        raise UserError(
            f"--terms {' '.join(calling)}: makes fakes of a micro-batch, and with --statistics exact G sees the whole "
            "batch at once; choose --statistics phase, or leave it out"
        )
    check_together(terms, config.loss)
    needing = [f"--terms {name}" for name, term in terms.items() if term.needs_reals]
    if pairs(config.loss):
        needing.append(f"--loss {config.loss}")
        if config.fake_labels != "data":
            raise UserError(
                f"--fake-labels {config.fake_labels}: with --loss {config.loss} each fake is of the class of a real, "
                "beside which it is judged; leave it out"
            )
    _check_excluded(terms.values(), config.model)
    own = _own_batch(config)
    if needing and own is not None:
        raise UserError(
            f"{own}: {needing[0]} compares fakes of G's batch with reals of D's, so that both must have as many images "
            "in every iteration; leave it out"
        )


def _own_batch(config: TrainingConfig) -> str | None:
    """Return the option by which G's batches are not D's throughout, with its value; None where they are."""
    options = {
        "--generator-batch": config.generator_batch,
        SCHEDULES["generator"]: config.generator_batch_schedule,
    }
    given = [f"{option} {value}" for option, value in options.items() if value is not None]
    of = schedules(config)
    if not given or (of["generator"] == of["discriminator"] and not doubling_batches(config)):
        return None
    return given[-1]  # a schedule is in the place of a batch


def _check_excluded(terms: Iterable[Term], model: Architecture) -> None:
    """Check that weights are there that were named as those that a term leaves alone.

    Raises:
        UserError: one is not; names those that are called nearly so.
    """
    for term in terms:
        if not isinstance(term, Orthogonal) or term.excluded == type(term).excluded:
            continue
        there = [name for name, _ in getattr(build_on_meta(model), term.phases[0]).named_parameters()]
        for name in term.excluded:
            if name not in there:
                raise UserError(
                    f"--terms ... excluded={one_line(name)}: the {term.phases[0]} has no weight of that name; there "
                    f"are {', '.join(nearest(name, there))}"
                )
