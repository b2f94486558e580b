"""What can be known to be wrong is known before anything is computed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.data.configuration import ReadingConfig
from biggan.data.contract import ImageSource
from biggan.data.opening import open_images
from biggan.evaluation.checking import check_evaluation, choosing_names, features_name
from biggan.evaluation.configuration import EvaluationConfig, TrainingEvaluation
from biggan.evaluation.evaluate import evaluate
from biggan.evaluation.protocol import JudgedProtocol
from biggan.evaluation.sides import Side
from biggan.foundation.errors import UserError
from biggan.metrics.definitions import METRICS
from biggan.metrics.features import EXTRACTORS


def digits(**values: Any) -> ImageSource:
    return open_images(ReadingConfig(path="digits", **values), (16, 16))


def trained(**values: Any) -> TrainingEvaluation:
    return TrainingEvaluation(**{"every": 40, "count": 60} | values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"metrics": ("fidd",)}, "nearest: fid"),
        ({"metrics": ()}, "none is named"),
        ({"features": "inceptoin"}, "nearest: inception"),
        ({"weights": "/nowhere/w.pth", "features": "inception"}, r"--features\.weights /nowhere/w.pth: there is no"),
        ({"protocol_weights": "/nowhere/w.pth"}, "--protocol-weights /nowhere/w.pth: there is no"),
        ({"features": "random", "metrics": ("is", "fid")}, "classify nothing"),
        ({"best_by": "fdi"}, "not among what is measured"),
        ({"best_by": "fid"}, "fd_classifier, is_classifier"),  # of the digits' own features it has another name
        ({"best_by": "is_std_classifier"}, "not among what is measured"),  # it has no direction
        ({"best_by": "kid_classifier", "metrics": ("fid",)}, "not among what is measured"),
        ({"best_by": "fd_inception-torchvision"}, "not among what is measured"),  # without its protocol
    ],
)
def test_a_mistake_is_an_error_before_anything_is_read(
    values: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = digits()
    monkeypatch.setattr(type(source), "read_many", None)  # whoever reads an image now fails otherwise
    config = trained(**values)
    with pytest.raises(UserError, match=says):
        check_evaluation(config, source)
    if "best_by" not in values:  # an evaluation by itself chooses nothing
        side = Side(stream=None, judged=JudgedProtocol(kind="images"))  # type: ignore[arg-type]
        with pytest.raises(UserError, match=says):
            evaluate(side, config, source=source, device=torch.device("cpu"))


def test_classes_that_are_not_there() -> None:
    one = digits(labels="unconditional")
    with pytest.raises(UserError, match="needs two classes or more; use --features random"):
        check_evaluation(EvaluationConfig(features="classifier"), one)
    with pytest.raises(UserError, match="--metrics cas"):
        check_evaluation(EvaluationConfig(metrics=("cas",)), one)
    check_evaluation(EvaluationConfig(), one)


def test_what_is_right_passes(tmp_path: Path) -> None:
    source = digits()
    for metric in METRICS:
        check_evaluation(EvaluationConfig(metrics=(metric,)), source)
        config = trained(metrics=(metric,), protocol="mmgeneration")
        for name in choosing_names(config, "classifier"):
            check_evaluation(dataclasses.replace(config, best_by=name), source)
    check_evaluation(EvaluationConfig(features="random"), source)  # the default metrics pass with any features
    check_evaluation(EvaluationConfig(), None)
    for name in EXTRACTORS:
        assert EXTRACTORS[name].classifies in (True, False)


def test_auto_asks_what_the_source_declares() -> None:
    source = digits()
    auto = EvaluationConfig()
    assert features_name(auto, source) == "classifier"
    assert features_name(auto, digits(labels="unconditional")) == "random", "no classes to learn"
    assert features_name(auto, digits(classes=("3", "5"))) == "classifier", "a choice of digits is of digits"
    assert features_name(auto, None) == "inception"
    own = source.notes()
    source.notes = lambda: dataclasses.replace(own, photographs=True)  # type: ignore[method-assign]
    assert features_name(auto, source) == "inception", "whatever it calls itself"


def test_a_folder_that_is_called_like_the_digits_is_none(make_folder: Any) -> None:
    folder = make_folder({"a": 2, "b": 2}, size=(16, 16), name="handwritten digits")
    source = open_images(ReadingConfig(path=str(folder)), (16, 16))
    assert "handwritten digits" in source.notes().kind
    assert features_name(EvaluationConfig(), source) == "inception"
