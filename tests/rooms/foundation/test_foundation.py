"""Durations, configuration, errors, randomness."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from biggan.foundation.compatibility import SWITCHES, expand
from biggan.foundation.config import differences, from_json, to_json
from biggan.foundation.durations import format_images, parse_images
from biggan.foundation.errors import UserError, nearest, suggested
from biggan.foundation.images import to_bytes, to_float
from biggan.foundation.registry import Registry
from biggan.foundation.seeding import derive_seed, normals, permutation, uniforms, words
from biggan.training.configuration import TrainingConfig
from tests.conftest import tiny_config


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("96", 96),
        ("10k", 10_000),
        ("20Mi", 20 * 2**20),
        ("1.5k", 1500),
        ("2M", 2_000_000),
        ("1_000", 1000),
        ("3Ki", 3072),
    ],
)
def test_durations(text: str, images: int) -> None:
    assert parse_images(text) == images


@pytest.mark.parametrize("text", ["", "k", "-3", "1.0001k", "ten", "5x", "1e6"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(UserError, match="images"):
        parse_images(text)


@given(st.integers(0, 10**15))
def test_durations_survive_the_round_trip(images: int) -> None:
    assert parse_images(format_images(images)) == images


def test_configuration_survives_the_round_trip() -> None:
    config = tiny_config(run_dir=Path("here"), family="biggan-deep")
    assert from_json(TrainingConfig, json.loads(json.dumps(to_json(config)))) == config


def test_unknown_names_in_a_configuration_are_errors() -> None:
    stored = to_json(tiny_config())
    stored["model"]["latent_sizes"] = 3
    with pytest.raises(UserError, match=r"latent_sizes.*nearest: latent_size"):
        from_json(TrainingConfig, stored)
    stored = to_json(tiny_config())
    stored["batch"] = "many"
    with pytest.raises(UserError, match="batch"):
        from_json(TrainingConfig, stored)


def test_differences_name_the_leaf() -> None:
    old = tiny_config()
    new = dataclasses.replace(old, model=dataclasses.replace(old.model, latent_size=99), batch=3)
    assert differences(old, new) == {"model.latent_size": (12, 99), "batch": (8, 3)}


def test_nearest_names() -> None:
    assert nearest("retriever", ["golden retriever", "tabby", "reliever", "retro"])[0] == "golden retriever"
    assert nearest("bigan-256", ["biggan-256", "sagan-32"], 1) == ["biggan-256"]
    assert suggested("retriver", ["tabby", "golden retriever"], "classes are ") == "nearest: golden retriever, tabby"
    assert suggested("nope", map(str, range(10)), "classes are ") == "classes are 0, 1, 2, 3, 4, ..."
    assert suggested("nine", ["a\n", "b"], "names are ") == "names are a\\n, b"


def test_registry() -> None:
    registry: Registry[object] = Registry("thing", {"path": "pathlib:Path"})
    assert registry["path"] is Path
    registry.add("mine", object())
    assert list(registry) == ["path", "mine"]
    with pytest.raises(ValueError, match="registered already"):
        registry.add("path", "x:y")
    with pytest.raises(UserError, match=r"unknown thing 'pth'; nearest: path"):
        registry["pth"]


def test_compatibility_switches() -> None:
    assert set(expand(("biggan-pytorch",))) == set(SWITCHES)
    network, training = expand(("biggan-pytorch",), "network"), expand(("biggan-pytorch",), "training")
    assert set(network) | set(training) == set(SWITCHES)
    assert not set(network) & set(training)
    with pytest.raises(UserError, match="nearest: ema-averages-all-buffers"):
        expand(("ema-averages-buffers",))


# -- bytes and numbers -------------------------------------------------------------------------------------------------


def test_every_byte_survives_the_round_trip() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(to_bytes(to_float(values, dtype)), values)


def test_bytes_become_numbers_in_float32_and_are_widened_afterwards() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_float(values, torch.float64), to_float(values).double())
    assert not torch.equal(to_float(values, torch.float64), values.double() / 127.5 - 1)
    assert float(to_float(values).min()) == -1.0
    assert float(to_float(values).max()) == 1.0
    with pytest.raises(TypeError, match="uint8"):
        to_float(torch.zeros(3))


def test_numbers_become_the_nearest_byte() -> None:
    """Truncation would darken by half a level on average."""
    values = torch.linspace(-1, 1, 10_001)
    error = to_bytes(values).double() - (values.double() + 1) * 127.5
    assert float(error.abs().max()) <= 0.5 + 1e-4
    assert abs(float(error.mean())) < 0.01
    assert to_bytes(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


# -- randomness --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**40), st.integers(0, 50), st.integers(1, 20), st.integers(1, 33))
def test_rows_do_not_depend_on_the_rows_asked_for_with_them(clock: int, first: int, count: int, columns: int) -> None:
    whole = words(7, "test", clock, 0, first + count, columns)
    assert np.array_equal(whole[first:], words(7, "test", clock, first, count, columns))


def test_streams_differ() -> None:
    base = words(0, "a", 0, 0, 4, 4)
    for other in (words(1, "a", 0, 0, 4, 4), words(0, "b", 0, 0, 4, 4), words(0, "a", 1, 0, 4, 4)):
        assert not np.intersect1d(base, other).size
    assert derive_seed(0, "a") != derive_seed(0, "b")


def test_distributions() -> None:
    u = uniforms(0, "test", 0, 0, 2000, 50)
    assert 0 <= u.min() < u.max() < 1
    assert abs(u.mean() - 0.5) < 0.005
    z = normals(0, "test", 0, 0, 2000, 51).astype(np.float64)
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.1
    correlation = np.corrcoef(z.T) - np.eye(51)
    assert np.abs(correlation).max() < 0.12


def test_permutations() -> None:
    one, two = permutation(0, "p", 0, 1000), permutation(0, "p", 1, 1000)
    assert sorted(one) == list(range(1000))
    assert not np.array_equal(one, two)
    assert np.array_equal(one, permutation(0, "p", 0, 1000))


def test_known_values_never_change() -> None:
    """A run resumed by a later version must go on with the same numbers."""
    assert derive_seed(0, "x", 3) == 1704253261067111781
    assert words(1, "known", 2, 3, 1, 2).tolist() == [[4783699947626930598, 18379135193740675479]]
    assert permutation(0, "p", 0, 8).tolist() == [4, 7, 5, 0, 6, 3, 1, 2]
    expected = [-0.11554907262325287, 0.2151924967765808, 0.6690366268157959, 0.06066742166876793]
    assert np.allclose(normals(0, "n", 0, 5, 1, 4), [expected], rtol=1e-6)
