"""Directions of a generator, by its weights (SeFa) or by its activations (GANSpace)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biggan.exploring.activations import activations
from biggan.exploring.directions import KINDS, MOST_DIRECTIONS, Directions, DirectionsRecord, Kind, oriented
from biggan.exploring.layers import FIRST, latent_matrix, seen_latent, usual_layer
from biggan.foundation.errors import UserError, unknown
from biggan.foundation.memory import check_memory
from biggan.models.contract import Generator
from biggan.sampling.identity import network_hash
from biggan.sampling.sampler import Sampler

SAMPLES = 4096
"""Latents that are drawn for directions by activations, unless said otherwise."""
_BATCH = 256
Progress = Callable[[int, int], object]


def find_directions(
    sampler: Sampler,
    kind: Kind = "sefa",
    count: int = 8,
    *,
    layer: str | None = None,
    samples: int = SAMPLES,
    classes: Sequence[str | int] | None = None,
    seed: int = 0,
    progress: Progress = lambda *_: None,
) -> Directions:
    """Return the ``count`` most important directions of a generator.

    Args:
        sampler: whose generator is looked at; it is not changed.
        kind: ``sefa`` (Shen and Zhou 2021, "Closed-form factorization of latent semantics in GANs"):
            eigenvectors of A'A of a layer that is linear in z, by falling eigenvalue. ``ganspace`` (Haerkoenen et al.
            2020, "GANSpace: discovering interpretable GAN controls"): principal components of
            activations, carried back to z by least squares.
        count: how many.
        layer: see :mod:`biggan.exploring.layers`; None for the usual one of the family.
        samples: latents drawn for ``ganspace``.
        classes: names or indices of the classes that ``ganspace`` draws, in turn; all by default.
        seed: of these latents.
        progress: called with the number of latents done and of all.

    Raises:
        UserError: an unknown kind, layer or class, or a count out of range.
    """
    if kind not in KINDS:
        raise unknown("--by", kind, KINDS)
    architecture = sampler.info.architecture
    if kind == "sefa":
        chosen = layer or usual_layer(architecture)
        vectors, shares = sefa(latent_matrix(sampler.generator, chosen), count)
        samples = seed = 0
    else:
        chosen = layer or FIRST
        labels = [sampler.class_index(name) for name in classes or range(max(architecture.classes, 1))]
        check_samples(samples, count)
        vectors, shares = ganspace(sampler.generator, chosen, count, labels, samples, seed, progress)
    return Directions(
        record=DirectionsRecord(
            kind=kind,
            layer=chosen,
            generator=network_hash(sampler.generator),
            names=("",) * len(vectors),
            shares=tuple(shares.tolist()),
            samples=samples,
            seed=seed,
        ),
        vectors=vectors,
    )


def sefa(matrix: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the eigenvectors of A'A [count, n], by falling eigenvalue, and these over their sum [count].

    z being normal, the latter are the shares of the variance of A z.

    Args:
        matrix: A, float64 [m, n].
        count: at most the rank that the columns without zeros allow.

    Raises:
        UserError: out of range.
    """
    seen = (matrix != 0).any(dim=0)
    _check_count(count, int(seen.sum()))
    values, vectors = torch.linalg.eigh(matrix.T @ matrix)
    values = values.clamp(min=0).flip(0)[:count]
    return oriented(vectors.T.flip(0)[:count].contiguous()), values / matrix.square().sum()


def ganspace(
    generator: Generator,
    layer: str,
    count: int,
    labels: Sequence[int],
    samples: int,
    seed: int,
    progress: Progress = lambda *_: None,
) -> tuple[Tensor, Tensor]:
    """Return directions float64 [count, z_size] of length 1, and the shares of variance of their components [count].

    Batches are of one class each, less their mean: what a class changes is no direction of z. Numbers of z that the
    layer does not see stay 0.

    Args:
        generator: in evaluation mode.
        layer: whose activations; see :func:`biggan.exploring.layers.observed`.
        count: how many.
        labels: classes, which the batches take in turn.
        samples: latents in all, rounded up to whole batches.
        seed: of the latents.
        progress: called with the number of latents done and of all, in two passes.

    Raises:
        UserError: a count out of range, or a layer that cannot be looked at.
    """
    from sklearn.decomposition import IncrementalPCA

    seen = seen_latent(generator.architecture, layer)
    _check_count(count, seen.stop)
    size = max(_BATCH, 2 * count)
    batches = -(-samples // size)
    numbers = activations(generator, layer, 1, labels[0], seed, 0)[1].shape[1]
    # Rows as they are drawn, those less their mean, and what the analysis stacks and decomposes.
    check_memory(5 * 8 * size * numbers, f"--layer {layer}: {numbers:,} activations a latent", "name an earlier layer")
    # More components than are asked for: what is cut off at each batch is lost to the others.
    analysis = IncrementalPCA(n_components=min(max(4 * count, 32), seen.stop, size, numbers))

    def batch(number: int) -> tuple[Tensor, npt.NDArray[np.float64]]:
        z, rows = activations(generator, layer, size, labels[number % len(labels)], seed, number * size)
        return z - z.mean(dim=0), (rows - rows.mean(dim=0)).numpy()

    for number in range(batches):
        analysis.partial_fit(batch(number)[1])
        progress((number + 1) * size, 2 * batches * size)
    # min over U of the sum of |U x - z|^2: x the coordinates of activations, both with mean 0.
    products = torch.zeros(count, count, dtype=torch.float64)
    crossed = torch.zeros(count, seen.stop, dtype=torch.float64)
    components = torch.from_numpy(analysis.components_[:count]).double()
    for number in range(batches):
        z, rows = batch(number)
        x = torch.from_numpy(rows) @ components.T
        products += x.T @ x
        crossed += x.T @ z[:, seen]
        progress((batches + number + 1) * size, 2 * batches * size)
    found = torch.linalg.lstsq(products, crossed).solution
    if not bool((products.diagonal() > 1e-20 * products.diagonal().max()).all()):
        raise UserError(f"--count {count}: the activations of --layer {layer} do not vary in so many directions")
    vectors = torch.zeros(count, generator.architecture.z_size, dtype=torch.float64)
    vectors[:, seen] = found / found.norm(dim=1, keepdim=True)
    shares = torch.from_numpy(analysis.explained_variance_ratio_[:count]).double()
    return oriented(vectors), shares


def check_samples(samples: int, count: int) -> None:
    """Check how many latents are to be drawn, before any is.

    Raises:
        UserError: too few, or too many.
    """
    if not max(2 * count, 16) <= samples <= 10_000_000:
        raise UserError(f"--samples {samples}: {max(2 * count, 16):,} (twice the directions) to 10,000,000")


def _check_count(count: int, most: int) -> None:
    most = min(most, MOST_DIRECTIONS)
    if not 1 <= count <= most:
        raise UserError(f"--count {count}: 1 to {most}, which is how many numbers of z that layer sees")
