"""Two ranks are one: with all terms at once, with each loss, and where updates are turned or left out.

k micro-batches of one rank equal k ranks of one each, for terms that compare the images of a micro-batch too.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from biggan.foundation import distributed
from biggan.foundation.courses import constant
from biggan.foundation.groups import Share
from biggan.losses.adversarial import ADVERSARIAL_LOSSES
from biggan.losses.augmented import Adaptive
from biggan.losses.terms import TERMS, Term
from biggan.training.engine import Engine
from biggan.training.step import Objective, train_step
from tests.conftest import assert_same_tensors, tiny
from tests.rooms.foundation.test_agreement import distributed_port
from tests.rooms.losses.test_terms import ADAPTS, F64, NAMES, term_of
from tests.rooms.training.commands import spawn
from tests.rooms.training.test_phases import share_of
from tests.rooms.training.test_step import CPU, FREE, make_state

BATCH, GROUPS, UPDATES = 8, 4, 3
STOPS = {"d-stop": 4.0, "g-stop": 0.02}
"""Levels between the losses of the updates, which are below them in some and not in others."""
FLOODS = {"d-flood": 4.0, "g-flood": 3.0}
CASES = ("all", "adapting", "flooded", "stopped", *ADVERSARIAL_LOSSES)


def terms_of(case: str) -> dict[str, Term]:
    if case in ADVERSARIAL_LOSSES:
        return {}
    if case in ("stopped", "flooded"):
        levels = STOPS if case == "stopped" else FLOODS
        return {name: term_of(name, weight=constant(level)) for name, level in levels.items()}
    if case == "adapting":
        found = {name: term_of(name, **ADAPTS) for name in NAMES if isinstance(TERMS[name](), Adaptive)}
        for term in found.values():
            term.state["p"].fill_(0.5)
        return found
    return {name: term_of(name) for name in NAMES if name not in STOPS and name not in FLOODS}


def trained(case: str, rank: int = 0, ranks: int = 1, terms: dict[str, Term] | None = None) -> dict[str, Tensor]:
    """Train on this rank's share of the same batches; by micro-batches of two images, of D and of G."""
    terms = terms_of(case) if terms is None else terms
    loss = case if case in ADVERSARIAL_LOSSES else "hinge"
    score = getattr(ADVERSARIAL_LOSSES[loss], "head", "projection")
    heads = dict.fromkeys(TERMS[name].head for name in NAMES if TERMS[name].head) if case == "all" else ()
    a = tiny("biggan", discriminator_heads=(score, *heads), **FREE)
    state = make_state(a, F64)
    state.terms = terms
    groups = GROUPS // ranks
    engine = Engine(device=CPU, accumulation={"discriminator": groups, "generator": groups}, terms=terms)
    for seed in range(UPDATES):
        share = Share(BATCH, rank, ranks, groups)
        places = {name: torch.from_numpy(share.places) for name in ("discriminator", "generator")}
        inputs = dataclasses.replace(share_of(a, seed, share, batch=BATCH), places=places)
        train_step(state, inputs, Objective(loss=ADVERSARIAL_LOSSES[loss](), seed=1), engine)
        state.images_seen = inputs.images_seen
        state.iterations += 1
    return {name: tensor.clone().contiguous() for name, tensor in state.tensors().items()}


def _rank(rank: int, ranks: int, folder: str, port: int) -> None:
    environment = {"RANK": rank, "WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in environment.items()})
    torch.set_num_threads(1)
    distributed.start(CPU)
    for case in CASES:
        save_file(trained(case, rank, ranks), Path(folder) / f"{rank}{case}")
    distributed.stop()


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    spawn(_rank, (2, str(folder), distributed_port()), 2)
    return folder


def moved(one: dict[str, Tensor], other: dict[str, Tensor], network: str) -> bool:
    names = [name for name in one if name.startswith(f"{network}/")]
    assert names
    return any(not torch.equal(one[name], other[name]) for name in names)


@pytest.mark.parametrize("case", CASES)
def test_two_ranks_are_one(case: str, on_two: Path) -> None:
    one, other = (load_file(on_two / f"{rank}{case}") for rank in range(2))
    assert_same_tensors(one, other)
    alone = trained(case)
    assert alone.keys() == one.keys()
    tolerance = 1e-10 if case in ADVERSARIAL_LOSSES else 1e-6  # what terms remember is float32
    for key, value in alone.items():
        assert torch.allclose(one[key], value, rtol=tolerance, atol=tolerance), key
    if case == "adapting":
        assert all(float(alone[f"term/{name}/p"]) not in (0.0, 0.5, 1.0) for name in ("ada", "apa"))


@pytest.mark.parametrize("case", ["flooded", "stopped"])
def test_levels_lie_between_the_losses(case: str) -> None:
    """In some updates they act, in others they do not: a level that is never or always reached gives other weights."""
    found, levels = trained(case), FLOODS if case == "flooded" else STOPS
    for name in levels:
        network = "discriminator" if name.startswith("d") else "generator"
        for level in (0.0, 1e9):
            terms = terms_of(case) | {name: term_of(name, weight=constant(level))}
            assert moved(found, trained(case, terms=terms), network), (name, level)
