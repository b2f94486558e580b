"""Networks of larger images that compute, at first, what those they were grown from do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from biggan.cli.main import main
from biggan.foundation.errors import UserError
from biggan.layers.resizing import upsample
from biggan.models.architecture import Architecture, SpectralNorm
from biggan.models.continuation import Continuation
from biggan.models.contract import Networks, build
from biggan.models.export_file import Export, read_export, write_export
from biggan.models.growth import grown_architecture
from biggan.models.norm_records import TruncationBank
from biggan.models.snapshot import SnapshotInfo, read_snapshot
from biggan.sampling.bank import checked_bank
from biggan.training.surgery import drop_skip, grow
from tests.conftest import FAMILIES, tiny

SIZES = [
    ((16, 32), (32, 64)),
    pytest.param((16, 16), (32, 32), marks=pytest.mark.nightly),
    pytest.param((16, 16), (64, 64), marks=pytest.mark.nightly),
    pytest.param((32, 16), (128, 64), marks=pytest.mark.nightly),
]


def export_of(architecture: Architecture, seed: int = 1) -> Export:
    """Return networks as training leaves them: no bias, gain or gate of attention has its initial value."""
    networks = build(architecture, seed)
    with torch.no_grad():
        for network in networks:
            for name, tensor in network.state_dict().items():
                if tensor.ndim < 2 and tensor.is_floating_point() and not name.endswith("sigma"):
                    tensor.add_(0.3 * torch.rand_like(tensor))
    info = SnapshotInfo(
        architecture=architecture,
        class_names=(),
        weights="generator",
        images_seen=7,
        iterations=1,
        continuation=Continuation(discriminator=True),
    )
    generator, discriminator = (network.state_dict() for network in networks)
    return Export(info=info, sampled=generator, discriminator=discriminator)


def networks_of(export: Export, *, training: bool) -> Networks:
    """Return the networks of ``export`` in float64."""
    networks = build(export.info.architecture, 9)
    networks.generator.load_state_dict(dict(export.sampled))
    networks.discriminator.load_state_dict(dict(export.discriminator or {}))
    return Networks(networks.generator.double().train(training), networks.discriminator.double().train(training))


@torch.no_grad()
def gaps(old: Networks, new: Networks) -> tuple[float, float, float]:
    """Return by how much images, scores of fakes and scores of any images differ, at most."""
    before, after = old.generator.architecture, new.generator.architecture
    halvings = after.doublings - before.doublings
    z, y = torch.randn(5, after.z_size).double(), torch.arange(5)
    images, larger = old.generator(z[:, : before.z_size], y), new.generator(z, y)
    wanted = images
    for _ in range(halvings):
        wanted = upsample(wanted)
    assert float(images.std()) > 0.01
    any_images = torch.randn(5, after.channels, *after.resolution).double()
    small = F.avg_pool2d(any_images, 2**halvings)
    return (
        _largest(wanted - larger),
        _largest(old.discriminator(images, y) - new.discriminator(larger, y)),
        _largest(old.discriminator(small, y) - new.discriminator(any_images, y)),
    )


def _largest(difference: Tensor) -> float:
    return float(difference.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("size", "larger"), SIZES)
def test_at_first_nothing_changes(family: str, size: tuple[int, int], larger: tuple[int, int]) -> None:
    attention = {"generator_attention": ("stage:0",), "discriminator_attention": ("stage:0",)}
    export = export_of(tiny(family, resolution=size, classes=5, **attention))
    grown = grow(export, larger)
    for training in (True, False):
        old, new = networks_of(export, training=training), networks_of(grown, training=training)
        assert max(gaps(old, new)) < 1e-12
        with torch.no_grad():  # the comparison sees what is new as soon as it is let in
            for name, parameter in [*new.generator.named_parameters(), *new.discriminator.named_parameters()]:
                if name.endswith("gate.g") or name.startswith("gates."):
                    parameter.fill_(0.5)
        assert min(gaps(old, new)) > 1e-6


@pytest.mark.parametrize("family", ["biggan", "biggan-deep"])
@pytest.mark.parametrize(
    "values",
    [
        {"output_width": 3, "channels": 3, "channel_order": "bgr"},
        {"generator_spectral_norm": SpectralNorm(stored_vectors=("*",)), "inplace_activation": True},
        {"discriminator_spectral_norm": SpectralNorm(stored_vectors=("stages.0.*", "stem")), "classes": 0},
        {"generator_depth": 1, "condition_order": "latent-class", "normalization": "group"},
    ],
)
def test_parts_of_imported_architectures_grow_as_well(family: str, values: dict[str, object]) -> None:
    export = export_of(tiny(family, **{"classes": 5, **values}))
    old, new = (networks_of(one, training=False) for one in (export, grow(export, (32, 32))))
    assert max(gaps(old, new)) < 1e-12


def test_every_old_weight_gets_gradients_and_so_does_the_gate() -> None:
    generator, discriminator = networks_of(grow(export_of(tiny("biggan", classes=5)), (32, 32)), training=True)
    discriminator(
        generator(torch.randn(5, generator.architecture.z_size).double(), torch.arange(5)), torch.arange(5)
    ).sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            if "gate" in name:
                assert float(parameter.grad.abs()) > 0


def test_grown_twice_and_without_skips(tmp_path: Path) -> None:
    """A file of a grown file; the gate goes into G's last layers exactly."""
    grown = grow(export_of(tiny("biggan", classes=5)), (32, 32))
    for name in ("gate.g", "gates.1.g"):
        of = grown.sampled if name == "gate.g" else grown.discriminator
        assert of is not None
        of[name].fill_(-0.25)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="--drop-skip"):
        grow(grown, (64, 64))
    dropped = drop_skip(grown)
    with_skip, without = networks_of(grown, training=False), networks_of(dropped, training=False)
    assert with_skip.generator.skip is not None
    torch.nn.init.zeros_(with_skip.generator.skip.conv.bias)
    with_skip.generator.skip.conv.forward = lambda x: torch.zeros(len(x), 1, *x.shape[2:], dtype=x.dtype)  # type: ignore[method-assign]
    with_skip.discriminator.skip.forward = lambda x: torch.zeros((), dtype=x.dtype)  # type: ignore[method-assign,union-attr]
    assert max(gaps(with_skip, without)) < 1e-6  # the factor went into float32 weights
    again = grow(dropped, (128, 128))  # two doublings at once
    assert again.info.architecture.grown.scaled == (3,)
    old, new = networks_of(dropped, training=True), networks_of(again, training=True)
    assert max(gaps(old, new)) < 1e-12
    write_export(tmp_path / "again.safetensors", again)
    back = read_export(tmp_path / "again.safetensors")
    assert back.info.architecture == again.info.architecture.resolved()
    assert all(torch.equal(back.sampled[name], value) for name, value in again.sampled.items())
    assert read_snapshot(tmp_path / "again.safetensors")[0].architecture.resolution == (128, 128)


def test_a_bank_grows_with_its_generator() -> None:
    export = export_of(tiny("biggan"))
    bank = {
        f"{place}/{name}": value + place
        for place in range(2)
        for name, value in export.sampled.items()
        if name.endswith(("running_mean", "running_var"))
    }
    record = TruncationBank(truncations=(0.5, 1.0), kind="resample", batches=1, batch=1)
    export = dataclasses.replace(export, bank=bank, info=dataclasses.replace(export.info, truncation_bank=record))
    grown = grow(export, (32, 32))
    old, new = networks_of(export, training=False), networks_of(grown, training=False)
    for truncation in (0.5, 0.8, 1.0):
        one = checked_bank(record, export.bank, old.generator.float(), "old").at(old.generator, truncation).double()
        other = checked_bank(record, grown.bank, new.generator.float(), "new").at(new.generator, truncation).double()
        assert gaps(Networks(one, old.discriminator), Networks(other, new.discriminator))[0] < 1e-12


def test_new_stages_may_be_narrower() -> None:
    export = export_of(tiny("biggan-deep", classes=5))
    grown = grow(export, (64, 64), generator_channels=2, discriminator_channels=3)
    architecture = grown.info.architecture
    assert (architecture.generator_channels or ())[-2:] == (2, 2)
    assert (architecture.discriminator_channels or ())[:2] == (3, 3)
    assert max(gaps(networks_of(export, training=True), networks_of(grown, training=True))) < 1e-12


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((16, 16), "of this size already; it can grow to 32x32, 64x64"),
        ((48, 48), "doubling 16x16 never gives that"),
        ((32, 64), "doubling 16x16 never gives that"),
        ((8, 8), "doubling 16x16 never gives that"),
    ],
)
def test_sizes_that_doubling_does_not_give(size: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        grown_architecture(tiny("biggan"), size)


def test_what_the_command_refuses(snapshot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.safetensors")
    for words, message in (
        ([out], "--resolution 256"),
        ([out, "--resolution", "32", "--drop-skip"], "two steps"),
        ([out, "--drop-skip"], "have no skip"),
        ([out, "--resolution", "16"], "already"),
        ([out, "--resolution", "48"], "never gives that"),
        ([out, "--resolution", "32", "--freeze-old", "9"], "give it to the training"),
        ([str(tmp_path / "run"), "--resolution", "32"], "is no checkpoint in a run directory"),
        ([str(snapshot), "--resolution", "32"], "exists; add --overwrite"),
    ):
        assert main(["grow", str(snapshot), *words]) == 2
        assert message in capsys.readouterr().err
    assert main(["grow", str(snapshot), out, "--resolution", "32"]) == 0
    printed = capsys.readouterr().out
    assert "differ from those before by 0 on average" in printed
    assert "32x32, new" in printed
    assert main(["grow", out, str(tmp_path / "none.safetensors"), "--drop-skip"]) == 2
    assert "is still 0" in capsys.readouterr().err
