"""What the process from which commands are forked has imported. Nothing here may start a thread."""

import sklearn.neighbors  # noqa: F401
import torch.distributed  # noqa: F401

import biggan.cli.demo
import biggan.cli.train
import biggan.metrics.digits_judge
import biggan.training.setup  # noqa: F401
from biggan.models.contract import build_on_meta
from tests.conftest import tiny

build_on_meta(tiny())  # tensors without memory need much of PyTorch that nothing else does
