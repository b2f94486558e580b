"""From foreign files, or a folder of them, to what they hold: networks, optimizers, options, each by its role."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from biggan.convert.configurations import options_in
from biggan.convert.contract import FOREIGN, ForeignFamily, State, of_this_layout, recognise
from biggan.convert.reading import Content, read_content
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.torch_files import StoredTensor
from biggan.models.snapshot import is_snapshot

_WEIGHTS = (".pth", ".pt", ".bin", ".ckpt", ".safetensors", ".h5", ".hdf5", ".npz")
_PARTS = {"generator": "generator", "generator_ema": "average", "discriminator": "discriminator"}
_ROLES = {"G": "generator", "G_ema": "average", "D": "discriminator"}
_BUFFER = re.compile(r"(?:u\d+|sv\d+|stored_\w+|running_\w+|weight_[uv]|num_batches_tracked|accumulation_counter)")
_OF_GRAPHS = re.compile(r"(?:global_step\w*|beta\d_power(?:_\d+)?)(?::0)?")
"""Clocks of a graph of TensorFlow and of its optimizers."""
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class ForeignAdam:
    """Moments of one network, in the order of its parameters."""

    moments: tuple[Mapping[str, Tensor], ...]
    """``exp_avg``, ``exp_avg_sq`` and ``step`` of each; empty where a parameter was never updated."""
    group: Mapping[str, Any]
    """How Adam was set: lr, betas, eps."""


@dataclass(kw_only=True)
class ForeignWeights:
    """Everything that was found, in the names of its makers."""

    family: ForeignFamily
    generator: State | None = None
    average: State | None = None
    discriminator: State | None = None
    adam: dict[str, ForeignAdam] = field(default_factory=dict)
    """Of ``generator`` and ``discriminator``."""
    options: dict[str, Any] = field(default_factory=dict)
    """The configuration that lies beside the weights; empty if there is none."""
    iterations: int | None = None
    """Updates of G, where files tell."""
    files: list[Path] = field(default_factory=list)
    """What was read."""


def gather(path: Path, family: str | None = None, *, name: str | None = None, averaged: bool = True) -> ForeignWeights:
    """Read everything that belongs together.

    Args:
        path: a file, or a folder of files of one network or of a run.
        family: whose weights these are; None finds out by their keys.
        name: which of several sets in a folder (``best0``, ``copy1``, ``best``); None takes the one without a name, or
            the only one.
        averaged: where one file holds raw and averaged variables of G, which are taken as its weights.

    Raises:
        UserError: nothing there, nothing that is recognised, or a choice that must be made.
        CorruptFileError: damaged.
    """
    chosen = None if family is None else FOREIGN[family]
    if not path.exists():
        raise UserError(f"{path}: there is no such file or folder")
    if is_snapshot(path):
        raise UserError(
            f"{path}: is in this package's own form already; use it as it is: biggan sample {path} --out FOLDER, or "
            f"biggan train PRESET --init {path}"
        )
    if name is not None and not path.is_dir():
        raise UserError(f"--name {name}: chooses among the sets of a folder, and {path} is one file; leave it out")
    files = _files_of(path, name) if path.is_dir() else {"": path}
    contents = {role: read_content(file) for role, file in files.items() if file.suffix != ".json"}
    if not contents:
        raise UserError(f"{path}: there are no weights in this folder (files ending in {', '.join(_WEIGHTS)})")
    found: ForeignWeights | None = None
    for role, content in contents.items():
        if role.endswith("optim") or role == "state_dict":
            continue
        for part, state in _networks(content, role).items():
            own = _family_of(state, content.path, chosen)
            if found is None:
                found = ForeignWeights(family=own)
            if own is not found.family:
                raise UserError(f"{path}: weights of {found.family.title} and of {own.title} lie in one folder")
            _place(found, part or ("generator" if own.is_generator(state) else "discriminator"), state, content.path)
    if found is None:
        raise UserError(f"{path}: optimizers alone; their networks' files are missing")
    found.files = list(files.values())
    _take_one_set(found, averaged)
    _read_beside(found, contents, files, path)
    return found


def _place(found: ForeignWeights, part: str, state: State, path: Path) -> None:
    if getattr(found, part) is not None:
        raise UserError(f"{path}: a second {part} among the files; name one file, or one set by --name")
    setattr(found, part, state)


def _take_one_set(found: ForeignWeights, averaged: bool) -> None:
    """Separate raw and averaged tensors where they lie in one file; with a D beside them both are kept."""
    one_set, both = found.family.one_set, found.generator
    if one_set is None and not averaged:
        raise UserError(f"--raw: files of {found.family.title} hold G and its average apart; name the one or the other")
    if one_set is None or both is None:
        return
    with of_this_layout(found.family):
        if averaged:
            found.average, found.generator = one_set(both, True), None
        if found.discriminator is not None:
            found.discriminator = one_set(found.discriminator, False)
        if found.discriminator is not None or not averaged:
            found.generator = one_set(both, False)


def _family_of(state: State, path: Path, chosen: ForeignFamily | None) -> ForeignFamily:
    families = recognise(state)
    if chosen is not None:
        if not chosen.recognises(state):
            names = " or ".join(family.name for family in families) or "of no family that is known"
            raise UserError(f"--from {chosen.name}: the keys in {path} are not its; they are {names}")
        return chosen
    if len(families) == 1:
        return families[0]
    known = ", ".join(FOREIGN)
    if families:
        names = " or ".join(family.name for family in families)
        raise UserError(f"{path}: its keys may be those of {names}; say which by --from")
    shown = ", ".join(list(state)[:_SHOWN])
    raise UserError(f"{path}: keys of no family that is known ({known}); the first are {shown or 'none at all'}")


def _networks(content: Content, role: str) -> dict[str, dict[str, Tensor]]:
    """Return the state dicts in one file by what they are; under ``""`` one of which nothing is said."""
    tensors = content.under("state_dict") or content.tensors
    by_part = {
        part: {key.removeprefix(f"{prefix}."): value for key, value in tensors.items() if key.startswith(f"{prefix}.")}
        for prefix, part in _PARTS.items()
    }
    if tensors and any(key.startswith("generator/") for key in tensors):  # a graph of TensorFlow, in one dump
        return _scopes(tensors)
    # pytorch-pretrained-BigGAN's own keys begin with `generator.` too, but its embedding stands beside.
    if any(by_part.values()) and "embeddings.weight" not in tensors:
        return {part: state for part, state in by_part.items() if state}
    if tensors and all(key.startswith("module.") for key in tensors):  # saved from within DataParallel
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    tensors = {key: value for key, value in tensors.items() if not key.startswith("optimizer.")}
    return {_ROLES.get(role, ""): dict(tensors)}


def _scopes(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the variables of each network without their scope; what is in neither's goes to D by its whole name."""
    found: dict[str, dict[str, Tensor]] = {"generator": {}, "discriminator": {}}
    for key, value in tensors.items():
        scope, _, rest = key.partition("/")
        if rest and scope in found:
            found[scope][rest] = value
        elif not _OF_GRAPHS.fullmatch(key):
            found["discriminator" if scope.startswith("discriminator") else "generator"][key] = value
    return {part: state for part, state in found.items() if state}


def _files_of(folder: Path, name: str | None) -> dict[str, Path]:
    """Return the files of a folder by their roles."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    patterns = (
        re.compile(r"(?P<role>G_ema|G_optim|D_optim|state_dict|G|D)(?:_(?P<name>[A-Za-z0-9]+))?\.pth"),
        re.compile(r"model=(?P<role>G_ema|G|D)-(?P<name>\w+?)-weights-step=\d+\.pth"),
    )
    for pattern in patterns:
        sets: dict[str, dict[str, Path]] = {}
        for file in files:
            match = pattern.fullmatch(file.name)
            if match:
                sets.setdefault(match["name"] or "", {})[match["role"]] = file
        sets = {key: found for key, found in sets.items() if found.keys() & {"G", "G_ema", "D"}}
        if sets:
            return _chosen(sets, name, folder)
    weights = [file for file in files if file.suffix in _WEIGHTS]
    if len(weights) > 1:
        shown = ", ".join(file.name for file in weights[:_SHOWN])
        raise UserError(f"{folder}: several files of weights ({shown}); name one of them")
    return {"": weights[0]} if weights else {}


def _chosen(sets: Mapping[str, dict[str, Path]], name: str | None, folder: Path) -> dict[str, Path]:
    names = ", ".join(repr(key) if key else "the one without a name" for key in sets)
    if name is not None:
        if name not in sets:
            raise UserError(f"--name {name}: {folder} holds {names}; choose that, or leave the option out")
        return sets[name]
    if "" in sets:
        return sets[""]
    if len(sets) > 1:
        raise UserError(f"{folder} holds several sets ({names}); choose one by --name")
    return next(iter(sets.values()))


# -- what lies beside --------------------------------------------------------------------------------------------------


def _read_beside(found: ForeignWeights, contents: Mapping[str, Content], files: Mapping[str, Path], path: Path) -> None:
    """Read options, clocks and optimizers."""
    for role, content in contents.items():
        network = {"G_optim": "generator", "D_optim": "discriminator"}.get(role)
        if network is not None:
            found.adam[network] = _adam(content.tensors, content.values, "", content.path)
            continue
        stored = content.values.get("optimizer")
        if not isinstance(stored, Mapping):
            continue
        if "param_groups" in stored:
            of = "discriminator" if _ROLES.get(role) == "discriminator" else "generator"
            if role != "G_ema":
                found.adam[of] = _adam(content.tensors, stored, "optimizer.", content.path)
        else:
            for of in ("generator", "discriminator"):
                inner = stored.get(of)
                if isinstance(inner, Mapping) and "param_groups" in inner:
                    found.adam[of] = _adam(content.tensors, inner, f"optimizer.{of}.", content.path)
    found.options, found.iterations = options_in(contents, [*files.values(), *_settings_beside(path)])


def _settings_beside(path: Path) -> list[Path]:
    """Return the JSON files that describe a file of weights, or lie in its folder."""
    if path.is_dir():
        return sorted(file for file in path.glob("*.json") if file.is_file())
    stem = re.sub(r"pytorch_model$", "config", path.stem)
    return [file for file in (path.with_name(f"{stem}.json"), path.with_name("config.json")) if file.is_file()][:1]


def _adam(tensors: Mapping[str, Tensor], stored: Mapping[str, Any], prefix: str, path: Path) -> ForeignAdam:
    """Return the moments of one optimizer; its parameters are known by their order alone, whatever they are called."""
    groups = stored.get("param_groups")
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(groups[0], Mapping):
        raise CorruptFileError(f"{path}: an optimizer with one group of parameters is expected")
    names = groups[0].get("params")
    states = stored.get("state")
    if not isinstance(names, list) or not isinstance(states, Mapping):
        raise CorruptFileError(f"{path}: an optimizer without parameters or without state")
    moments: list[dict[str, Tensor]] = []
    for name in names:
        one = states.get(name, {})
        if not isinstance(one, Mapping):
            raise CorruptFileError(f"{path}: state {name!s:.40} of the optimizer is no set of names and values")
        moments.append(_moments(one, tensors, f"{prefix}state.{name}.", path))
    return ForeignAdam(moments=tuple(moments), group=groups[0])


def _moments(one: Mapping[Any, Any], tensors: Mapping[str, Tensor], prefix: str, path: Path) -> dict[str, Tensor]:
    import torch

    found = {kind: tensors[f"{prefix}{kind}"] for kind in ("exp_avg", "exp_avg_sq") if f"{prefix}{kind}" in tensors}
    if not found:
        return {}
    step = one.get("step")
    if isinstance(step, StoredTensor):
        step = float(tensors[f"{prefix}step"])
    if len(found) != 2 or not isinstance(step, int | float) or not 0 <= step < 2**24:
        raise CorruptFileError(f"{path}: moments of a parameter are not whole")
    return found | {"step": torch.tensor(float(step))}


def parameter_names(state: State) -> Sequence[str]:
    """Return the names of what is learnt, in the order of their network's parameters."""
    return [key for key in state if not _BUFFER.fullmatch(key.rpartition(".")[2])]
