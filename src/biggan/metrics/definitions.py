"""The metrics: what each needs of the two streams, and the numbers that it makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from biggan.foundation.errors import UserError
from biggan.foundation.registry import Registry
from biggan.metrics.classifier import VERSION as CLASSIFIER_VERSION
from biggan.metrics.classifier import accuracy, train_classifier
from biggan.metrics.collected import CLASS_ROWS, LOGITS, MOMENTS, ROWS, THUMBNAILS, Collected, RowsOfClasses
from biggan.metrics.distances import nearest
from biggan.metrics.frechet import frechet_distance
from biggan.metrics.inception_score import SHUFFLE_SEED, inception_score
from biggan.metrics.kernel import SUBSET_SEED, kid, kid_full
from biggan.metrics.labels import frechet_by_class, intra_class_diversity
from biggan.metrics.neighbours import prdc, precision_recall

FEWEST_PER_CLASS = 50
"""Images of a class, of either kind, below which it gets no Fréchet distance of its own."""
LARGEST_SUBSET = 1000
"""Rows of a subset of the kernel distance, where there are as many."""
COPY = 0.1
"""A sample is a copy nearer to a real image than this part of the usual distance between real images."""

Parameter = int | float | bool | str | None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Numbers, what they were made of, and what to know about them."""

    values: dict[str, float]
    fake_count: int
    """Judged images that went into them."""
    real_count: int | None
    """Real images likewise; None where none are asked for."""
    parameters: dict[str, Parameter] = field(default_factory=dict)
    """Whatever else decides them."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a metric may need beside the two streams."""

    classes: int
    class_names: tuple[str, ...] = ()
    inception_splits_equal: bool = False
    """Cut for the Inception Score as BigGAN-PyTorch does: unshuffled, equal parts, the rest dropped."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One entry of the registry."""

    real: frozenset[str]
    """What it needs of the real images."""
    fake: frozenset[str]
    compute: Callable[[Collected, Collected, Context], Measured]
    larger_is_better: dict[str, bool] = field(default_factory=dict)
    """Of each number that can choose a checkpoint."""


def _need(value: Tensor | None, what: str) -> Tensor:
    if value is None:
        raise UserError(f"this metric needs {what}, which these features or this reference do not have")
    return value


def _rows(side: Collected) -> Tensor:
    return _need(side.rows, "rows")


def _of_classes(side: Collected) -> RowsOfClasses:
    if side.of_classes is None:
        raise UserError("this metric needs rows of every class, which this reference does not have")
    return side.of_classes


def _frechet(real: Collected, fake: Collected, _: Context) -> Measured:
    if real.gaussian is None or fake.gaussian is None:
        raise UserError("this metric needs mean and covariance of both sets")
    found = frechet_distance(real.gaussian, fake.gaussian)
    notes = []
    if fake.gaussian.too_few or real.gaussian.too_few:
        counts = f"{real.gaussian.count} real and {fake.gaussian.count} generated images"
        notes.append(
            f"{counts} cannot span {found.dimensions} dimensions: the value is exact for them, but strongly biased, "
            "and other implementations are off in its last digits; read KID"
        )
    return Measured(
        values={"fd": found.distance}, fake_count=fake.count, real_count=real.gaussian.count, notes=tuple(notes)
    )


def _inception_score(_: Collected, fake: Collected, context: Context) -> Measured:
    logits = _need(fake.logits, "a classifier's logits")
    equal = context.inception_splits_equal
    seed = None if equal else SHUFFLE_SEED
    found = inception_score(logits, splits=10, seed=seed, equal_splits=equal)
    return Measured(
        values={"is": found.mean, "is_std": found.std},
        fake_count=found.count,
        real_count=None,
        parameters={"splits": found.splits, "shuffle_seed": seed, "equal_splits": equal},
    )


def _kid(real: Collected, fake: Collected, _: Context) -> Measured:
    one, other = _rows(real), _rows(fake)
    size = min(LARGEST_SUBSET, len(one), len(other))
    found = kid(one, other, subset_size=size)
    notes = (f"subsets of {size} images, since there are no more",) if size < LARGEST_SUBSET else ()
    return Measured(
        values={"kid": found.mean, "kid_std": found.std},
        fake_count=len(other),
        real_count=len(one),
        parameters={"subsets": found.subsets, "subset_size": size, "subset_seed": SUBSET_SEED, "unbiased": True},
        notes=notes,
    )


def _kid_full(real: Collected, fake: Collected, _: Context) -> Measured:
    one, other = _rows(real), _rows(fake)
    return Measured(
        values={"kid_full": kid_full(one, other)},
        fake_count=len(other),
        real_count=len(one),
        parameters={"unbiased": True},
    )


def _precision_recall(real: Collected, fake: Collected, _: Context) -> Measured:
    one, other = _rows(real), _rows(fake)
    found = precision_recall(one, other, k=3)
    values = {"precision": found.precision, "recall": found.recall}
    return Measured(values=values, fake_count=len(other), real_count=len(one), parameters={"k": 3})


def _prdc(real: Collected, fake: Collected, _: Context) -> Measured:
    one, other = _rows(real), _rows(fake)
    found = prdc(one, other, k=5)
    values = {f"prdc_k5_{name}": getattr(found, name) for name in ("precision", "recall", "density", "coverage")}
    return Measured(values=values, fake_count=len(other), real_count=len(one), parameters={"k": 5})


def _class_frechet(real: Collected, fake: Collected, context: Context) -> Measured:
    one, other = _of_classes(real), _of_classes(fake)
    found = frechet_by_class(
        one.rows, one.labels, other.rows, other.labels, classes=max(context.classes, 1), minimum=FEWEST_PER_CLASS
    )
    without = [context.class_names[i] for i in found.values.isnan().nonzero()[:, 0].tolist()[:3] if context.class_names]
    notes = (
        f"{found.too_few} of {len(found.values)} classes have fewer than {FEWEST_PER_CLASS} real or judged images and "
        f"no distance{', such as ' if without else ''}{', '.join(without)}",
    )
    return Measured(
        values={"class_fd": found.mean, "class_fd_too_few": float(found.too_few)},
        fake_count=len(other.rows),
        real_count=len(one.rows),
        parameters={"fewest_per_class": FEWEST_PER_CLASS, "classes_measured": len(found.values) - found.too_few},
        notes=notes if found.too_few else (),
    )


def _diversity(real: Collected, fake: Collected, context: Context) -> Measured:
    one, other = _of_classes(real), _of_classes(fake)
    values = {
        name: intra_class_diversity(side.rows, side.labels, classes=max(context.classes, 1)).mean
        for name, side in (("diversity", other), ("diversity_of_real", one))
    }
    return Measured(values=values, fake_count=len(other.rows), real_count=len(one.rows))


def _classification_accuracy(real: Collected, fake: Collected, context: Context) -> Measured:
    """Ravuri and Vinyals 2019: what a classifier learns from one kind of image is worth on the other."""
    if context.classes < 2:
        raise UserError("classification accuracy scores need two classes or more")
    sets = [
        (_need(side.thumbnails, "images").float() / 127.5 - 1.0, _need(side.labels, "labels")) for side in (real, fake)
    ]
    on_real, on_fake = (train_classifier(images, labels, context.classes) for images, labels in sets)
    return Measured(
        values={"cas_train_real_test_fake": accuracy(on_real, *sets[1]), "cas": accuracy(on_fake, *sets[0])},
        fake_count=len(sets[1][0]),
        real_count=len(sets[0][0]),
        parameters={"classifier_version": CLASSIFIER_VERSION},
    )


def _memorisation(real: Collected, fake: Collected, _: Context) -> Measured:
    """How near samples lie to their nearest real image, relative to how near real images lie to one another."""
    bank, rows = _rows(real), _rows(fake)
    to_real = nearest(rows, bank)[0][:, 0]
    among_real = nearest(bank, bank, k=min(2, len(bank)))[0][:, -1]
    typical = float(among_real.median())
    copies = float((to_real < COPY * typical).double().mean()) if typical else float("nan")
    return Measured(
        values={
            "nearest_real": float(to_real.median()),
            "nearest_real_relative": float(to_real.median()) / typical if typical else float("nan"),
            "copies": copies,
        },
        fake_count=len(rows),
        real_count=len(bank),
        parameters={"copy": COPY},
    )


def _metric(
    real: str, fake: str, compute: Callable[[Collected, Collected, Context], Measured], **better: bool
) -> Metric:
    return Metric(real=frozenset({real} - {""}), fake=frozenset({fake}), compute=compute, larger_is_better=better)


FRECHET = _metric(MOMENTS, MOMENTS, _frechet, fd=False)
INCEPTION_SCORE = _metric("", LOGITS, _inception_score, **{"is": True})
KID = _metric(ROWS, ROWS, _kid, kid=False)
KID_FULL = _metric(ROWS, ROWS, _kid_full, kid_full=False)
PRECISION_RECALL = _metric(ROWS, ROWS, _precision_recall, precision=True, recall=True)
PRDC = _metric(ROWS, ROWS, _prdc, prdc_k5_density=True, prdc_k5_coverage=True)
CLASS_FRECHET = _metric(CLASS_ROWS, CLASS_ROWS, _class_frechet, class_fd=False)
DIVERSITY = _metric(CLASS_ROWS, CLASS_ROWS, _diversity, diversity=True)
CLASSIFICATION_ACCURACY = _metric(THUMBNAILS, THUMBNAILS, _classification_accuracy, cas=True)
MEMORISATION = _metric(ROWS, ROWS, _memorisation, copies=False)

METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "fid": "biggan.metrics.definitions:FRECHET",
        "is": "biggan.metrics.definitions:INCEPTION_SCORE",
        "kid": "biggan.metrics.definitions:KID",
        "kid_full": "biggan.metrics.definitions:KID_FULL",
        "precision_recall": "biggan.metrics.definitions:PRECISION_RECALL",
        "prdc": "biggan.metrics.definitions:PRDC",
        "class_fid": "biggan.metrics.definitions:CLASS_FRECHET",
        "diversity": "biggan.metrics.definitions:DIVERSITY",
        "cas": "biggan.metrics.definitions:CLASSIFICATION_ACCURACY",
        "memorisation": "biggan.metrics.definitions:MEMORISATION",
    },
)


def title(value: str, extractor: str) -> str:
    """Return the name of a number: only Inception's own Fréchet distance is called fid.

    Args:
        value: as a metric calls it.
        extractor: name of the features.
    """
    if value.startswith("cas"):
        return value
    named = value.replace("fd", "fid", 1) if value in ("fd", "class_fd", "class_fd_too_few") else value
    return named if extractor == "inception" else f"{value}_{extractor}"


def infinite(values: dict[str, float]) -> list[str]:
    """Return the names of the numbers that are none."""
    return [name for name, value in values.items() if not math.isfinite(value)]
