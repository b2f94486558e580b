"""What every foreign family offers, and the one way from its tensors to ours."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from biggan.convert.facts import Facts, settle
from biggan.convert.structure import architecture_of
from biggan.convert.translation import Translation, with_logged_values
from biggan.foundation.errors import UserError
from biggan.foundation.registry import Registry
from biggan.models.architecture import Architecture
from biggan.models.contract import build_on_meta
from biggan.models.norm_records import TruncationBank

State = Mapping[str, Tensor]
STATISTICS = "statistics/"


@dataclass(frozen=True, kw_only=True)
class ForeignFamily:
    """One implementation whose weights can be read: how it is recognised, what it leaves unsaid, and its names."""

    name: str
    title: str
    """As its authors call it, with where it lives."""
    defaults: Facts
    """What its published configurations use where keys, shapes and options are silent."""
    recognises: Callable[[Collection[str]], bool]
    """Whether keys are those of one of its networks."""
    generator: Callable[[State, Facts], Translation]
    """The tensors of G."""
    discriminator: Callable[[State, Facts], Translation] | None
    """The tensors of D; None where only generators were published."""
    is_generator: Callable[[Collection[str]], bool]
    """Whether the keys of one of its networks are G's."""
    kind: Callable[[State], str]
    """The family of architectures of a network, by its tensors."""
    facts_from_options: Callable[[Mapping[str, Any]], Facts] = lambda _: Facts()
    """What stored options say; those that cannot work raise UserError."""
    facts_from_keys: Callable[[State], Facts] = lambda _: Facts()
    """What the keys of a network say about facts."""
    needed: frozenset[str] = frozenset()
    """Facts that it always leaves unsaid, besides those that every network needs."""
    needed_of_discriminator: frozenset[str] = frozenset()
    """The same of D, where there is one."""
    one_set: Callable[[State, bool], State] | None = None
    """Where one file holds raw and averaged tensors of a network: the averaged (True), or the raw ones, in the raw
    names."""
    bank: TruncationBank | None = None
    """How to read statistics of several truncations, which are translated to ``statistics/NAME`` [levels, C]; its
    truncations are filled in."""
    layout_of: str | None = None
    """The family whose keys its networks have, so that only the user can tell them apart; None if its keys are its
    own."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Foreign weights in our terms."""

    architecture: Architecture
    generator: dict[str, Tensor] | None
    discriminator: dict[str, Tensor] | None
    assumed: tuple[str, ...]
    """A sentence for each fact that was assumed."""
    facts: Facts
    """All that keys and shapes could not tell, as it was settled."""
    translations: Mapping[str, Translation] = field(default_factory=dict)
    """By network, ``generator`` and ``discriminator``."""
    bank: dict[str, Tensor] = field(default_factory=dict)
    """Statistics by truncation, as :func:`biggan.models.snapshot.write_snapshot` takes them."""
    truncation_bank: TruncationBank | None = None
    unused: tuple[str, ...] = ()
    """Their keys that nothing was made of, and that are not known to be superfluous."""
    missing: tuple[str, ...] = ()
    """Our tensors that theirs do not fill."""


FOREIGN: Registry[ForeignFamily] = Registry(
    "foreign family",
    {
        "biggan-pytorch": "biggan.convert.biggan_pytorch:FAMILY",
        "mmgeneration": "biggan.convert.mmgeneration:FAMILY",
        "studiogan": "biggan.convert.studiogan:FAMILY",
        "huggingface": "biggan.convert.huggingface:FAMILY",
        "tfhub": "biggan.convert.tfhub:FAMILY",
        "compare-gan": "biggan.convert.compare_gan:FAMILY",
        "diffaugment": "biggan.convert.descendants:DIFFAUGMENT",
        "ic-gan": "biggan.convert.descendants:IC_GAN",
    },
)


def import_networks(
    family: ForeignFamily, generator: State | None, discriminator: State | None = None, facts: Facts | None = None
) -> Imported:
    """Convert a generator's or a discriminator's tensors, or those of a pair.

    Args:
        family: whose they are.
        generator: the tensors of G (or of its moving average), or None.
        discriminator: the tensors of D, or None; its half of the architecture then is the family's custom.
        facts: what keys cannot tell; what is None is assumed, and listed in the result.

    Raises:
        UserError: keys or shapes that are not of this layout.
    """
    if generator is None and discriminator is None:
        raise UserError("nothing to import: give a generator's or a discriminator's state dict")
    given = facts or Facts()
    for state in (generator, discriminator):
        given, _ = settle(given, family.facts_from_keys(state or {}), set())
    complete, _ = settle(given, family.defaults, set())
    states = {"generator": generator, "discriminator": discriminator}
    translations: dict[str, Translation] = {}
    ours: dict[str, dict[str, Tensor] | None] = {"generator": None, "discriminator": None}
    for name, make in (("generator", family.generator), ("discriminator", family.discriminator)):
        state = states[name]
        if state is None:
            continue
        if make is None:
            raise UserError(f"{family.title}: only generators are known")
        with of_this_layout(family):
            translations[name] = make(state, complete)
            ours[name] = with_logged_values(translations[name].to_ours(state))
    g, d = ours["generator"], ours["discriminator"]
    with of_this_layout(family):
        bank, record = _separate_bank(g, family.bank) if g is not None and family.bank is not None else ({}, None)
    kinds = {family.kind(state) for state in states.values() if state is not None}
    if len(kinds) > 1:
        raise UserError(f"the generator and the discriminator are of different families: {', '.join(sorted(kinds))}")
    try:
        architecture = architecture_of(kinds.pop(), g, d, complete)
    except UserError as error:
        raise UserError(f"not {family.title}: {error}") from error
    needed = _needed(g, d, architecture)
    needed |= (family.needed if g else set()) | (family.needed_of_discriminator if d else set())
    _, assumed = settle(given, family.defaults, needed)
    unused, missing = _compared(architecture, states, ours, translations)
    return Imported(
        architecture=architecture,
        generator=g,
        discriminator=d,
        assumed=tuple(assumed),
        facts=complete,
        translations=translations,
        bank=bank,
        truncation_bank=record,
        unused=unused,
        missing=missing,
    )


@contextlib.contextmanager
def of_this_layout(family: ForeignFamily) -> Iterator[None]:
    """Tell in a sentence that keys or shapes are not those of the family, whatever stumbles over them."""
    try:
        yield
    except UserError:
        raise
    except KeyError as error:
        raise UserError(f"not {family.title}: there is no entry for {error}") from error
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"not {family.title}: shapes or types do not fit together ({error})") from error


def recognise(keys: Collection[str]) -> list[ForeignFamily]:
    """Return the families whose keys these may be, without those that share the layout of another."""
    return [FOREIGN[name] for name in FOREIGN if FOREIGN[name].layout_of is None and FOREIGN[name].recognises(keys)]


def _separate_bank(state: dict[str, Tensor], bank: TruncationBank) -> tuple[dict[str, Tensor], TruncationBank]:
    """Take the statistics of all truncations out of ``state``, which keeps those of the highest as its own."""
    statistics = {name: state.pop(name) for name in sorted(state) if name.startswith(STATISTICS)}
    levels = {len(values) for values in statistics.values()}
    if len(levels) != 1:
        found = " and ".join(map(str, sorted(levels))) or "no"
        raise UserError(f"statistics for {found} truncations: all must have as many")
    count = levels.pop()
    state.update({name.removeprefix(STATISTICS): values[-1].clone() for name, values in statistics.items()})
    tensors = {
        f"{place}/{name.removeprefix(STATISTICS)}": values[place].clone()
        for name, values in statistics.items()
        for place in range(count)
    }
    truncations = tuple(place / max(count - 1, 1) for place in range(count))
    return tensors, dataclasses.replace(bank, truncations=truncations)


def _needed(g: State | None, d: State | None, architecture: Architecture) -> set[str]:
    """Return the facts that these weights depend on and that no key tells."""
    needed = {"activation", "channel_order"}
    if g is not None:
        needed |= {"bottom"}
        if any("running_" in key for key in g):
            needed |= {"norm_eps"}
        if any(key.endswith(".u") for key in g):
            needed |= {"generator_spectral_eps", "generator_power_iterations"}
        if architecture.hierarchical_latent:
            needed |= {"condition_order"}
    if d is not None:
        needed |= {"inplace_activation"}
        if any(key.endswith(".u") for key in d):
            needed |= {"discriminator_spectral_eps", "discriminator_power_iterations"}
    return needed


def _compared(
    architecture: Architecture,
    theirs: Mapping[str, State | None],
    ours: Mapping[str, dict[str, Tensor] | None],
    translations: Mapping[str, Translation],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return their keys that have no place in the networks of ``architecture``, and ours that are not filled.

    What has no place is taken out of ``ours``.
    """
    networks = build_on_meta(architecture)
    unused: list[str] = []
    missing: list[str] = []
    for name, network in (("generator", networks.generator), ("discriminator", networks.discriminator)):
        state, tensors, expected = theirs[name], ours[name], network.state_dict()
        if state is None or tensors is None:
            continue
        translation = translations[name]
        unused += translation.unknown(state)
        unused += [
            key
            for key in state
            if (entry := translation.entries.get(key)) and entry.ours.removeprefix(STATISTICS) not in {*expected, ""}
        ]
        for key in tensors.keys() - expected.keys():
            del tensors[key]
        for key, like in expected.items():
            if key not in tensors:
                missing.append(f"{name}: {key}")
            elif tensors[key].shape != like.shape:
                missing.append(f"{name}: {key} is {list(tensors[key].shape)} in place of {list(like.shape)}")
    return tuple(unused), tuple(missing)
