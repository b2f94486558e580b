"""What the tests of this room share: the command as a function, and weights that mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from biggan.cli.main import main
from biggan.evaluation.records import MetricRecord
from biggan.foundation.images import three_channels
from biggan.foundation.records import parse_record
from biggan.metrics.features import ExtractorOptions, Features


def evaluated(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, MetricRecord]:
    """Run the command; return its records by metric, read back strictly."""
    capsys.readouterr()
    assert main(["evaluate", *map(str, words), "--device", "cpu", "--json", "--overwrite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    return {record.metric: record for record in (parse_record(MetricRecord, line, "stdout") for line in lines)}


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """Run the command, which is to fail without a traceback; return what it said."""
    capsys.readouterr()
    assert main(["evaluate", *map(str, words), "--device", "cpu", "--json"]) == 2
    return capsys.readouterr().err


ALL = "fid is kid kid_full precision_recall prdc class_fid diversity memorisation".split()


def inception_weights(path: Path, scale: float = 1.0) -> Path:
    """Write random weights in the layout of torch-fidelity's Inception."""
    from torch_fidelity import feature_extractor_inceptionv3 as module

    class Fresh(module.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: Any, **__: Any) -> None:
            pass

    original, module.load_state_dict_from_url = module.load_state_dict_from_url, lambda *_, **__: {}
    try:
        torch.manual_seed(0)
        network = Fresh("inception-v3-compat", ["2048"])
    finally:
        module.load_state_dict_from_url = original
    state = {k: v * scale if v.is_floating_point() else v for k, v in network.state_dict().items()}
    torch.save(state, path)
    return path


class TinyFeatures:
    """Six numbers of an image by fixed random filters: an extractor that costs nothing."""

    name, takes_floats, classifies = "tiny", False, False
    protocol, weights_hash, key = "tiny-uint8", "0" * 64, "tiny"

    def __init__(self, _: ExtractorOptions) -> None:
        draws = torch.Generator().manual_seed(0)
        self.filters = torch.randn(6, 3, 5, 5, generator=draws)

    def __call__(self, images: torch.Tensor) -> Features:
        maps = torch.nn.functional.conv2d(three_channels(images).float() / 255.0, self.filters, stride=3)
        return Features(maps.relu().mean((2, 3)), None)
