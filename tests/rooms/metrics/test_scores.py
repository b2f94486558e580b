"""Inception Score, kernel distance and numbers of classes against their definitions."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from biggan.foundation.errors import UserError
from biggan.metrics.distances import nearest
from biggan.metrics.frechet import frechet_distance_of_rows
from biggan.metrics.inception_score import inception_score
from biggan.metrics.kernel import PolynomialKernel, kid, kid_full
from biggan.metrics.labels import frechet_by_class, intra_class_diversity
from biggan.metrics.moments import Moments
from biggan.metrics.neighbours import prdc, precision_recall
from tests.rooms.metrics.drawn import SEEDS, Array, accumulated, all_distances, distance, draw, exact, few

# -- Inception Score ---------------------------------------------------------------------------------------------------


@few
@given(st.integers(1, 30), st.integers(1, 8), st.integers(1, 5))
def test_the_two_ends_of_the_inception_score(classes: int, repeats: int, splits: int) -> None:
    blank = torch.full((classes * repeats * splits, classes), 0.7)
    uniform = inception_score(blank, splits=splits)
    assert (uniform.mean, uniform.std) == pytest.approx((1.0, 0.0), abs=1e-12)
    sure = 1e4 * torch.eye(classes).repeat(repeats * splits, 1)
    balanced = inception_score(sure, splits=splits, seed=None)
    assert (balanced.mean, balanced.std) == pytest.approx((classes, 0.0), abs=1e-12)
    by_class = 1e4 * torch.eye(classes).repeat_interleave(repeats, dim=0)
    assert inception_score(by_class, splits=classes, seed=None).mean == pytest.approx(1.0, abs=1e-12)


@few
@given(SEEDS, st.integers(4, 60), st.integers(1, 4), st.booleans(), st.sampled_from([None, 2020, 7]))
def test_the_inception_score_is_its_definition(
    seed: int, n: int, splits: int, equal: bool, shuffle: int | None
) -> None:
    logits = 3 * draw(seed, n, 6).numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if shuffle is not None:
        p = p[np.random.RandomState(shuffle).permutation(n)]
    edges = [i * (n // splits) if equal else i * n // splits for i in range(splits + 1)]
    scores = []
    for start, end in pairwise(edges):
        part = p[start:end]
        scores.append(math.exp((part * (np.log(part) - np.log(part.mean(axis=0)))).sum(axis=1).mean()))
    ours = inception_score(logits, splits=splits, seed=shuffle, equal_splits=equal)
    assert (ours.mean, ours.std) == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-10, abs=1e-12)
    assert ours.count == edges[-1] == (n - n % splits if equal else n)


def test_the_inception_score_needs_an_image_a_split() -> None:
    with pytest.raises(UserError, match="logits: 9 images are too few, use 10 or more"):
        inception_score(torch.zeros(9, 3))


# -- kernel ------------------------------------------------------------------------------------------------------------


def mmd2(x: Array, y: Array, degree: int = 3) -> float:
    """Return the estimate written out."""

    def k(a: Array, b: Array) -> Array:
        kernel: Array = (a @ b.T / a.shape[1] + 1) ** degree
        return kernel

    within = [(k(a, a).sum() - np.trace(k(a, a))) / (len(a) * (len(a) - 1)) for a in (x, y)]
    return float(sum(within) - 2 * k(x, y).mean())


@few
@given(SEEDS, st.integers(2, 25), st.integers(2, 25), st.integers(1, 30), st.integers(1, 4))
def test_kid_full_is_its_definition(seed: int, n: int, m: int, block: int, degree: int) -> None:
    x, y = draw(seed, n, 5), draw(seed + 1, m, 5, offset=0.2)
    value = kid_full(x, y, block=block, kernel=PolynomialKernel(degree=degree))
    assert value == pytest.approx(mmd2(x.numpy(), y.numpy(), degree), rel=1e-10, abs=1e-12)
    mixed = kid_full(x[torch.randperm(n)], y[torch.randperm(m)], block=block, kernel=PolynomialKernel(degree=degree))
    assert mixed == pytest.approx(value, rel=1e-10, abs=1e-12)


def test_kid_has_no_bias() -> None:
    pairs = [(draw(2 * i, 12, 4), draw(2 * i + 1, 8, 4)) for i in range(400)]
    values = np.array([kid_full(x, y) for x, y in pairs])
    error = values.std() / math.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    assert (values < 0).any()
    shifted = np.array([kid_full(x, y + 0.5) for x, y in pairs])
    assert shifted.mean() > 10 * error


def test_kid_draws_real_then_fake() -> None:
    x, y = draw(0, 40, 6).numpy(), draw(1, 30, 6, offset=0.3).numpy()
    rng = np.random.RandomState(2020)
    values = []
    for _ in range(7):
        real = x[rng.choice(40, 11, replace=False)]
        values.append(mmd2(real, y[rng.choice(30, 11, replace=False)]))
    for block in (3, 11, 4096):
        ours = kid(x, y, subsets=7, subset_size=11, block=block)
        assert (ours.mean, ours.std) == pytest.approx((np.mean(values), np.std(values)), rel=1e-12)
    assert kid(x, y, subsets=7, subset_size=11, seed=1).mean != pytest.approx(np.mean(values), rel=1e-6)


def test_kid_says_what_is_missing() -> None:
    with pytest.raises(
        UserError, match="subsets of 1000 images from 40 real and 30 fake ones; use 1000 or more of each"
    ):
        kid(draw(0, 40, 3), draw(1, 30, 3))
    with pytest.raises(ValueError, match="real features have 3 dimensions, fake ones 4"):
        kid_full(draw(0, 40, 3), draw(1, 30, 4))


# -- classes -----------------------------------------------------------------------------------------------------------


def test_frechet_of_each_class() -> None:
    real, fake = draw(0, 60, 4), draw(1, 50, 4, offset=0.5)
    real_labels, fake_labels = torch.arange(60) % 4, torch.arange(50) % 3
    fake_labels[:2] = 3
    ours = frechet_by_class(real, real_labels, fake, fake_labels.numpy(), classes=5, minimum=3)
    for label in range(3):
        wanted = exact(real[real_labels == label], fake[fake_labels == label])
        assert float(ours.values[label]) == pytest.approx(wanted, rel=1e-9)
    assert ours.values.isnan().tolist() == [False, False, False, True, True]
    assert (ours.too_few, ours.minimum) == (2, 3)
    assert ours.mean == pytest.approx(float(ours.values[:3].mean()))
    assert frechet_by_class(real, real_labels, fake, fake_labels, classes=5, minimum=2).too_few == 1
    with pytest.raises(ValueError, match="real labels: class 3 among 3 classes"):
        frechet_by_class(real, real_labels, fake, fake_labels, classes=3, minimum=2)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 4096])
def test_diversity_is_the_mean_distance_of_pairs(block: int) -> None:
    rows, labels = draw(0, 17, 3, offset=10.0), torch.tensor([0] * 8 + [2] * 7 + [3, 4])
    rows[8:15] = rows[8]
    ours = intra_class_diversity(rows, labels, classes=5, block=block)
    pairs = all_distances(rows[:8], rows[:8])[np.triu_indices(8, 1)]
    assert float(ours.values[0]) == pytest.approx(pairs.mean(), rel=1e-12)
    assert float(ours.values[2]) == 0.0
    assert ours.values.isnan().tolist() == [False, True, False, True, True]
    assert ours.too_few == 3


# -- devices -----------------------------------------------------------------------------------------------------------


@pytest.mark.cuda
def test_a_gpu_gives_the_same() -> None:
    real, fake, labels = draw(0, 300, 32), draw(1, 200, 32, offset=0.2), torch.arange(200) % 3
    there, fakes = real.cuda(), fake.cuda()
    on_gpu = Moments(32, "cuda")
    on_gpu.add(fake)
    on_gpu.merge(accumulated(real))
    np.testing.assert_allclose(on_gpu.finish().covariance.cpu(), np.cov(torch.cat([fake, real]).T.numpy()), rtol=1e-10)
    assert frechet_distance_of_rows(there, fakes).distance == pytest.approx(distance(real, fake), rel=1e-9)
    assert inception_score(fakes).mean == pytest.approx(inception_score(fake).mean, rel=1e-12)
    assert kid(there, fakes, subsets=3, subset_size=99).mean == pytest.approx(
        kid(real, fake, subsets=3, subset_size=99).mean, rel=1e-9
    )
    assert precision_recall(there, fake, block=64) == precision_recall(real, fake)
    assert prdc(there, fakes, block=64).density == prdc(real, fake).density
    assert torch.equal(nearest(fakes, there)[1].cpu(), nearest(fake, real)[1])
    diversity = intra_class_diversity(fakes, labels, classes=3).values
    torch.testing.assert_close(diversity, intra_class_diversity(fake, labels, classes=3).values)
