"""Names lead there and back, and what is made of foreign tensors is theirs."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch

from biggan.convert.contract import FOREIGN, import_networks, recognise
from biggan.convert.naming import discriminator_depth, generator_depth, places
from biggan.convert.translation import channels_first, first_columns_last
from biggan.foundation.errors import UserError
from biggan.models.contract import build_on_meta, count_parameters
from tests.conftest import DATA
from tests.rooms.convert.foreign_files import CASES

FAMILIES = {"biggan_pytorch": "biggan-pytorch", "mmgen": "mmgeneration", "studiogan": "studiogan"}
PAIRS = [
    (case.name, FAMILIES[case.family], network)
    for case in CASES.values()
    for network in ("G", "D")
    if case.family in FAMILIES and case.state(network)
]


@pytest.mark.parametrize(("name", "family", "network"), PAIRS, ids=lambda x: str(x).replace("/", "-"))
def test_there_and_back_is_the_same_bits(name: str, family: str, network: str) -> None:
    case, foreign = CASES[name], FOREIGN[family]
    state = case.state(network)
    g, d = (state, None) if network == "G" else (None, state)
    imported = import_networks(foreign, g, d, foreign.facts_from_options(case.settings["config"]))
    assert not imported.unused
    assert not imported.missing
    translation = imported.translations["generator" if g else "discriminator"]
    ours = imported.generator or imported.discriminator or {}
    for key, value in state.items():
        if key not in translation.dropped:
            assert torch.equal(translation.to_theirs(ours, key), value), key


@pytest.mark.parametrize(("name", "family", "network"), PAIRS, ids=lambda x: str(x).replace("/", "-"))
def test_keys_tell_the_family(name: str, family: str, network: str) -> None:
    state = CASES[name].state(network)
    assert [found.name for found in recognise(state)] == [family]
    assert FOREIGN[family].is_generator(state) == (network == "G")


@pytest.mark.parametrize(("name", "family", "network"), PAIRS[::5], ids=lambda x: str(x).replace("/", "-"))
def test_every_tensor_that_is_missing_or_too_much_is_named(name: str, family: str, network: str) -> None:
    case, foreign = CASES[name], FOREIGN[family]
    whole = case.state(network)
    for gone in [key for key in whole if key.endswith(("bias", "weight_u", "u0"))][::7]:
        state = {key: value for key, value in whole.items() if key != gone} | {"blocks.9.unheard_of": torch.zeros(1)}
        g, d = (state, None) if network == "G" else (None, state)
        try:
            imported = import_networks(foreign, g, d)
        except UserError:
            continue  # structure itself hangs on it
        assert "blocks.9.unheard_of" in imported.unused
        assert imported.missing, gone


def test_changes_of_form_only_move_numbers() -> None:
    x = torch.arange(2 * 3 * 5 * 4).reshape(30, 4)
    rows = channels_first(2, 3)
    assert torch.equal(rows.to_ours(x)[0], x[0])
    assert torch.equal(rows.to_ours(x)[1], x[5])  # the second column of the grid, for the first channel
    assert torch.equal(rows.to_theirs(rows.to_ours(x)), x)
    across = channels_first(2, 3, dim=1)
    assert torch.equal(across.to_ours(x.T), rows.to_ours(x).T)
    moved = first_columns_last(1)
    assert torch.equal(moved.to_ours(x)[:, -1], x[:, 0])
    assert torch.equal(moved.to_theirs(moved.to_ours(x)), x)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("widths", [(16, 16, 8, 4, 2), (16, 16, 8, 4, 2, 1), (16, 16, 8, 8, 4, 2, 1, 1), (4, 4, 4, 4)])
def test_the_depth_of_a_stage_is_read_off_channels(depth: int, widths: tuple[int, ...]) -> None:
    up, down = [], []
    for inputs, outputs in itertools.pairwise(widths):
        up += [(inputs, inputs)] * (depth - 1) + [(inputs, outputs)]
        down += [(outputs, inputs)] + [(inputs, inputs)] * (depth - 1)
    assert generator_depth(up) == depth
    assert discriminator_depth(down) == depth


def test_attention_has_a_number_of_its_own() -> None:
    kinds = {0: "block", 1: "block", 2: "attention", 3: "block", 4: "block"}
    assert places(kinds, 2) == {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1)}
    with pytest.raises(UserError, match="in the midst of a stage"):
        places({0: "block", 1: "attention", 2: "block"}, 2)
    with pytest.raises(UserError, match="3 blocks do not make stages of 2"):
        places({0: "block", 1: "block", 2: "block"}, 2)


LAYOUTS = sorted((DATA / "layouts").glob("*.json"))


@pytest.mark.parametrize("path", LAYOUTS, ids=lambda path: path.stem)
def test_released_sizes_become_networks_of_as_many_parameters(path: Path) -> None:
    """Only names and shapes, without memory; D's of families without one are our own."""
    layout = json.loads(path.read_text())
    states = {
        network: {key: torch.empty(shape, device="meta") for key, shape in layout[network].items()}
        for network in ("G", "D")
        if layout[network]
    }
    (family,) = recognise(states["G"])
    assert family.name == layout["family"]
    if family.one_set is not None:
        states = {network: dict(family.one_set(state, network == "G")) for network, state in states.items()}
    imported = import_networks(family, states["G"], states.get("D"))
    assert (imported.unused, imported.missing) == ((), ())
    networks = build_on_meta(imported.architecture)
    assert count_parameters(networks.generator) == layout["counts"][0]
    if "D" in states:
        assert count_parameters(networks.discriminator) == layout["counts"][1]
