"""One file that training can go on from: a snapshot that also holds G itself, D, and the moments of both optimizers.

Every reader of snapshots takes it for the snapshot that it is. What is there beside stands in its header
(:class:`biggan.models.continuation.Continuation`), and its tensors are named ``continuation/<part>/<name>`` with the
parts ``generator``, ``discriminator``, ``optimizer/generator`` and ``optimizer/discriminator``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from biggan.foundation.errors import CorruptFileError
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.models.contract import build_discriminator, build_generator
from biggan.models.snapshot import (
    CONTINUATION,
    SnapshotInfo,
    divided,
    parse_info,
    snapshot_header,
    snapshot_tensors,
)

NETWORKS = ("generator", "discriminator")
_OPTIMIZER = "optimizer/"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, kw_only=True, eq=False)
class Export:
    """All that a run knows of its networks, as plain tensors on the CPU, under the names of ``state_dict``.

    :func:`checked` has compared every one with the architecture.
    """

    info: SnapshotInfo
    """``weights`` says what :attr:`sampled` is; ``continuation`` which of the others are there."""
    sampled: Mapping[str, Tensor]
    """What samples are drawn with: the moving average of G, or G itself where none was kept."""
    bank: Mapping[str, Tensor] = field(default_factory=dict)
    """Statistics for other truncations, as :func:`biggan.models.snapshot.write_snapshot` takes them."""
    raw: Mapping[str, Tensor] | None = None
    """G itself, where :attr:`sampled` is its average and G is known as well."""
    discriminator: Mapping[str, Tensor] | None = None
    """D."""
    moments: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    """Of ``generator`` and ``discriminator``: ``<parameter>/exp_avg``, ``/exp_avg_sq`` (both as the parameter) and
    ``/step`` (float32 [], updates so far). A parameter that was never updated has none."""
    others: tuple[str, ...] = ()
    """Networks besides, of a step of one's own, that stand where this was read from and are not part of it."""
    digest: str = ""
    """Hash of the content of the file it was read from, hexadecimal; empty if it comes from elsewhere."""

    @property
    def average(self) -> Mapping[str, Tensor] | None:
        """The moving average of G, if there is one."""
        return self.sampled if self.info.weights == "ema" else None

    @property
    def generator(self) -> Mapping[str, Tensor] | None:
        """G itself, if it is known."""
        return self.sampled if self.info.weights == "generator" else self.raw


def write_export(path: Path, export: Export) -> None:
    """Write one file with all of ``export``, atomically.

    Raises:
        CorruptFileError: its tensors are not those of its architecture.
        UserError: ``path`` is a link, or the disk is full.
    """
    tensors = snapshot_tensors(export.sampled, export.bank)
    parts = {"generator": export.raw, "discriminator": export.discriminator} | {
        f"{_OPTIMIZER}{name}": of_network for name, of_network in export.moments.items()
    }
    for part, found in parts.items():
        tensors.update({f"{CONTINUATION}{part}/{name}": tensor for name, tensor in (found or {}).items()})
    write_tensors(path, tensors, snapshot_header(checked(export, "what is exported").info))


def read_export(path: Path) -> Export:
    """Return all that a snapshot or export holds; of a plain snapshot that is the generator alone.

    Raises:
        UserError: no snapshot, or one of a newer format.
        CorruptFileError: damaged, or its tensors are not exactly those that its header promises.
    """
    file = read_verified(path)
    info = parse_info(file.header, path)
    own, bank, rest = divided(file.tensors, info)
    by_part: dict[str, dict[str, Tensor]] = {}
    for name, tensor in rest.items():
        part, _, inner = name.removeprefix(_OPTIMIZER).partition("/")
        by_part.setdefault((_OPTIMIZER if name.startswith(_OPTIMIZER) else "") + part, {})[inner] = tensor
    known = {*NETWORKS, *(f"{_OPTIMIZER}{name}" for name in NETWORKS)}
    if unknown := sorted(by_part.keys() - known):
        raise CorruptFileError(f"{path}: tensors of a part that this version does not know: {unknown[0]}")
    export = Export(
        info=info,
        sampled=own,
        bank=bank,
        raw=by_part.get("generator"),
        discriminator=by_part.get("discriminator"),
        moments={name: by_part[f"{_OPTIMIZER}{name}"] for name in NETWORKS if f"{_OPTIMIZER}{name}" in by_part},
        digest=file.content_hash,
    )
    return checked(export, str(path))


def checked(export: Export, where: str) -> Export:
    """Return ``export`` if its parts are what its header promises and every tensor fits the architecture.

    Raises:
        CorruptFileError: names the part and its first tensor that is missing, left over, or of another shape or type.
    """
    promised = export.info.continuation
    parts = {
        "G itself": (export.raw is not None, promised is not None and promised.generator),
        "D": (export.discriminator is not None, promised is not None and promised.discriminator),
        "moments of G": (
            bool(export.moments.get("generator")),
            promised is not None and promised.generator_adam is not None,
        ),
        "moments of D": (
            bool(export.moments.get("discriminator")),
            promised is not None and promised.discriminator_adam is not None,
        ),
    }
    for part, (there, expected) in parts.items():
        if there != expected:
            raise CorruptFileError(f"{where}: {part}: {'missing' if expected else 'not announced in the header'}")
    with torch.device("meta"):
        generator = build_generator(export.info.architecture)
        discriminator = build_discriminator(export.info.architecture)
    networks: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
    for part, network, tensors in (
        ("the generator", generator, export.sampled),
        ("G itself", generator, export.raw),
        ("D", discriminator, export.discriminator),
    ):
        if tensors is not None:
            _compare(network.state_dict(), tensors, f"{where}: {part}")
    for name, found in export.moments.items():
        _compare(_expected_moments(networks[name], found), found, f"{where}: moments of the {name}")
    return export


def _expected_moments(network: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return, without memory, what the moments of those parameters must be like that have any."""
    parameters = dict(network.named_parameters())
    expected: dict[str, Tensor] = {}
    for key in {name.rpartition("/")[0] for name in found} & parameters.keys():
        for kind in _MOMENTS:
            like = torch.empty((), dtype=torch.float32, device="meta") if kind == "step" else parameters[key].detach()
            expected[f"{key}/{kind}"] = like
    return expected


def _compare(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: str) -> None:
    """Check names, shapes and types."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or extra:
        raise CorruptFileError(f"{where}: {'without' if missing else 'unknown'}: {(missing or extra)[0]}")
    for name, like in expected.items():
        one = found[name]
        if one.shape != like.shape or one.dtype != like.dtype:
            raise CorruptFileError(
                f"{where}: {name} is {one.dtype} {tuple(one.shape)}, here {like.dtype} {tuple(like.shape)}"
            )
