"""``--to biggan-pytorch``: the files that ajbrock/BigGAN-PyTorch saves in its weights folder, and loads from it."""

from __future__ import annotations

import dataclasses
import io
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biggan.exporting.contract import ExportFormat, ExportRequest
from biggan.exporting.original_names import OriginalNames
from biggan.exporting.original_options import adam_options, options_of
from biggan.foundation.courses import as_course
from biggan.foundation.errors import UserError
from biggan.foundation.files import replacing
from biggan.models.contract import build_on_meta
from biggan.models.export_file import NETWORKS, Export
from biggan.models.snapshot import SnapshotInfo

_LETTERS = {"generator": "G", "discriminator": "D"}
_KINDS = ("step", "exp_avg", "exp_avg_sq")


def refuse(export: Export, request: ExportRequest) -> None:
    """Check that its code can build these networks.

    Raises:
        UserError: it cannot; says what it lacks.
    """
    options_of(export.info.architecture, discriminator=request.discriminator)
    records = _adam(export)
    if request.optimizers and len({record.eps for record in records.values()}) > 1:
        raise UserError(
            "--to biggan-pytorch: its code cannot express two optimizers of different eps; leave out --with-optimizers"
        )


def write(export: Export, path: Path, request: ExportRequest) -> list[str]:  # noqa: ARG001 - one form for all formats
    """Write the files into the folder ``path``, all or none; return what they are and what they leave out."""
    contents = files(export)
    with ExitStack() as stack:
        for name, content in contents.items():
            saved = io.BytesIO()  # on a full disk the library's own writer can end the process
            torch.save(content, saved)
            stack.enter_context(replacing(path / name)).write_bytes(saved.getbuffer())
    left = ["class names"] if export.info.class_names else []
    left += [] if export.info.truncation_bank is None else ["statistics by truncation"]
    lines = [f"{', '.join(contents)}"]
    if left:
        lines.append(f"not in these files: {', '.join(left)}")
    if not {"G.pth", "D.pth", "G_optim.pth", "D_optim.pth"} <= contents.keys():
        lines.append("enough to sample; to train on it needs all (--with-discriminator --with-optimizers)")
    return [*lines, str(path)]


def files(export: Export) -> dict[str, Any]:
    """Return what each file holds: plain values and tensors only."""
    info = export.info
    architecture = info.architecture.resolved()
    networks: dict[str, nn.Module] = build_on_meta(architecture)._asdict()
    names = {name: OriginalNames(networks[name], architecture, name) for name in NETWORKS}
    found: dict[str, Any] = {}
    for file, network, tensors in (
        ("G.pth", "generator", export.generator),
        ("G_ema.pth", "generator", export.average),
        ("D.pth", "discriminator", export.discriminator),
    ):
        if tensors is not None:
            found[file] = names[network].state(tensors)
    records = _adam(export)
    for network, moments in export.moments.items():
        found[f"{_LETTERS[network]}_optim.pth"] = _optimizer(names[network], moments, records[network])
    found["state_dict.pth"] = _progress(export)
    return found


def _adam(export: Export) -> dict[str, Any]:
    continuation = export.info.continuation
    if continuation is None:
        return {}
    records = {"generator": continuation.generator_adam, "discriminator": continuation.discriminator_adam}
    # Its rates and betas are constant: what it goes on with are those of this clock.
    clock = export.info.images_seen
    return {
        name: dataclasses.replace(record, learning_rate=record.rate(clock), beta2=as_course(record.beta2).at(clock))
        for name, record in records.items()
        if record is not None
    }


def _optimizer(names: OriginalNames, moments: Any, record: Any) -> dict[str, Any]:
    """Return the state of its Adam: by the number of each parameter, in the order of the network's own."""
    state: dict[int, dict[str, Tensor]] = {}
    for number, key in enumerate(names.parameters):
        values = {kind: names.moment(moments, key, kind) for kind in _KINDS}
        if values["step"] is not None:
            state[number] = {kind: value for kind, value in values.items() if value is not None}
    group = {
        "lr": record.learning_rate,
        "betas": (record.beta1, record.beta2),
        "eps": record.eps,
        "weight_decay": 0,
        "amsgrad": False,
        "params": list(range(len(names.parameters))),
    }
    return {"state": state, "param_groups": [group]}


def _progress(export: Export) -> dict[str, Any]:
    """Return what it keeps beside the networks: how far it is, and its options, as far as the networks tell."""
    info = export.info
    options = options_of(info.architecture, discriminator=export.discriminator is not None)
    options["ema"] = info.weights == "ema"
    options |= _batches(info)
    for network, record in _adam(export).items():
        options |= adam_options(_LETTERS[network], record) | {"adam_eps": record.eps}
    images = info.provenance.get("images")
    epoch = info.images_seen // images if isinstance(images, int) and images > 0 else 0
    return {
        "itr": info.iterations,
        "epoch": epoch,
        "save_num": 0,
        "save_best_num": 0,
        "best_IS": 0,
        "best_FID": 999999,
        "config": options,
    }


def _batches(info: SnapshotInfo) -> dict[str, int]:
    """Return the options from which iterations become images, if all that was seen came in equal batches."""
    batch = info.provenance.get("batch")
    if not isinstance(batch, int) or batch < 1 or not info.iterations:
        return {}
    steps, rest = divmod(info.images_seen, info.iterations * batch)
    if rest or not steps:
        return {}
    return {"batch_size": batch, "num_D_steps": steps, "num_D_accumulations": 1, "num_G_accumulations": 1}


FORMAT = ExportFormat(name="biggan-pytorch", suffix="", write=write, optimizers=True, runs=False, refuse=refuse)
