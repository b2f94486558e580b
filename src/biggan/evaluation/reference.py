"""Statistics of the real images: computed at first need, cached under everything that decides them, or given."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from biggan.data.contract import ImageSource
from biggan.evaluation.streams import Progress, RealStream, collect
from biggan.foundation import distributed
from biggan.foundation.downloads import cache_folder
from biggan.foundation.errors import CorruptFileError, UserError
from biggan.foundation.files import digest
from biggan.foundation.plain_pickles import load_plain
from biggan.foundation.seeding import permutation
from biggan.foundation.tensor_files import read_verified, write_tensors
from biggan.metrics.collected import MOMENTS, ROWS, THUMBNAILS, Collected
from biggan.metrics.features import Extractor
from biggan.metrics.moments import Gaussian

FORMAT = 1
_MEANS, _COVARIANCES = ("mu", "mean", "real_mean"), ("sigma", "cov", "real_cov")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The real side of an evaluation."""

    collected: Collected
    origin: str
    """Part of the protocol: all images of the data, or the file that was given."""
    from_cache: bool = False


def reference_of(
    source: ImageSource,
    extractor: Extractor | None,
    needs: frozenset[str],
    *,
    rows: int,
    handling: str,
    batch: int,
    progress: Progress = lambda *_: None,
) -> Reference:
    """Return statistics of all images of ``source``, from the cache or computed and put there.

    Args:
        source: the real images.
        extractor: of features.
        needs: what the metrics ask for.
        rows: of how many images single rows are kept, evenly drawn.
        handling: how images were prepared; part of the key.
        batch: images at a time.
        progress: called with the number of images done and of all.
    """
    origin = f"all{len(source)}"
    count = min(rows, len(source))
    chosen = torch.zeros(len(source), dtype=torch.bool)
    chosen[torch.from_numpy(permutation(0, "reference rows", 0, len(source))[:count])] = True
    cached_needs = needs & {MOMENTS, ROWS}
    if needs & {THUMBNAILS}:  # images themselves are read again; they are no statistics
        found = collect(RealStream(source), extractor, needs | {MOMENTS, ROWS} if cached_needs else needs, batch=batch,
                        keep=chosen, progress=progress)  # fmt: skip
        return Reference(collected=found, origin=origin)
    if not cached_needs or extractor is None:
        return Reference(collected=Collected(count=len(source)), origin=origin)
    what = f"{FORMAT} {source.key()} {source.resolution} {source.channels} {handling} {extractor.key} {count}"
    path = cache_folder() / "references" / f"{hashlib.sha256(what.encode()).hexdigest()[:40]}.safetensors"
    cached = _read(path)
    agreed = distributed.broadcast_object(cached is not None)
    if agreed and cached is not None:
        return Reference(collected=cached, origin=origin, from_cache=True)
    found = collect(
        RealStream(source), extractor, frozenset({MOMENTS, ROWS}), batch=batch, keep=chosen, progress=progress
    )
    if distributed.is_primary():
        write_reference(path, found, {"what": what, "data": source.notes().kind, "features": extractor.protocol})
    distributed.barrier()
    return Reference(collected=found, origin=origin)


def write_reference(path: Path, collected: Collected, header: dict[str, Any]) -> None:
    """Write statistics as one file, atomically."""
    assert collected.gaussian is not None
    tensors: dict[str, Tensor] = {"mean": collected.gaussian.mean, "covariance": collected.gaussian.covariance}
    for name in ("rows", "labels", "indices"):
        value = getattr(collected, name)
        if value is not None:
            tensors[name] = value
    write_tensors(path, tensors, {"format": FORMAT, "count": collected.count, **header})


def _read(path: Path) -> Collected | None:
    """Return what was cached; None if it is not there, or damaged, and must be made again."""
    try:
        found = read_verified(path)
        header, tensors = found.header, found.tensors
        gaussian = Gaussian(tensors.pop("mean"), tensors.pop("covariance"), int(header["count"]))
    except (UserError, KeyError, ValueError):
        return None
    return Collected(count=int(header["count"]), gaussian=gaussian, **tensors)


def given_reference(path: Path) -> Reference:
    """Return statistics from a file: ours, pytorch-fid's or BigGAN-PyTorch's .npz, mmgeneration's .pkl.

    Raises:
        UserError: another kind of file, or a pickle that holds more than plain data.
    """
    if not path.is_file():
        raise UserError(f"--reference {path}: there is no such file")
    origin = f"given-{path.stem}-{digest(path)[:8]}"
    if path.suffix == ".safetensors":
        found = _read(path)
        if found is None:
            raise CorruptFileError(f"--reference {path}: not statistics that 'biggan evaluate reference' wrote")
        return Reference(collected=found, origin=origin)
    content: Any
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                content = {name: archive[name] for name in archive.files}
        elif path.suffix in (".pkl", ".pickle"):
            content = load_plain(path.read_bytes(), f"--reference {path}", "latin1")
        else:
            raise UserError(f"--reference {path}: expected .safetensors, .npz (mu, sigma) or .pkl (mean, cov)")
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise CorruptFileError(f"--reference {path}: cannot be read ({error})") from error
    content = content if isinstance(content, dict) else {}
    mean = next((content[name] for name in _MEANS if name in content), None)
    covariance = next((content[name] for name in _COVARIANCES if name in content), None)
    if mean is None or covariance is None:
        raise UserError(f"--reference {path}: holds no mean and covariance, only {', '.join(map(str, content))}")
    try:
        gaussian = Gaussian(_tensor(mean), _tensor(covariance))
    except ValueError as error:
        raise CorruptFileError(f"--reference {path}: {error}") from error
    return Reference(collected=Collected(count=0, gaussian=gaussian), origin=origin)


def _tensor(values: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64))
