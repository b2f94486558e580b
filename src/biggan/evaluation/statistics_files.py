"""Statistics of real images as files: our own, which say all about themselves, and those of others, which do not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from biggan.evaluation.protocol import FeatureProtocol, ReferenceProtocol
from biggan.evaluation.sides import RealClasses
from biggan.foundation.config import to_json
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import digest, replacing
from biggan.foundation.limits import MaxLen
from biggan.foundation.plain_pickles import load_plain
from biggan.foundation.records import Count, Name, parse_record, read_bounded
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.metrics.collected import Collected, RowsOfClasses
from biggan.metrics.moments import Gaussian

MARK = "biggan"
"""Member of our .npz files that says what they are; other readers of mu and sigma pass it over."""
_MEANS, _COVARIANCES = ("mu", "mean", "real_mean"), ("sigma", "cov", "real_cov")
_LARGEST = 2**30


@dataclass(frozen=True, kw_only=True)
class StatisticsMark:
    """What a file of statistics says about itself."""

    reference: ReferenceProtocol
    features: FeatureProtocol
    class_names: Annotated[tuple[Name, ...], MaxLen(2**20)] = ()
    class_counts: Annotated[tuple[Count, ...], MaxLen(2**20)] = ()
    unreadable: Annotated[tuple[Name, ...], MaxLen(2**20)] = ()
    """What was wrong with images that are missing from it."""


@dataclass(frozen=True, kw_only=True)
class GivenStatistics:
    """The content of a file of statistics."""

    collected: Collected
    mark: StatisticsMark | None
    """None where a foreign file does not say what it is."""
    title: str
    file: str
    """Hash of the file."""


def write_statistics(path: Path, collected: Collected, mark: StatisticsMark) -> None:
    """Write statistics as one file, atomically: .safetensors with all, .npz with mu and sigma.

    Raises:
        UserError: ``path`` is a link, or the disk is full.
    """
    if collected.gaussian is None:
        raise UserError(f"{path}: there is no mean and covariance to write")
    mean, covariance = collected.gaussian.mean.cpu(), collected.gaussian.covariance.cpu()
    if path.suffix == ".npz":
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, mu=mean.numpy(), sigma=covariance.numpy(), biggan=np.array(json.dumps(to_json(mark))))
        return
    tensors: dict[str, Tensor] = {"mean": mean, "covariance": covariance}
    for name in ("rows", "labels", "indices"):
        if (value := getattr(collected, name)) is not None:
            tensors[name] = value
    if collected.of_classes is not None:
        tensors |= {"class_rows": collected.of_classes.rows, "class_labels": collected.of_classes.labels}
    write_tensors(path, tensors, to_json(mark))


def read_statistics(path: Path) -> GivenStatistics:
    """Return statistics from a file: ours, pytorch-fid's or BigGAN-PyTorch's .npz, mmgeneration's .pkl.

    Raises:
        UserError: another kind of file, or a pickle that holds more than plain data.
        CorruptFileError: damaged, or not what it says.
    """
    where = f"--reference {path}"
    if not path.is_file():
        raise UserError(f"{where}: there is no such file")
    if path.suffix == ".safetensors":
        collected, mark = read_own(path)
        return GivenStatistics(collected=collected, mark=mark, title=path.stem, file=digest(path))
    content = _foreign(path, where)
    mean = next((content[name] for name in _MEANS if name in content), None)
    covariance = next((content[name] for name in _COVARIANCES if name in content), None)
    if mean is None or covariance is None:
        raise UserError(f"{where}: holds no mean and covariance, only {', '.join(map(str, content))}")
    said = content.get(MARK)
    own = None if said is None else parse_record(StatisticsMark, str(said), f"{where}: {MARK}")
    gaussian = _gaussian(_numbers(mean, where), _numbers(covariance, where), own, where)
    collected = Collected(count=own.reference.count or 0 if own else 0, gaussian=gaussian)
    return GivenStatistics(collected=collected, mark=own, title=path.stem, file=digest(path))


def classes_of_file(path: Path) -> RealClasses | None:
    """Return the classes of the images whose statistics a file holds; None if it does not say.

    Raises:
        UserError: see :func:`read_statistics`.
    """
    mark = read_statistics(path).mark
    if mark is None or not mark.class_names:
        return None
    return RealClasses(names=mark.class_names, counts=mark.class_counts, where=f"--reference {path}")


def read_own(path: Path) -> tuple[Collected, StatisticsMark]:
    """Return what :func:`write_statistics` wrote as .safetensors.

    Raises:
        UserError: no such file.
        CorruptFileError: damaged, or tensors that do not belong together.
    """
    found = read_verified(path)
    mark = parse_record(StatisticsMark, found.header_json, f"{path}: header", limit=2**26)
    tensors = found.tensors
    missing = {"mean", "covariance"} - tensors.keys()
    if missing:
        raise CorruptFileError(f"{path}: holds no {' and no '.join(sorted(missing))}; make it again")
    gaussian = _gaussian(tensors["mean"], tensors["covariance"], mark, str(path))
    for rows, *others in (("rows", "labels", "indices"), ("class_rows", "class_labels")):
        _check_rows(path, tensors, rows, others, gaussian.dimensions)
    of_classes = None
    if "class_rows" in tensors:
        of_classes = RowsOfClasses(rows=tensors["class_rows"], labels=tensors["class_labels"])
    collected = Collected(
        count=mark.reference.count or 0,
        unreadable=mark.unreadable,
        gaussian=gaussian,
        rows=tensors.get("rows"),
        labels=tensors.get("labels"),
        indices=tensors.get("indices"),
        of_classes=of_classes,
    )
    return collected, mark


def _check_rows(path: Path, tensors: Mapping[str, Tensor], name: str, others: list[str], dimensions: int) -> None:
    """Check rows and what stands beside each of them: all there or none, and as many.

    Raises:
        CorruptFileError: they are not.
    """
    present = [one for one in (name, *others) if one in tensors]
    if not present:
        return
    rows = tensors.get(name)
    right = (
        len(present) == 1 + len(others)
        and rows is not None
        and rows.dtype == torch.float32
        and rows.ndim == 2
        and rows.shape[1] == dimensions
        and all(tensors[one].shape == (len(rows),) and tensors[one].dtype == torch.int64 for one in others)
    )
    if not right:
        raise CorruptFileError(f"{path}: {', '.join(present)} do not belong together; make it again")


def _gaussian(mean: Tensor, covariance: Tensor, mark: StatisticsMark | None, where: str) -> Gaussian:
    if mean.dtype != torch.float64 or covariance.dtype != torch.float64:
        raise CorruptFileError(f"{where}: mean and covariance of {mean.dtype} and {covariance.dtype}, not of float64")
    try:
        found = Gaussian(mean, covariance, mark.reference.count if mark else None)
    except (ValueError, UserError) as error:
        raise CorruptFileError(f"{where}: {error}") from error
    if mark is not None and mark.features.dimensions not in (None, found.dimensions):
        raise CorruptFileError(
            f"{where}: says that it has {mark.features.dimensions} dimensions, and has {found.dimensions}"
        )
    return found


def _foreign(path: Path, where: str) -> dict[Any, Any]:
    """Return the named content of a file of another program.

    Raises:
        UserError: another kind of file.
        CorruptFileError: it cannot be read.
    """
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                wanted = [name for name in archive.files if name in (*_MEANS, *_COVARIANCES, MARK)]
                return {name: archive[name] for name in wanted} or dict.fromkeys(archive.files)
        if path.suffix in (".pkl", ".pickle"):
            content = load_plain(read_bounded(path, _LARGEST), where, "latin1")
            return content if isinstance(content, dict) else {}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError, MemoryError) as error:
        raise CorruptFileError(f"{where}: cannot be read ({error})") from error
    raise UserError(f"{where}: expected .safetensors, .npz (mu, sigma) or .pkl (mean, cov)")


def _numbers(values: Any, where: str) -> Tensor:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise CorruptFileError(f"{where}: mean and covariance are no arrays of numbers")
    return torch.from_numpy(np.array(values, dtype=np.float64, order="C"))
