"""What can be known to be wrong about an evaluation before anything is computed."""

from __future__ import annotations

from pathlib import Path

from biggan.data.contract import ImageSource
from biggan.evaluation.configuration import DEFAULT_METRICS, PIPELINES, EvaluationConfig, TrainingEvaluation
from biggan.foundation.errors import UserError
from biggan.metrics.collected import LOGITS, THUMBNAILS
from biggan.metrics.definitions import METRICS, title
from biggan.metrics.features import EXTRACTORS

PUBLISHED_METRICS = ("fid", "is")
"""What another implementation's pipeline adds: the two numbers that others published."""


def check_evaluation(config: EvaluationConfig, source: ImageSource | None) -> None:
    """Check every name, and what these images cannot give; nothing is computed and nothing fetched.

    Args:
        config: the evaluation, also one while training.
        source: the real images; None where statistics are given in their place.

    Raises:
        UserError: an unknown metric or features, weights that are not there, a number by which the best are chosen
            that is not among those measured, or classes that a metric needs and the images do not have.
    """
    if not config.metrics:
        raise UserError(f"--metrics: none is named; there are {', '.join(METRICS)}")
    metrics = {name: METRICS[name] for name in config.metrics}
    features = features_name(config, source)
    for option, path in (("--features.weights", config.weights), ("--protocol-weights", config.protocol_weights)):
        if path is not None and not Path(path).is_file():
            raise UserError(f"{option} {path}: there is no such file")
    needs = {need for metric in metrics.values() for need in metric.real | metric.fake}
    if config.metrics != DEFAULT_METRICS and LOGITS in needs and not EXTRACTORS[features].classifies:
        raise UserError(f"--metrics is: --features {features} classify nothing; use inception, or leave it out")
    if source is not None and len(source.class_names) < 2:
        if features == "classifier" and needs - {THUMBNAILS}:
            raise UserError("--features classifier needs two classes or more; use --features random for these data")
        if "cas" in metrics:
            raise UserError("--metrics cas: classification accuracy scores need two classes or more; leave it out")
    if isinstance(config, TrainingEvaluation) and config.best_by is not None:
        names = choosing_names(config, features)
        if config.best_by not in names:
            raise UserError(
                f"--evaluation.best-by {config.best_by}: not among what is measured and has a direction: "
                f"{', '.join(names) or 'nothing'}"
            )


def features_name(config: EvaluationConfig, source: ImageSource | None) -> str:
    """Return the features to use: those asked for, or what the images need.

    Raises:
        UserError: an unknown name; the nearest are listed.
    """
    if config.features != "auto":
        EXTRACTORS[config.features]
        return config.features
    if source is None or source.notes().photographs:
        return "inception"
    return "classifier" if len(source.class_names) > 1 else "random"


def choosing_names(config: EvaluationConfig, features: str) -> tuple[str, ...]:
    """Return the numbers that ``config`` measures and that can choose a checkpoint, as records call them.

    Args:
        config: the evaluation.
        features: name of its features, see :func:`features_name`.
    """
    pairs = [(name, features) for name in config.metrics]
    if config.protocol in PIPELINES:
        pairs += [(name, PIPELINES[config.protocol]) for name in config.metrics if name in PUBLISHED_METRICS]
    return tuple(
        dict.fromkeys(title(value, extractor) for name, extractor in pairs for value in METRICS[name].larger_is_better)
    )
