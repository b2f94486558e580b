"""Directions: closed forms, files, names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import biggan
from biggan.exploring.directions import move
from biggan.exploring.files import directions_path, find_stored, load_directions, save_directions, snapshot_path
from biggan.exploring.finding import find_directions, ganspace
from biggan.exploring.layers import latent_matrix, layer_names, observed
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.models.contract import Generator
from biggan.models.snapshot import write_snapshot
from tests import snapshots
from tests.conftest import FAMILIES, tiny
from tests.rooms.exploring.explored import sampler


def jacobian(generator: Generator, module: nn.Module) -> Tensor:
    """Return d output / d z of a module, [outputs, z_size], by differentiation."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output.flatten()))
    z = torch.randn(1, generator.architecture.z_size, dtype=torch.float64)

    def call(z: Tensor) -> Tensor:
        seen.clear()
        generator(z, torch.zeros(1, dtype=torch.int64))
        return seen[0]

    found = torch.autograd.functional.jacobian(call, z)[:, 0]
    handle.remove()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_sefa_directions_are_eigenvectors_of_what_the_first_layer_does(family: str) -> None:
    model = sampler(family)
    generator = model.generator
    found = find_directions(model, "sefa", 3, layer="first")
    gram = (J := jacobian(generator, generator.basis if family == "r3gan" else generator.linear)).T @ J
    values = torch.linalg.eigvalsh(gram).flip(0)
    assert torch.allclose(found.vectors @ found.vectors.T, torch.eye(3, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(found.vectors @ gram, values[:3, None] * found.vectors, atol=1e-9 * float(values[0]))
    assert torch.allclose(torch.tensor(found.record.shares, dtype=torch.float64), values[:3] / values.sum())


@pytest.mark.parametrize("family", ["biggan", "biggan-deep"])
def test_conditional_normalisations_are_layers_too(family: str) -> None:
    model = sampler(family)
    block = next(model.generator.stages[1].children())
    parts = [p for norm in block.children() if hasattr(norm, "gain") for p in (norm.gain, norm.bias)]
    A = torch.cat([jacobian(model.generator, part) for part in parts])
    inside = latent_matrix(model.generator, "stage:1")
    if family == "biggan":
        assert torch.allclose(inside, A, atol=1e-12)
        chunk = model.info.architecture.z_size // model.info.architecture.latent_slots
        assert not inside[:, : 2 * chunk].any(), "a stage sees its own chunk alone"
        assert inside[:, 2 * chunk : 3 * chunk].any()
    else:  # several blocks a stage
        assert torch.allclose(inside[: len(A)], A, atol=1e-12)
    assert len(find_directions(model, "sefa", 2, layer="all")) == 2
    assert "stage:1" in layer_names(model.info.architecture)


def test_layers_without_z_are_refused() -> None:
    for family in ("sngan", "sagan", "r3gan"):
        with pytest.raises(UserError, match=r"--layer first, or --by ganspace"):
            find_directions(sampler(family), "sefa", 2, layer="stage:0")
    with pytest.raises(UserError, match=r"--layer"):
        find_directions(sampler(), "sefa", 2, layer="stage:9")
    with pytest.raises(UserError, match=r"--count 99: 1 to"):
        find_directions(sampler(), "sefa", 99)


class Linear(Generator):
    """A generator whose first block is a linear map, with an offset for each class."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(tiny("sngan", latent_size=matrix.shape[1]))
        self.stages = nn.ModuleList([nn.ModuleList([nn.Linear(matrix.shape[1], matrix.shape[0], dtype=matrix.dtype)])])
        with torch.no_grad():
            next(self.stages[0].children()).weight.copy_(matrix)

    def synthesize(self, z: Tensor, embedding: Tensor) -> Tensor:
        offset = 100.0 * embedding.double().reshape(len(z), -1)[:, :1]
        return self.stages[0][0](z + offset)


def test_ganspace_of_a_linear_generator_is_its_singular_value_decomposition() -> None:
    torch.manual_seed(0)
    U, _ = torch.linalg.qr(torch.randn(40, 6, dtype=torch.float64))
    V, _ = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))
    S = torch.tensor([8.0, 4.0, 2.0, 1.0, 0.5, 0.25], dtype=torch.float64)
    generator = Linear(U * S @ V.T)
    vectors, shares = ganspace(generator, "first", 3, [0, 3], 2048, seed=1)
    assert float((vectors * V.T[:3]).sum(dim=1).abs().min()) > 0.996  # 2048 latents: off by about 1 / sqrt(2048)
    assert torch.allclose(shares, S[:3] ** 2 / (S**2).sum(), atol=0.02)


@pytest.mark.parametrize(
    "family",
    [f if f in ("biggan", "r3gan") else pytest.param(f, marks=pytest.mark.nightly) for f in FAMILIES],
)
def test_ganspace_moves_along_what_varies_most(family: str) -> None:
    model = sampler(family)
    found = find_directions(model, "ganspace", 2, samples=256)
    again = find_directions(model, "ganspace", 2, samples=256)
    assert torch.equal(found.vectors, again.vectors)
    assert torch.allclose(found.vectors.norm(dim=1), torch.ones(2, dtype=torch.float64))
    assert 1 > found.record.shares[0] > found.record.shares[1] > 0
    if family == "biggan":
        chunk = model.info.architecture.z_size // model.info.architecture.latent_slots
        assert not found.vectors[:, 2 * chunk :].any(), "the first block sees two chunks"
    seen = observed(model.generator, "first")
    assert not seen._forward_hooks, "the generator is as it was"


def test_going_along() -> None:
    found = find_directions(sampler(), "sefa", 3).named(1, " turn   left ")
    assert found.names == ("", "turn left", "")
    z = torch.randn(4, found.vectors.shape[1], dtype=torch.float64)
    moved = move(z, found, {"turn left": 2.0, 0: -1.0, "2": 0.0})
    assert torch.allclose(moved - z, (2 * found.vectors[1] - found.vectors[0]).expand(4, -1))
    assert torch.equal(move(z, found, {0: 0.0}), z)
    for which, problem in (("turn right", "nearest: turn left"), (3, "there are 3"), ("7", "there are 3")):
        with pytest.raises(UserError, match=problem):
            move(z, found, {which: 1.0})
    with pytest.raises(UserError, match="numbers"):
        move(z[:, 1:], found, {0: 1.0})
    for name, problem in (("12", "add a letter"), ("x" * 81, "at most 80"), ("turn left", "direction 1 already")):
        with pytest.raises(UserError, match=problem):
            found.named(2, name)


def test_what_is_stored_is_what_is_loaded(tmp_path: Path) -> None:
    model = biggan.load(snapshots.write(tmp_path / "one.safetensors"), device="cpu")
    for kind, layer in (("sefa", "first"), ("sefa", "stage:1"), ("ganspace", "first")):
        found = find_directions(model, kind, 2, layer=layer, samples=64)
        save_directions(found.named(1, "thick"), path := directions_path(snapshot_path(model), kind, layer))
        loaded = load_directions(path, model)
        assert loaded.record == found.named(1, "thick").record
        assert torch.equal(loaded.vectors, found.vectors)
    assert find_stored(model, 0, "ganspace")[0].record.kind == "ganspace"
    assert find_stored(model, "thick", "sefa", "stage:1")[1:] == (1, directions_path(model.path, "sefa", "stage:1"))
    with pytest.raises(UserError, match="sefa first, sefa stage:1, ganspace first; say which"):
        find_stored(model, "thick")
    with pytest.raises(UserError, match=r"direction thin: there are 2 of sefa first, .*from 0; names: thick"):
        find_stored(model, "thin")


def test_directions_of_another_snapshot_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    one = biggan.load(snapshots.write(tmp_path / "one.safetensors"), device="cpu")
    other = biggan.load(snapshots.write(tmp_path / "other.safetensors", seed=1), device="cpu")
    path = tmp_path / "d.safetensors"
    save_directions(find_directions(one, count=2), path)
    with pytest.raises(UserError, match="belong to another snapshot"):
        load_directions(path, other)
    with pytest.raises(CorruptFileError, match="no directions"):
        load_directions(tmp_path / "one.safetensors", one)
    with pytest.raises(UserError, match="snapshot"):  # nor are directions a generator
        biggan.load(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CorruptFileError, match="damaged"):
        load_directions(path, one)
    path.write_bytes(whole.replace(b"sefa", b"sofa"))
    with pytest.raises(CorruptFileError, match="kind"):
        load_directions(path, one)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CorruptFileError):
        load_directions(path, one)


def test_a_copy_elsewhere_has_the_same_directions(tmp_path: Path) -> None:
    """What counts is the generator: not the name of its file, nor what else that says."""
    one = biggan.load(snapshots.write(tmp_path / "one.safetensors"), device="cpu")
    path = tmp_path / "d.safetensors"
    save_directions(find_directions(one, count=2), path)
    write_snapshot(tmp_path / "copy.safetensors", one.generator, one.info)
    assert len(load_directions(path, biggan.load(tmp_path / "copy.safetensors", device="cpu"))) == 2
